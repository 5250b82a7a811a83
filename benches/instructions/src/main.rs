//! Does one step of a request's way so many times: `bench-instructions STEP TIMES`.
//!
//! `cargo xtask instructions` runs it under callgrind with two numbers of times; the difference is
//! what the step costs, without its set-up.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks")]

mod gateway;

use std::hint::black_box;
use std::process::ExitCode;

use gateway::Gateway;
use ringgate::auth::{Authorization, Criteria, Presented, TokenCache, always, authorize};
use ringgate::http1::{
    FieldSlots, HeadLimits, HeadWriter, Progress, RequestHead, ResponseHead, parse_request,
    parse_response,
};
use ringgate::snapshot::ids::{ListenerId, RouteId};
use ringgate::snapshot::path_normalization::PathNormalization;
use ringgate::snapshot::route_condition::Held;

const LIMITS: HeadLimits =
    HeadLimits { head_bytes: 16 * 1024, head_fields: 100, target_bytes: 8 * 1024 };
const CACHE_ENTRIES: usize = 1000;
const OUT_BYTES: usize = 4096;

/// Does a step so many times.
type Run = fn(&Gateway, u32);

/// The steps, in the order of the way.
const STEPS: [(&str, Run); 6] = [
    ("parse_request", |gateway, times| {
        for _ in 0..times {
            with_request(black_box(&gateway.request), |head| black_box(head.fields.len()));
        }
    }),
    ("route", |gateway, times| {
        with_request(&gateway.request, |head| {
            for _ in 0..times {
                black_box(route(gateway, black_box(head)));
            }
        });
    }),
    ("authorize", |gateway, times| {
        let mut cache = TokenCache::new(CACHE_ENTRIES);
        with_request(&gateway.request, |head| {
            let route = route(gateway, head);
            for _ in 0..times {
                verify(gateway, black_box(head), route, &mut cache);
            }
        });
    }),
    ("encode_request", |gateway, times| {
        let mut out = vec![0; OUT_BYTES];
        with_request(&gateway.request, |head| {
            for _ in 0..times {
                black_box(encode_request(black_box(head), &mut out));
            }
        });
    }),
    ("parse_response", |gateway, times| {
        for _ in 0..times {
            with_response(black_box(&gateway.response), |head| black_box(head.status));
        }
    }),
    ("encode_response", |gateway, times| {
        let mut out = vec![0; OUT_BYTES];
        with_response(&gateway.response, |head| {
            for _ in 0..times {
                black_box(encode_response(black_box(head), &mut out));
            }
        });
    }),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (step, times) = match arguments.as_slice() {
        [] => {
            for (name, _) in STEPS {
                println!("{name}");
            }
            return ExitCode::SUCCESS;
        }
        [step, times] => (STEPS.iter().find(|(name, _)| name == step), times.parse().ok()),
        _ => (None, None),
    };
    let Some(((_, run), times)) = step.zip(times) else {
        eprintln!("usage: bench-instructions [STEP TIMES]; without these: the names of the steps");
        return ExitCode::FAILURE;
    };
    run(&Gateway::new(), times);
    ExitCode::SUCCESS
}

fn with_request<T>(bytes: &[u8], then: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let mut slots = FieldSlots::new();
    match parse_request(bytes, &mut slots, LIMITS, PathNormalization::On) {
        Ok(Progress::Complete(head)) => then(&head),
        Ok(Progress::Partial) | Err(_) => panic!("the head is whole and good"),
    }
}

fn with_response<T>(bytes: &[u8], then: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
    let mut slots = FieldSlots::new();
    match parse_response(bytes, &mut slots, LIMITS, "GET") {
        Ok(Progress::Complete(head)) => then(&head),
        Ok(Progress::Partial) | Err(_) => panic!("the head is whole and good"),
    }
}

fn route(gateway: &Gateway, head: &RequestHead<'_, '_>) -> RouteId {
    let listener = ListenerId::new(0).expect("0 is an id");
    let routes = &gateway.snapshot.routes;
    let found = routes.find(listener, head.host, &head.path, head.method, |_| Held::No);
    found.expect("a route for the request")
}

/// The first time it is verified, then it is in the cache.
fn verify(gateway: &Gateway, head: &RequestHead<'_, '_>, route: RouteId, cache: &mut TokenCache) {
    let snapshot = &gateway.snapshot;
    let policy = snapshot.routes.route(route).auth.as_ref().expect("a protected route");
    let criteria = Criteria {
        policy,
        providers: &snapshot.providers,
        deny_list: &snapshot.deny_list,
        certificate: None,
        generation: snapshot.verdicts,
        now: gateway.now,
    };
    let presented = Presented { fields: head.fields, query: head.target.query() };
    let Ok(authorization) = authorize(presented, &criteria, cache, always);
    assert!(matches!(black_box(authorization), Authorization::Verified(..)));
}

fn encode_request(head: &RequestHead<'_, '_>, out: &mut [u8]) -> usize {
    let mut writer = HeadWriter::new(out);
    writer.request_line(head.method, &head.path, head.target.query());
    writer.field("host", head.host.as_bytes());
    for field in head.end_to_end() {
        writer.field(field.name, field.value);
    }
    writer.end().expect("room for the head")
}

fn encode_response(head: &ResponseHead<'_, '_>, out: &mut [u8]) -> usize {
    let mut writer = HeadWriter::new(out);
    writer.status_line(head.status, "OK");
    for field in head.end_to_end() {
        writer.field(field.name, field.value);
    }
    writer.end().expect("room for the head")
}
