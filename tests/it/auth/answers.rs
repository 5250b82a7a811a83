//! How refusals are told to gRPC clients, to clients of a proxy, and where details are kept back.

use crate::harness::token::now;
use crate::harness::{Config, Gateway, Issuer, Key, Message, Token, Upstream};
use serde_json::json;

fn guarded(change: impl FnOnce(Config) -> Config) -> (Upstream, Gateway, Key) {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key]);
    let gateway = Gateway::start(&change(config));
    (upstream, gateway, key)
}

fn call(gateway: &Gateway, token: Option<&str>) -> Message {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let fields = authorization.unwrap_or_default() + "Content-Type: application/grpc+proto\r\n";
    gateway.client().get_with("/", &fields)
}

#[track_caller]
fn expect_grpc(response: &Message, code: &str, message: &str) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("Content-Type"), Some("application/grpc"));
    assert_eq!(response.field("grpc-status"), Some(code));
    assert_eq!(response.field("grpc-message"), Some(message));
    assert_eq!(response.body, b"");
}

#[test]
fn r_a_grpc_call_is_refused_in_its_own_words() {
    let rules = json!([{ "claim": "scope", "contains": "a" }, { "claim": "team", "equals": "b" }]);
    let (upstream, gateway, key) = guarded(|config| config.set("routes.0.jwt.require", rules));
    let expired = Token::new().claim("exp", now() - 4000).sign(&key);
    expect_grpc(&call(&gateway, None), "16", "no token");
    expect_grpc(&call(&gateway, Some(&expired)), "16", "token expired");
    expect_grpc(&call(&gateway, Some(&Token::new().sign(&key))), "7", "insufficient scope");
    let scoped = Token::new().claim("scope", "a").sign(&key);
    expect_grpc(&call(&gateway, Some(&scoped)), "7", "not allowed");
    upstream.expect_no_request();
}

#[test]
fn r_keys_a_grpc_call_without_keys_or_upstream_is_unavailable() {
    let issuer = Issuer::failing(500);
    let upstream = Upstream::saying("x");
    let config = Config::protecting_with_url(&upstream, &issuer)
        .endpoints("gone", &["127.0.0.1:1"])
        .route(json!({ "match": { "path": "/gone" }, "upstream": "gone" }));
    let gateway = Gateway::start(&config);
    let token = Token::new().sign(&Key::ed25519("k"));
    expect_grpc(&call(&gateway, Some(&token)), "14", "keys not loaded");
    let gone = gateway.client().get_with("/gone", "Content-Type: application/grpc\r\n");
    expect_grpc(&gone, "14", "bad_gateway");
}

#[test]
fn r_strip_failure_details_keeps_the_phrase_back() {
    let (_upstream, gateway, key) = guarded(|config| config.set("jwt.strip_failure_details", true));
    let expired = Token::new().claim("exp", now() - 4000).sign(&key);
    let response = gateway.client().get_as("/", &expired);
    let challenge = "Bearer realm=\"ringgate\", error=\"invalid_token\"";
    assert_eq!(response.field("WWW-Authenticate"), Some(challenge));
    assert_eq!(response.json(), json!({ "status": 401, "error": "invalid_token" }));
    expect_grpc(&call(&gateway, Some(&expired)), "16", "invalid_token");
}

#[test]
fn r_keys_on_no_keys_decides_the_status() {
    for (status, set) in [(503, None), (503, Some(503)), (401, Some(401))] {
        let (issuer, upstream) = (Issuer::failing(500), Upstream::saying("x"));
        let config = Config::protecting_with_url(&upstream, &issuer);
        let config = match set {
            Some(set) => config.set("jwt.on_no_keys", set),
            None => config,
        };
        let gateway = Gateway::start(&config);
        let response = gateway.client().get_as("/", &Token::new().sign(&Key::ed25519("k")));
        assert_eq!(response.status(), status);
        assert_eq!(response.field("Retry-After").is_some(), status == 503);
        assert_eq!(response.field("WWW-Authenticate").is_some(), status == 401);
    }
}

#[test]
fn r_a_token_for_the_proxy_is_asked_for_with_407() {
    let from = json!([{ "header": "Proxy-Authorization" }]);
    let (upstream, gateway, key) = guarded(|config| config.set("routes.0.jwt.from", from));
    let mut client = gateway.client();
    let response = client.get("/");
    assert_eq!(response.status(), 407);
    assert_eq!(response.field("Proxy-Authenticate"), Some("Bearer realm=\"ringgate\""));
    assert_eq!(response.field("WWW-Authenticate"), None);
    let fields = format!("Proxy-Authorization: Bearer {}\r\n", Token::new().sign(&key));
    assert_eq!(client.get_with("/", &fields).status(), 200);
    assert_eq!(upstream.request().field("Proxy-Authorization"), None);
}
