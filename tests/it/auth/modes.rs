//! The modes: strict, optional, permissive, and what each makes of a missing and of a bad token.

use crate::harness::token::now;
use crate::harness::{Config, Gateway, Key, Token, Upstream};
use serde_json::json;

fn guarded(mode: &str) -> (Upstream, Gateway, Key) {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key])
        .set("routes.0.jwt.mode", mode)
        .set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }));
    let gateway = Gateway::start(&config);
    (upstream, gateway, key)
}

fn expired(key: &Key) -> String {
    Token::new().claim("exp", now() - 4000).sign(key)
}

#[test]
fn e1_s6_strict_refuses_a_missing_and_a_bad_token() {
    let (upstream, gateway, key) = guarded("strict");
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 401);
    assert_eq!(client.get_as("/", &expired(&key)).status(), 401);
    assert_eq!(client.get_with("/", "Authorization: Basic dTpw\r\n").status(), 401);
    upstream.expect_no_request();
    assert_eq!(client.get_as("/", &Token::new().sign(&key)).status(), 200);
    assert_eq!(upstream.request().field("x-user"), Some("alice"));
}

#[test]
fn e1_e3_s6_optional_passes_a_missing_token_and_refuses_a_bad_one() {
    let (upstream, gateway, key) = guarded("optional");
    let mut client = gateway.client();
    assert_eq!(client.get_with("/", "X-User: mallory\r\n").status(), 200);
    assert_eq!(upstream.request().field("x-user"), None);
    assert_eq!(client.get_with("/", "Authorization: Basic dTpw\r\n").status(), 200);
    assert_eq!(upstream.request().field("Authorization"), Some("Basic dTpw"), "untouched");
    assert_eq!(client.get_as("/", &expired(&key)).status(), 401);
    upstream.expect_no_request();
    assert_eq!(client.get_as("/", &Token::new().sign(&key)).status(), 200);
    assert_eq!(upstream.request().field("x-user"), Some("alice"));
}

#[test]
fn c19_s6_permissive_passes_all_and_lets_nothing_downstream_trust_a_bad_token() {
    let (upstream, gateway, key) = guarded("permissive");
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(upstream.request().field("x-user"), None);
    let fields = format!(
        "Authorization: Bearer {}\r\nX-JWT-Status: valid\r\nX-User: mallory\r\n",
        expired(&key)
    );
    assert_eq!(client.get_with("/", &fields).status(), 200);
    let request = upstream.request();
    assert_eq!(request.field("Authorization"), None, "stripped");
    assert_eq!(request.field("x-user"), None);
    let status = request.field("x-jwt-status").expect("the upstream is told");
    assert!(status.starts_with("invalid"), "{status}");
    assert_eq!(client.get_as("/", &Token::new().sign(&key)).status(), 200);
    assert_eq!(upstream.request().field("x-user"), Some("alice"));
}

#[test]
fn s7_strict_is_what_a_route_gets_that_does_not_say() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key])
        .set("routes.0.jwt", json!({ "providers": ["tests"] }));
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().get("/").status(), 401);
}

#[test]
fn every_request_of_a_connection_is_judged() {
    let (upstream, gateway, key) = guarded("strict");
    let good = Token::new().sign(&key);
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get_as("/", &good).status(), 200);
        assert_eq!(client.get("/").status(), 401, "the one before does not count");
        assert_eq!(client.get_as("/", &expired(&key)).status(), 401);
    }
    // And pipelined.
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    client.send(format!("{head}Authorization: Bearer {good}\r\n\r\n{head}\r\n"));
    assert_eq!((client.response().status(), client.response().status()), (200, 401));
    drop(upstream);
}

#[test]
fn r_cors_a_preflight_passes_without_a_token_where_the_route_says_so() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let closed = Config::protecting(&upstream, &[&key]);
    let open = closed.clone().set("routes.0.jwt.bypass_preflight", true);
    let preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
    let ask = |gateway: &Gateway, method: &str, fields: &str| {
        let mut client = gateway.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response_to(method).status()
    };
    assert_eq!(ask(&Gateway::start(&closed), "OPTIONS", preflight), 401, "off unless asked for");
    let gateway = Gateway::start(&open);
    for (method, fields) in [
        ("GET", preflight),
        ("OPTIONS", "Origin: https://a.example\r\n"),
        ("OPTIONS", "Access-Control-Request-Method: PUT\r\n"),
        ("OPTIONS", &format!("{preflight}Authorization: Bearer {}\r\n", expired(&key))),
    ] {
        assert_eq!(ask(&gateway, method, fields), 401, "{method} {fields}");
    }
    upstream.expect_no_request();
    assert_eq!(ask(&gateway, "OPTIONS", preflight), 200);
    assert_eq!(upstream.request().method(), "OPTIONS");
}

#[test]
fn r_cors_a_refusal_can_be_read_by_pages_of_allowed_origins() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key])
        .set("routes.0.jwt.allowed_origins", json!(["https://a.example", "http://localhost:3000"]));
    let gateway = Gateway::start(&config);
    let refused = |origin: &str| gateway.client().get_with("/", origin);
    for origin in ["https://a.example", "http://localhost:3000"] {
        let response = refused(&format!("Origin: {origin}\r\n"));
        assert_eq!(response.status(), 401);
        assert_eq!(response.field("Access-Control-Allow-Origin"), Some(origin));
        assert_eq!(response.field("Access-Control-Expose-Headers"), Some("WWW-Authenticate"));
        assert_eq!(response.field("Vary"), Some("Origin"));
    }
    for origin in
        ["", "Origin: https://b.example\r\n", "Origin: null\r\n", "Origin: HTTPS://a.example\r\n"]
    {
        let response = refused(origin);
        assert_eq!(response.status(), 401);
        assert_eq!(response.field("Access-Control-Allow-Origin"), None, "{origin}");
    }
}
