//! How a refusal is told: status and `WWW-Authenticate` (RFC 6750 section 3), and no more.

use crate::harness::token::now;
use crate::harness::{Config, Gateway, Issuer, Key, Message, Token, Upstream};
use serde_json::json;

struct Guarded {
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Guarded {
    fn new() -> Self {
        let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
        let config = Config::protecting(&upstream, &[&key])
            .set("routes.0.jwt.require", json!([{ "claim": "scope", "contains": "orders:read" }]));
        let gateway = Gateway::start(&config);
        Self { upstream, gateway, key }
    }

    fn ask(&self, fields: &str) -> Message {
        self.gateway.client().get_with("/", fields)
    }

    fn ask_as(&self, token: &str) -> Message {
        self.gateway.client().get_as("/", token)
    }
}

/// The one challenge of a refusal.
#[track_caller]
fn challenge(response: &Message) -> &str {
    let challenge = response.field("WWW-Authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer realm=\""), "{challenge}");
    challenge
}

#[test]
fn e1_e3_a_missing_token_is_challenged_without_an_error() {
    let guarded = Guarded::new();
    for fields in ["", "Authorization: Basic dTpw\r\n"] {
        let response = guarded.ask(fields);
        assert_eq!(response.status(), 401);
        assert!(!challenge(&response).contains("error"), "RFC 6750 section 3.1: {response:?}");
        assert_eq!(response.field("Cache-Control"), Some("no-store"));
    }
    guarded.upstream.expect_no_request();
}

#[test]
fn e4_e5_a_request_that_misuses_the_scheme_is_a_bad_request() {
    let guarded = Guarded::new();
    let token = Token::new().claim("scope", "orders:read").sign(&guarded.key);
    for fields in [
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer\t{token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
    ] {
        let response = guarded.ask(&fields);
        assert_eq!(response.status(), 400, "{fields:?}");
        assert!(challenge(&response).contains("error=\"invalid_request\""), "{response:?}");
    }
    guarded.upstream.expect_no_request();
}

#[test]
fn e2_e4_the_scheme_has_no_case_and_any_number_of_spaces() {
    let guarded = Guarded::new();
    let token = Token::new().claim("scope", "orders:read").sign(&guarded.key);
    for value in [
        format!("bearer {token}"),
        format!("BEARER {token}"),
        format!("Bearer   {token}"),
        format!("Bearer {token}  "),
    ] {
        assert_eq!(guarded.ask(&format!("Authorization: {value}\r\n")).status(), 200, "{value:?}");
    }
}

#[test]
fn r_invalid_a_bad_token_is_told_in_a_fixed_phrase_that_repeats_nothing_of_it() {
    let guarded = Guarded::new();
    let token = || Token::new().claim("scope", "orders:read").claim("sub", "private-subject");
    let good = token().sign(&guarded.key);
    for bad in [
        token().claim("exp", now() - 4000).sign(&guarded.key),
        token().claim("aud", "private-audience").sign(&guarded.key),
        token().claim("iss", "https://private-issuer.test/").sign(&guarded.key),
        token().header("kid", "private-kid").sign(&guarded.key),
        format!("{good}."),
        format!("{good}.x.y"),
        format!("x{good}"),
        good.rsplit_once('.').unwrap().0.to_owned(),
        "a.b.c".to_owned(),
        "!".to_owned(),
        "x".repeat(9000),
    ] {
        let response = guarded.ask_as(&bad);
        assert_eq!(response.status(), 401, "{bad:?}");
        let challenge = challenge(&response);
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains("error_description=\""), "{challenge}");
        assert!(!(challenge.to_owned() + &response.text()).contains("private"), "{response:?}");
        assert_eq!(response.field("Cache-Control"), Some("no-store"));
    }
    guarded.upstream.expect_no_request();
}

#[test]
fn r_scope_a_missing_scope_is_403_and_names_it() {
    let guarded = Guarded::new();
    let response = guarded.ask_as(&Token::new().claim("scope", "other").sign(&guarded.key));
    assert_eq!(response.status(), 403);
    let challenge = challenge(&response);
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"orders:read\""), "{challenge}");
}

#[test]
fn r_deny_another_rule_that_fails_is_403_without_a_challenge() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let config = Config::protecting(&upstream, &[&key])
        .set("routes.0.jwt.require", json!([{ "claim": "role", "equals": "admin" }]));
    let gateway = Gateway::start(&config);
    let response = gateway.client().get_as("/", &Token::new().sign(&key));
    assert_eq!((response.status(), response.field("WWW-Authenticate")), (403, None));
}

#[test]
fn r_keys_without_any_keys_it_is_not_the_clients_fault() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::failing(500);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    let response = gateway.client().get_as("/", &Token::new().sign(&key));
    assert_eq!((response.status(), response.field("WWW-Authenticate")), (503, None));
    assert!(response.field("Retry-After").is_some(), "{response:?}");
    assert_eq!(gateway.client().get("/").status(), 401, "a missing token is missing all the same");
}

#[test]
fn r_a_refusal_of_head_has_no_body() {
    let guarded = Guarded::new();
    let mut client = guarded.gateway.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status(), 401);
    let token = Token::new().claim("scope", "orders:read").sign(&guarded.key);
    assert_eq!(client.get_as("/", &token).status(), 200, "the connection is where it should be");
}

#[test]
fn a_refused_request_with_a_body_does_not_leave_it_as_the_next_request() {
    let guarded = Guarded::new();
    let mut client = guarded.gateway.client();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"));
    let response = client.response();
    assert_eq!(response.status(), 401);
    if response.field("Connection") == Some("close") {
        client.wait_for_end();
    } else {
        let token = Token::new().claim("scope", "orders:read").sign(&guarded.key);
        assert_eq!(client.get_as("/", &token).status(), 200, "the next answer is to this");
    }
}

#[test]
fn no_token_is_written_to_a_log() {
    let guarded = Guarded::new();
    let good = Token::new().claim("scope", "orders:read").sign(&guarded.key);
    let bad = Token::new().claim("exp", 1).sign(&guarded.key);
    assert_eq!(guarded.ask_as(&good).status(), 200);
    assert_eq!(guarded.ask_as(&bad).status(), 401);
    let both = |token: &str| {
        let payload = token.split('.').nth(1).unwrap();
        let written = guarded.gateway.stdout() + &guarded.gateway.stderr();
        assert!(!written.contains(payload) && !written.contains("alice"), "{written}");
    };
    both(&good);
    both(&bad);
}
