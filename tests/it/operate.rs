//! What an operator sees: the admin listener, metrics, the access log, the start and its failures.

use serde_json::{Value, json};

use crate::harness::token::now;
use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};

#[test]
fn liveness_and_readiness_are_told_apart() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(500));
    let ready = Gateway::start(&Config::forwarding_to(&upstream));
    assert_eq!((ready.admin("/livez").status(), ready.admin("/readyz").status()), (200, 200));
    let unready = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    assert_eq!((unready.admin("/livez").status(), unready.admin("/readyz").status()), (200, 503));
    assert!(unready.admin("/readyz").text().contains("tests"), "it names the provider");
    assert_eq!(ready.admin("/nonsense").status(), 404);
}

#[test]
fn requests_are_counted_by_listener_route_and_class() {
    let upstream = Upstream::saying("hello");
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .route(json!({ "name": "orders", "match": { "path_prefix": "/o" }, "upstream": "main" }));
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/o").status(), 200);
    }
    assert_eq!(client.get("/elsewhere").status(), 404);
    let route = "route=\"orders\"";
    gateway.wait_for_metric("ringgate_responses_total", &[route, "class=\"2xx\""], |n| n == 3.0);
    gateway.wait_for_metric("ringgate_responses_total", &["class=\"4xx\""], |n| n == 1.0);
    let metrics = gateway.metrics();
    let listener = &["listener=\"public\""];
    assert_eq!(metrics.sum("ringgate_listener_requests_total", listener), 4.0);
    assert_eq!(metrics.sum("ringgate_connections_total", listener), 1.0);
    assert_eq!(metrics.sum("ringgate_connections_open", listener), 1.0);
    assert_eq!(metrics.sum("ringgate_sent_body_bytes_total", &[route]), 15.0);
    let upstream = &["upstream=\"main\""];
    assert_eq!(metrics.sum("ringgate_upstream_requests_total", upstream), 3.0);
    assert_eq!(metrics.sum("ringgate_upstream_connects_total", upstream), 1.0);
}

#[test]
fn refusals_are_counted_by_reason_and_keys_by_provider() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    wait_until("ready", || (gateway.admin("/readyz").status() == 200).then_some(()));
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 401);
    assert_eq!(client.get_as("/", &Token::new().claim("exp", 1).sign(&key)).status(), 401);
    let count = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        gateway.wait_for_metric("ringgate_refusals_total", &[&label], |n| n == 1.0);
    };
    count("auth.missing");
    count("auth.expired");
    let text = gateway.admin("/metrics").text();
    assert!(text.contains("provider=\"tests\""), "{text}");
    assert!(text.contains("jwks_age"), "{text}");
    assert!(text.contains("generation"), "{text}");
}

#[test]
fn metrics_are_prometheus_text() {
    let gateway = Gateway::start(&Config::new().respond(json!({}), "x"));
    let response = gateway.admin("/metrics");
    let kind = response.field("Content-Type").expect("a content type");
    assert!(
        kind.starts_with("text/plain") || kind.starts_with("application/openmetrics"),
        "{kind}"
    );
    let text = response.text();
    assert!(text.contains("# TYPE ringgate_connections_open gauge"), "{text}");
    assert!(gateway.metrics().has("ringgate_connections_total"), "{text}");
}

#[test]
fn config_shows_what_runs_without_secrets() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("visible-kid"));
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let response = gateway.admin("/config");
    let text = response.json().to_string();
    assert!(text.contains(upstream.endpoint()), "{text}");
    assert!(text.contains("generation"), "{text}");
    // The key itself is public, but a configuration may hold what is not; nothing of it is shown.
    let jwk = key.jwk();
    assert!(!text.contains(jwk["x"].as_str().unwrap()), "{text}");
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let (upstream, key) =
        (Upstream::with(|_| crate::harness::upstream::ok("hello")), Key::p256("k1"));
    let config = Config::protecting(&upstream, &[&key]).set("routes.0.name", "guarded");
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    let bad = Token::new().claim("exp", now() - 4000).sign(&key);
    assert_eq!(client.get_as("/refused?secret=1", &bad).status(), 401);
    client.send(format!(
        "POST /passed HTTP/1.1\r\nHost: Some.Example\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 3\r\n\r\nabc",
        Token::new().sign(&key)
    ));
    assert_eq!(client.response().status(), 200);
    let lines = wait_until("two lines", || {
        let lines = gateway.access_log();
        (lines.len() >= 2).then_some(lines)
    });
    let (refused, passed) = (&lines[0], &lines[1]);
    let expect =
        |line: &Value, key: &str, value: Value| assert_eq!(line[key], value, "{key}: {line}");
    expect(refused, "method", json!("GET"));
    expect(refused, "path", json!("/refused"));
    expect(refused, "status", json!(401));
    expect(refused, "verdict", json!("refuse"));
    expect(refused, "reason", json!("auth.expired"));
    expect(refused, "kid", json!("k1"));
    expect(passed, "method", json!("POST"));
    expect(passed, "path", json!("/passed"));
    expect(passed, "status", json!(200));
    expect(passed, "listener", json!("public"));
    expect(passed, "route", json!("guarded"));
    expect(passed, "provider", json!("tests"));
    expect(passed, "verdict", json!("pass"));
    expect(passed, "upstream", json!("main"));
    expect(passed, "endpoint", json!(upstream.endpoint()));
    expect(passed, "received_bytes", json!(3));
    expect(passed, "sent_bytes", json!(5));
    assert!(!gateway.stdout().contains("secret"), "a query may hold secrets");
}

#[test]
fn the_access_log_may_go_to_a_file() {
    let config = Config::new().respond(json!({}), "x").set("access_log.target", "access.log");
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().get("/in-the-file").status(), 200);
    wait_until("the line in the file", || {
        let text = std::fs::read_to_string(gateway.path("access.log")).ok()?;
        text.contains("/in-the-file").then_some(())
    });
    assert!(!gateway.stdout().contains("/in-the-file"));
}

#[test]
fn what_a_client_sends_cannot_forge_a_line() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k1"));
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let kid = "a\"}\\,{\"status\":\"b";
    let token = Token::new().header("kid", kid).sign(&key);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    let lines = wait_until("the line", || Some(gateway.access_log()).filter(|l| !l.is_empty()));
    assert_eq!(lines[0]["kid"], json!(kid));
    assert_eq!(lines.len(), 1);
}

#[test]
fn the_start_names_each_listener_and_its_address() {
    let gateway = Gateway::start(&Config::new().respond(json!({}), "x"));
    gateway.wait_for_line(&["listening", "public", &gateway.address().to_string()]);
}
