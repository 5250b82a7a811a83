//! Times the look-up of one route among many.

use std::fmt::Write;
use std::time::Duration;

use divan::Bencher;
use ringgate::snapshot::certificate_rule::CertificateRule;
use ringgate::snapshot::client_rule::ClientRule;
use ringgate::snapshot::field_edits::FieldEdits;
use ringgate::snapshot::ids::{ListenerId, RouteId};
use ringgate::snapshot::limits::RouteBounds;
use ringgate::snapshot::route_condition::Held;
use ringgate::snapshot::route_match::{HostPattern, PathKind, PathPattern, RouteMatch, Takes};
use ringgate::snapshot::route_table::{Action, FixedResponse, Route, RouteTable};
use ringgate::telemetry::counters::Registry;
use ringgate::telemetry::labels::RouteCounters;

fn main() {
    divan::main();
}

/// How many routes a table has.
const SIZES: [usize; 3] = [1, 100, 1_000];

fn table(matches: impl Iterator<Item = (HostPattern, String)>) -> RouteTable {
    let counters = RouteCounters::register(&mut Registry::default(), "-").expect("a free cell");
    let bounds = RouteBounds {
        request_body_bytes: u64::MAX,
        chunk_overhead_bytes: 0,
        response: Duration::ZERO,
        body_progress: Duration::ZERO,
        body_rate: None,
    };
    let routes = matches.map(|(host, path)| {
        let path = PathPattern::parse(&path, PathKind::Prefix).expect("a valid path");
        let selects = RouteMatch {
            takes: Takes::Requests,
            listener: None,
            host,
            path,
            methods: Vec::new(),
            conditions: Vec::new(),
        };
        let answer = FixedResponse { status: 200, fields: Vec::new(), body: Box::default() };
        let action = Action::Respond(answer);
        (
            selects,
            Route {
                certificates: CertificateRule::default(),
                name: "route".into(),
                clients: ClientRule::default(),
                auth: None,
                action,
                connect: None,
                rewrite: None,
                maintenance: None,
                hsts: None,
                request_fields: FieldEdits::default(),
                response_fields: FieldEdits::default(),
                cors: None,
                bounds,
                counters,
            },
        )
    });
    RouteTable::new(routes.collect())
}

/// Looks up requests spread over the table, and checks that each takes its own route.
fn look_up(bencher: Bencher<'_, '_>, table: &RouteTable, requests: &[(String, String)]) {
    let listener = ListenerId::new(0).expect("0 is an id");
    for (index, (host, path)) in requests.iter().enumerate() {
        let found = table.find(listener, host, path, "GET", |_| Held::No).map(RouteId::index);
        assert_eq!(found, Some(index), "{host}{path}");
    }
    let mut next = 0;
    bencher.bench_local(|| {
        let (host, path) = &requests[next];
        next = (next + 1) % requests.len();
        table.find(listener, divan::black_box(host), divan::black_box(path), "GET", |_| Held::No)
    });
}

/// One host for each route.
#[divan::bench(args = SIZES)]
fn by_host(bencher: Bencher<'_, '_>, routes: usize) {
    let name = |index: usize| format!("service-{index}.example.com");
    let host = |index| (HostPattern::parse(&name(index)).expect("a valid host"), "/api".to_owned());
    let requests: Vec<_> =
        (0..routes).map(|index| (name(index), "/api/v1/orders/123456".to_owned())).collect();
    look_up(bencher, &table((0..routes).map(host)), &requests);
}

/// One path of two segments for each route, all under any host.
#[divan::bench(args = SIZES)]
fn by_path(bencher: Bencher<'_, '_>, routes: usize) {
    let path = |index: usize| format!("/team-{}/service-{index}", index % 32);
    let requests: Vec<_> = (0..routes)
        .map(|index| ("api.example.com".to_owned(), path(index) + "/v1/orders/123456"))
        .collect();
    look_up(bencher, &table((0..routes).map(|i| (HostPattern::Any, path(i)))), &requests);
}

/// A wildcard for each route, four labels above the host asked for, and an escaped path.
#[divan::bench(args = SIZES)]
fn by_wildcard(bencher: Bencher<'_, '_>, routes: usize) {
    let zone = |index: usize| format!("zone-{index}.example.com");
    let below = |index| {
        let host = HostPattern::parse(&format!("*.{}", zone(index))).expect("a valid host");
        (host, "/".to_owned())
    };
    let requests: Vec<_> = (0..routes)
        .map(|index| (format!("a.b.c.d.{}", zone(index)), "/%61pi/x.y/z".to_owned()))
        .collect();
    look_up(bencher, &table((0..routes).map(below)), &requests);
}

/// The longest path and host a client can send within the limits, made of nothing but separators.
#[divan::bench]
fn worst_case(bencher: Bencher<'_, '_>) {
    let below = HostPattern::parse("*.example.com").expect("a valid host");
    let table = table([(below, "/a".to_owned()), (HostPattern::Any, "/".to_owned())].into_iter());
    let host = "a.".repeat(126);
    let mut path = String::new();
    while path.len() < 8 * 1024 - 4 {
        write!(path, "/%61").expect("a String takes everything");
    }
    let listener = ListenerId::new(0).expect("0 is an id");
    bencher.bench_local(|| {
        table.find(listener, divan::black_box(&host), divan::black_box(&path), "GET", |_| Held::No)
    });
}
