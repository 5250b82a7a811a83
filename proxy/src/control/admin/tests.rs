//! The listener answers raw clients; what it says follows from the status and the counters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::answer::Answer;
use super::request::Head;
use super::*;
use crate::control::status::{FetchCounts, NextRefresh, ProviderStatus, Running, SourceStatus};
use crate::snapshot::ids::Generation;
use crate::snapshot::key_set::{KeySet, PublicKey, VerificationKey};
use crate::telemetry::counters::Registry;
use crate::telemetry::labels::{ListenerCounters, RouteCounters};

fn sources() -> Sources {
    let mut registry = Registry::default();
    let listener = ListenerCounters::register(&mut registry, "public").unwrap();
    let route = RouteCounters::register(&mut registry, "a\"\\\nb").unwrap();
    let blocks = vec![Arc::new(CounterBlock::new()), Arc::new(CounterBlock::new())];
    blocks[0].add(listener.requests, 5);
    blocks[1].add(listener.requests, 7);
    blocks[0].increment(listener.connections_open);
    blocks[1].increment(route.responses(204));
    let status = Status::default();
    *status.lock() = Running {
        published: Generation(3),
        oldest_running: Generation(3),
        config_generation: 2,
        providers: vec![provider("corp", 2), provider("partner", 0)],
        cells: registry.cells().to_vec(),
        config: serde_json::json!({ "listeners": [] }),
        ..Running::default()
    };
    // Nobody is there to be asked.
    let events = std::sync::mpsc::channel().0;
    Sources { status, blocks, drops: None, events, hosts: Arc::default() }
}

/// A provider with one source and that many keys.
fn provider(name: &str, keys: usize) -> ProviderStatus {
    let kids = (0..keys).map(|number| format!("k{number}"));
    let set = (keys > 0).then(|| Arc::new(KeySet::new(kids.map(key).collect())));
    let source = SourceStatus {
        place: format!("https://{name}.example/jwks"),
        in_use: keys > 0,
        generation: 1,
        keys,
        ignored: Arc::default(),
        confirmed: None,
        refresh: NextRefresh::InFlight,
        last_error: None,
        fetches: FetchCounts::default(),
    };
    ProviderStatus {
        name: name.into(),
        needed: true,
        sources: vec![source],
        keys: set,
        ..ProviderStatus::default()
    }
}

/// RFC 8037 appendix A.2.
fn key(kid: String) -> VerificationKey {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let x = URL_SAFE_NO_PAD.decode(x).unwrap();
    let public = PublicKey::ed25519(&x).unwrap();
    VerificationKey::new(Some(kid.into()), public, None).unwrap()
}

fn ask(method: Method, target: &str, sources: &Sources) -> Answer {
    let head = Head::for_test(method, target);
    match endpoints::find(&head, &sources.hosts) {
        Ok(endpoint) => {
            let request = Request { head, body: Vec::new() };
            endpoint.answer(&request, sources, Instant::now())
        }
        Err(refusal) => refusal,
    }
}

fn get(target: &str, sources: &Sources) -> Answer {
    ask(Method::Get, target, sources)
}

fn json_of(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn ready_needs_keys_settled_workers_and_no_drain() {
    let sources = sources();
    let not_ready = get("/readyz", &sources);
    assert_eq!(not_ready.status, 503);
    assert_eq!(json_of(&not_ready)["providers_without_keys"], serde_json::json!(["partner"]));
    sources.status.lock().providers[1].needed = false;
    assert_eq!(get("/readyz", &sources).status, 200);
    sources.status.lock().published = Generation(4);
    assert_eq!(get("/readyz", &sources).status, 200, "no flapping while keys rotate");
    sources.status.lock().complete_since = Generation(4);
    let unsettled = get("/readyz", &sources);
    assert_eq!(unsettled.status, 503);
    assert_eq!(json_of(&unsettled)["keys_on_every_worker"], false);
    sources.status.lock().oldest_running = Generation(4);
    sources.status.lock().draining = true;
    let draining = get("/readyz", &sources);
    assert_eq!((draining.status, json_of(&draining)["draining"].clone()), (503, true.into()));
}

#[test]
fn metrics_sum_the_workers_and_escape_label_values() {
    let metrics = get("/metrics", &sources());
    assert_eq!(metrics.content_type, metrics::TYPE);
    let lines: Vec<&str> = metrics.body.lines().collect();
    for expected in [
        "# TYPE ringgate_listener_requests counter",
        "ringgate_listener_requests_total{listener=\"public\"} 12",
        "ringgate_connections_open{listener=\"public\"} 1",
        "ringgate_worker_connections{worker=\"0\"} 1",
        "ringgate_worker_connections{worker=\"1\"} 0",
        "ringgate_responses_total{route=\"a\\\"\\\\\\nb\",class=\"2xx\"} 1",
        "ringgate_jwks_keys{provider=\"corp\"} 2",
        "ringgate_jwks_fetches_total{provider=\"partner\",result=\"failed\"} 0",
        "ringgate_config_generation 2",
        "ringgate_published_generation 3",
        "# EOF",
    ] {
        assert!(lines.contains(&expected), "{expected:?} is not in\n{}", metrics.body);
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
    let types = lines.iter().filter(|line| line.starts_with("# TYPE ringgate_responses "));
    assert_eq!(types.count(), 1, "the samples of a family are together");
}

#[test]
fn config_shows_generations_and_kids() {
    let sources = sources();
    sources.status.lock().published = Generation(9);
    let config = json_of(&get("/config", &sources));
    assert_eq!(config["generation"], 3, "what the workers run");
    assert_eq!(config["published_generation"], 9);
    assert_eq!(config["providers"][0]["kids"], serde_json::json!(["k0", "k1"]));
    assert_eq!(config["listeners"], serde_json::json!([]));
}

/// Sends raw bytes to a served listener and reads until it closes.
fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn raw_requests_get_their_status() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, sources()).unwrap();
    let status = |bytes: &[u8]| exchange(address, bytes).lines().next().unwrap().to_owned();
    assert_eq!(status(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(status(b"GET /livez?verbose HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(status(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status(b"\0\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let post = exchange(address, b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{post}");
    assert!(post.contains("\r\nAllow: GET, HEAD\r\n"), "{post}");
    let wrong = exchange(address, b"GET /jwks/refresh HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wrong.contains("\r\nAllow: POST\r\n"), "{wrong}");
    let foreign = b"POST /jwks/refresh HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(status(foreign), "HTTP/1.1 421 Misdirected Request");
    let page = b"POST /jwks/refresh HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: null\r\n\r\n";
    assert_eq!(status(page), "HTTP/1.1 403 Forbidden");
    let unwanted = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(status(unwanted), "HTTP/1.1 413 Content Too Large");
    let head = exchange(address, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_head_without_end_is_refused() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, sources()).unwrap();
    let mut endless = b"GET /livez HTTP/1.1\r\nX: ".to_vec();
    endless.resize(8 * 1024, b'x');
    let answer = exchange(address, &endless);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_refresh_names_a_provider_that_is_there_and_has_something_to_fetch() {
    let sources = sources();
    let post = |target: &str| {
        let answer = ask(Method::Post, target, &sources);
        (answer.status, answer.body)
    };
    assert_eq!(post("/jwks/refresh").0, 400);
    let there = "no provider is called \"x\"; there are: corp, partner\n";
    assert_eq!(post("/jwks/refresh?provider=x"), (404, there.to_owned()));
    assert_eq!(post("/jwks/refresh?provider=corp").0, 503, "nobody answers");
    sources.status.lock().providers[0].sources[0].refresh = NextRefresh::Never;
    assert_eq!(post("/jwks/refresh?provider=corp").0, 409);
}
