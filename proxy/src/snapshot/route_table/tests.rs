//! Precedence by example, and against a version that is slow and obvious.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::snapshot::route_condition::{Subject, Wanted};
use crate::telemetry::counters::Registry;

/// A match as one would type it.
#[derive(Debug, Clone, Default)]
struct Typed {
    listener: Option<usize>,
    host: &'static str,
    exact: Option<&'static str>,
    prefix: Option<&'static str>,
    methods: &'static [&'static str],
    /// Names of conditions.
    asks: &'static [&'static str],
}

impl Typed {
    fn selects(&self) -> RouteMatch {
        let (text, kind) = match (self.exact, self.prefix) {
            (Some(path), _) => (path, PathKind::Exact),
            (None, prefix) => (prefix.unwrap_or("/"), PathKind::Prefix),
        };
        RouteMatch {
            takes: Takes::Requests,
            listener: self.listener.and_then(ListenerId::new),
            host: HostPattern::parse(if self.host.is_empty() { "*" } else { self.host }).unwrap(),
            path: PathPattern::parse(text, kind).unwrap(),
            methods: self.methods.iter().map(|m| Method::parse(m).unwrap()).collect(),
            conditions: self.asks.iter().map(|name| condition(name)).collect(),
        }
    }
}

fn condition(name: &str) -> Condition {
    Condition { subject: Subject::Query(name.into()), wanted: Wanted::Present }
}

/// What a request says that meets these conditions; `?` before a name: that is unclear.
fn says(met: &[&str]) -> impl Fn(&Condition) -> Held {
    move |asked| {
        let is = |name: &str| condition(name) == *asked;
        match met.iter().find(|name| is(name.trim_start_matches('?'))) {
            None => Held::No,
            Some(name) if name.starts_with('?') => Held::Unclear,
            Some(_) => Held::Yes,
        }
    }
}

fn table(matches: &[RouteMatch]) -> RouteTable {
    let counters = RouteCounters::register(&mut Registry::default(), "-").unwrap();
    let answer = FixedResponse { status: 200, fields: Vec::new(), body: Box::default() };
    let bounds = RouteBounds {
        request_body_bytes: 0,
        chunk_overhead_bytes: 0,
        response: Duration::ZERO,
        body_progress: Duration::ZERO,
        body_rate: None,
    };
    let route = |(index, selects): (usize, &RouteMatch)| {
        let action = Action::Respond(answer.clone());
        (
            selects.clone(),
            Route {
                name: format!("{index}").into(),
                clients: ClientRule::default(),
                certificates: CertificateRule::default(),
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
    };
    RouteTable::new(matches.iter().enumerate().map(route).collect())
}

/// The position of the route that `GET http://h.example/...` takes on listener 0.
fn get(matches: &[Typed], path: &str) -> Option<usize> {
    let matches: Vec<RouteMatch> = matches.iter().map(Typed::selects).collect();
    let listener = ListenerId::new(0).unwrap();
    table(&matches).find(listener, "h.example", path, "GET", says(&[])).map(RouteId::index)
}

fn exact(path: &'static str) -> Typed {
    Typed { exact: Some(path), ..Typed::default() }
}

fn prefix(path: &'static str) -> Typed {
    Typed { prefix: Some(path), ..Typed::default() }
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let bare = [prefix("/orders")];
    for path in ["/orders", "/orders/", "/orders/1", "/orders/1/2"] {
        assert_eq!(get(&bare, path), Some(0), "{path}");
    }
    for path in ["/", "/ordersx", "/order", "/x/orders", "orders", "", "*"] {
        assert_eq!(get(&bare, path), None, "{path}");
    }
    let slash = [prefix("/orders/")];
    assert_eq!(get(&slash, "/orders"), None);
    assert_eq!(get(&slash, "/orders/"), Some(0));
    assert_eq!(get(&slash, "/orders/1"), Some(0));
}

#[test]
fn an_exact_path_knows_its_last_slash() {
    let both = [exact("/a"), exact("/a/"), exact("/")];
    assert_eq!(get(&both, "/a"), Some(0));
    assert_eq!(get(&both, "/a/"), Some(1));
    assert_eq!(get(&both, "/"), Some(2));
    assert_eq!(get(&both, "/a/b"), None);
}

#[test]
fn the_longest_path_wins_whatever_the_order() {
    let routes = [prefix("/"), prefix("/a"), prefix("/a/"), prefix("/a/b"), exact("/a/b")];
    let mut reversed = routes.to_vec();
    reversed.reverse();
    for (path, expected) in
        [("/z", 0), ("/a", 1), ("/a/", 2), ("/a/z", 2), ("/a/b", 4), ("/a/b/", 3), ("/a/b/c", 3)]
    {
        assert_eq!(get(&routes, path), Some(expected), "{path}");
        assert_eq!(get(&reversed, path), Some(4 - expected), "{path}");
    }
}

#[test]
fn the_listener_decides_before_the_host_and_that_before_the_path() {
    let routes = [
        Typed { exact: Some("/a"), ..Typed::default() },
        Typed { host: "*.example", exact: Some("/a"), ..Typed::default() },
        Typed { host: "h.example", ..Typed::default() },
        Typed { listener: Some(0), prefix: Some("/b"), ..Typed::default() },
        Typed { listener: Some(1), exact: Some("/a"), ..Typed::default() },
    ];
    assert_eq!(get(&routes, "/a"), Some(2));
    assert_eq!(get(&routes, "/b"), Some(3));
    assert_eq!(get(&routes[..2], "/a"), Some(1));
    // No path of the more specific hosts matches, so the next host is asked.
    assert_eq!(get(&[exact("/x"), Typed { host: "h.example", ..exact("/y") }], "/x"), Some(0));
}

#[test]
fn a_host_may_end_with_the_dot_of_the_root() {
    let matches =
        [Typed { host: "x.y", ..Typed::default() }, Typed { host: "*.y", ..Typed::default() }];
    let matches: Vec<RouteMatch> = matches.iter().map(Typed::selects).collect();
    let table = table(&matches);
    let find = |host: &str| {
        table.find(ListenerId::new(0).unwrap(), host, "/", "GET", says(&[])).map(RouteId::index)
    };
    assert_eq!(find("x.y."), Some(0));
    assert_eq!(find("w.y."), Some(1));
    assert_eq!(find("y."), None);
    assert_eq!(find("x.y.."), None);
    assert_eq!(find("."), None);
}

#[test]
fn a_method_that_the_best_path_does_not_take_has_no_route() {
    let open = prefix("/");
    let guarded = Typed { methods: &["POST", "PUT"], ..prefix("/admin") };
    assert_eq!(get(&[open.clone(), guarded.clone()], "/admin"), None);
    assert_eq!(get(&[open.clone(), guarded.clone()], "/other"), Some(0));
    let named = Typed { methods: &["GET"], ..prefix("/admin") };
    assert_eq!(get(&[open, guarded, named, prefix("/admin")], "/admin/x"), Some(2));
}

#[test]
fn another_spelling_of_a_path_finds_the_same_route() {
    let routes = [prefix("/"), prefix("/admin"), exact("/a%20b/c")];
    for path in ["/admin", "//admin", "/%61dmin", "/admin;v=1/x", "/;/admin//", "/%61%64min/x"] {
        assert_eq!(get(&routes, path), Some(1), "{path}");
    }
    assert_eq!(get(&routes, "/a b;x//%63"), Some(2));
}

#[test]
fn a_path_that_readers_disagree_on_has_no_route() {
    for path in [
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/..;x/b",
        "/%2e%2E/b",
        "/.%2e",
        "/a%2f..",
        "/..%5cb",
        "/a%2F..;x",
        "/a\\b",
        "/a%00",
        "/a%",
        "/a%4",
        "/a%zz",
        "/x/..",
    ] {
        assert_eq!(get(&[prefix("/")], path), None, "{path}");
    }
    for path in ["/...", "/.a", "/a.b/..c", "/%41", "/a%20b"] {
        assert_eq!(get(&[prefix("/")], path), Some(0), "{path}");
    }
}

#[test]
fn an_encoded_separator_finds_the_route_that_all_readers_find() {
    let routes = [prefix("/"), prefix("/api"), prefix("/admin"), exact("/x/y"), prefix("/api/a/b")];
    for (path, expected) in [
        ("/api/group%2fname", Some(1)),
        ("/api/c%2Fd%5Ce/f", Some(1)),
        ("/%2F", Some(0)),
        ("/z%5c", Some(0)),
        ("/admin%2fx", None),
        ("/%5Cadmin", None),
        ("/x%2Fy", None),
        ("/api/a%2fb", None),
        ("/api%2F", None),
        ("/api/a/%2fb", None),
    ] {
        assert_eq!(get(&routes, path), expected, "{path}");
    }
}

#[test]
fn a_segment_longer_than_any_pattern_equals_none() {
    let long = "a".repeat(SEGMENT_BYTES_MAX);
    let pattern = PathPattern::parse(&format!("/{long}"), PathKind::Prefix).unwrap();
    let selects = RouteMatch { path: pattern, ..prefix("/").selects() };
    let table = table(&[prefix("/").selects(), selects]);
    let find = |path: &str| {
        table.find(ListenerId::new(0).unwrap(), "", path, "GET", says(&[])).map(RouteId::index)
    };
    assert_eq!(find(&format!("/{long}")), Some(1));
    assert_eq!(find(&format!("/{long}a")), Some(0));
    assert_eq!(find(&format!("/%61{}", &long[1..])), Some(1));
    assert_eq!(find(&format!("/%61{long}")), Some(0));
    let refused = PathPattern::parse(&format!("/{long}a"), PathKind::Exact);
    assert_eq!(refused, Err(super::super::route_match::PathPatternError::SegmentTooLong));
}

#[test]
fn ties_are_the_same_match_with_a_method_in_common() {
    let routes = [
        prefix("/a"),
        Typed { methods: &["GET"], ..prefix("/a") },
        Typed { methods: &["PUT", "GET"], ..prefix("/a") },
        exact("/a"),
        Typed { prefix: Some("/%61"), ..Typed::default() },
        Typed { listener: Some(0), ..prefix("/a") },
        Typed { host: "H.example", ..prefix("/a") },
        Typed { host: "h.example", ..prefix("/a") },
        Typed { methods: &["POST"], ..prefix("/a") },
        Typed { asks: &["x"], ..prefix("/a") },
        Typed { asks: &["x", "y"], ..prefix("/a") },
        Typed { asks: &["x"], ..prefix("/a") },
    ];
    let matches: Vec<RouteMatch> = routes.iter().map(Typed::selects).collect();
    let matches: Vec<&RouteMatch> = matches.iter().collect();
    assert_eq!(ties(&matches), [(1, 2), (0, 4), (6, 7), (9, 11)]);
}

#[test]
fn more_conditions_come_first_then_the_order_of_the_file() {
    let routes = [
        prefix("/"),
        Typed { asks: &["x"], ..prefix("/") },
        Typed { asks: &["y"], ..prefix("/") },
        Typed { asks: &["x", "z"], ..prefix("/") },
        Typed { asks: &["x"], methods: &["PUT"], ..prefix("/") },
        Typed { asks: &["x"], ..exact("/narrow") },
    ];
    let matches: Vec<RouteMatch> = routes.iter().map(Typed::selects).collect();
    let table = table(&matches);
    let listener = ListenerId::new(0).unwrap();
    for (method, path, met, expected) in [
        ("GET", "/", &[][..], Ok(0)),
        ("GET", "/", &["x", "y"], Ok(1)),
        ("GET", "/", &["y"], Ok(2)),
        ("GET", "/", &["x", "y", "z"], Ok(3)),
        ("GET", "/", &["z"], Ok(0)),
        ("PUT", "/", &["x", "z"], Ok(4)),
        ("PUT", "/", &["y"], Ok(2)),
        ("GET", "/narrow", &["x"], Ok(5)),
        // A broader path may ask for less.
        ("GET", "/narrow", &["y"], Err(Miss::Condition)),
        ("GET", "/", &["x", "y", "?z"], Err(Miss::Unclear)),
        ("PUT", "/", &["x", "?z"], Ok(4)),
        ("PUT", "/", &["?x"], Err(Miss::Unclear)),
    ] {
        let found = table.find(listener, "h", path, method, says(met)).map(RouteId::index);
        assert_eq!(found, expected.ok(), "{method} {path} {met:?}");
        if let Err(miss) = expected {
            assert_eq!(table.miss(listener, "h", path, method, says(met)), miss, "{met:?}");
        }
    }
}

#[test]
#[should_panic(expected = "the configuration refuses ties")]
fn a_table_with_a_tie_is_a_mistake_of_ours() {
    drop(table(&[prefix("/a").selects(), prefix("/a").selects()]));
}

/// A path as everyone should read it: its segments, and whether a slash ends it.
fn read(path: &str) -> Option<(Vec<String>, bool)> {
    let mut segments = Vec::new();
    let mut slash = true;
    for raw in path.strip_prefix('/')?.split('/') {
        let raw = raw.split(';').next().unwrap();
        let mut decoded = String::new();
        let mut pieces = raw.split('%');
        decoded.push_str(pieces.next().unwrap());
        for piece in pieces {
            let octet = u8::from_str_radix(piece.get(..2)?, 16).ok()?;
            if octet == 0 {
                return None;
            }
            decoded.push(char::from(octet));
            decoded.push_str(&piece[2..]);
        }
        match decoded.as_str() {
            "." | ".." => return None,
            _ if raw.contains('\\') => return None,
            "" => slash = true,
            _ => {
                segments.push(decoded);
                slash = false;
            }
        }
    }
    Some((segments, slash))
}

/// How specific a match is for a request, without its methods; none where it does not take it.
fn rank(
    typed: &Typed,
    listener: usize,
    host: &str,
    path: &(Vec<String>, bool),
) -> Option<(bool, usize, bool, usize, bool)> {
    if typed.listener.is_some_and(|only| only != listener) {
        return None;
    }
    let host_rank = match typed.host {
        "" | "*" => 0,
        wildcard if wildcard.starts_with("*.") => {
            host.ends_with(&wildcard[1..]).then_some(wildcard.len())?
        }
        name => (name == host).then_some(usize::MAX)?,
    };
    let pattern = read(typed.exact.or(typed.prefix).unwrap_or("/")).unwrap();
    let takes = if typed.exact.is_some() {
        pattern == *path
    } else {
        let deeper = path.0.len() > pattern.0.len();
        path.0.starts_with(&pattern.0) && (!pattern.1 || deeper || path.1)
    };
    let is_exact = typed.exact.is_some();
    takes.then_some((typed.listener.is_some(), host_rank, is_exact, pattern.0.len(), pattern.1))
}

/// The route that readers agree on who split at encoded separators and who do not.
fn slow(
    routes: &[Typed],
    listener: usize,
    host: &str,
    path: &str,
    asked: (&str, &[&str]),
) -> Option<usize> {
    let split = ["%2f", "%2F", "%5c", "%5C"].iter().fold(path.to_owned(), |p, e| p.replace(e, "/"));
    let found = |path: &str| slow_reading(routes, listener, host, path, asked);
    found(path).filter(|index| found(&split) == Some(*index))
}

fn slow_reading(
    routes: &[Typed],
    listener: usize,
    host: &str,
    path: &str,
    (method, met): (&str, &[&str]),
) -> Option<usize> {
    let path = read(path)?;
    let ranked: Vec<_> = routes
        .iter()
        .enumerate()
        .filter_map(|(index, typed)| Some((rank(typed, listener, host, &path)?, index)))
        .collect();
    let best = ranked.iter().map(|(rank, _)| *rank).max()?;
    let group = || ranked.iter().filter(|(rank, _)| *rank == best).map(|(_, index)| *index);
    let held = says(met);
    for is_named in [true, false] {
        let takes = |index: &usize| match is_named {
            true => routes[*index].methods.contains(&method),
            false => routes[*index].methods.is_empty(),
        };
        let answers = |index: usize| {
            routes[index].asks.iter().map(|name| held(&condition(name))).collect::<Vec<_>>()
        };
        let of_method: Vec<usize> = group().filter(takes).collect();
        if of_method.iter().any(|index| answers(*index).contains(&Held::Unclear)) {
            return None;
        }
        let met = of_method.iter().filter(|i| answers(**i).iter().all(|held| *held == Held::Yes));
        let key = |index: &&usize| (routes[**index].asks.len(), std::cmp::Reverse(**index));
        if let Some(best) = met.max_by_key(key) {
            return Some(*best);
        }
    }
    None
}

fn typed() -> impl Strategy<Value = Typed> {
    let paths = ["/", "/a", "/a/", "/a/b", "/a/b/", "/b", "/%61/b", "/a/b/c"];
    let methods: [&'static [&'static str]; 4] = [&[], &["GET"], &["POST"], &["GET", "PUT"]];
    let asks: [&'static [&'static str]; 6] = [&[], &[], &["p"], &["q"], &["p", "q"], &["r"]];
    let hosts = ["", "*", "x.y", "*.y", "*.x.y", "w.x.y", "y"];
    (
        proptest::option::of(0..3_usize),
        proptest::sample::select(hosts.to_vec()),
        proptest::sample::select(paths.to_vec()),
        any::<bool>(),
        proptest::sample::select(methods.to_vec()),
        proptest::sample::select(asks.to_vec()),
    )
        .prop_map(|(listener, host, path, is_exact, methods, asks)| Typed {
            listener,
            host,
            exact: is_exact.then_some(path),
            prefix: (!is_exact).then_some(path),
            methods,
            asks,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn finds_what_the_slow_version_finds(
        routes in proptest::collection::vec(typed(), 0..30),
        requests in proptest::collection::vec((
            0..4_usize,
            proptest::sample::select(vec!["", "x.y", "w.x.y", "v.w.x.y", "y", "z"]),
            "(/(a|b|c|%61|;|a;v|\\.|\\.\\.|%2e|%2F|%|)){0,4}/?",
            proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
            proptest::sample::subsequence(vec!["p", "q", "r", "?r"], 0..3),
        ), 1..20),
    ) {
        let mut kept: Vec<Typed> = Vec::new();
        for route in routes {
            kept.push(route);
            let matches: Vec<RouteMatch> = kept.iter().map(Typed::selects).collect();
            if !ties(&matches.iter().collect::<Vec<_>>()).is_empty() {
                kept.pop();
            }
        }
        let matches: Vec<RouteMatch> = kept.iter().map(Typed::selects).collect();
        let table = table(&matches);
        for (listener, host, path, method, met) in requests {
            let id = ListenerId::new(listener).unwrap();
            let found = table.find(id, host, &path, method, says(&met)).map(RouteId::index);
            let expected = slow(&kept, listener, host, &path, (method, &met));
            prop_assert_eq!(found, expected, "{} {} {:?}", host, path, met);
        }
    }
}
