//! Bad tokens in masses, and what they leave for good ones.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Client, Config, Gateway, Key, Token, Upstream, wait_until};

/// Connections with a bad token each: to verify them all keeps a core busy for a tenth of a second.
const BAD: usize = 200;

/// The token with another signature, of the right length.
fn forged(token: &str, number: usize) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{number:04}{}", &signature[4..])
}

#[test]
fn a_known_token_does_not_wait_for_the_bad_ones_that_came_before() {
    let key = Key::p384("k");
    let jwt = json!({ "mode": "strict", "providers": ["tests"] });
    let config = Config::new()
        .provider("tests", ISSUER, json!({ "inline": jwks(&[&key]) }))
        .set("jwt.providers.tests.algorithms", json!(["ES384"]))
        .route(json!({ "match": {}, "jwt": jwt, "respond": { "status": 200 } }));
    let gateway = Gateway::start(&config);
    let token = Token::new().sign(&key);
    let mut good = gateway.client();
    assert_eq!(good.get_as("/", &token).status(), 200);
    let mut bad: Vec<Client> = (0..BAD).map(|_| gateway.client()).collect();
    gateway.wait_for_metric("ringgate_connections_open", &[], |open| open == BAD as f64 + 1.0);
    // What arrives while it is stopped is all there when it goes on.
    gateway.signal(Signal::STOP);
    for (number, client) in bad.iter_mut().enumerate() {
        let token = forged(&token, number);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test.example\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
    }
    good.send(format!(
        "GET / HTTP/1.1\r\nHost: test.example\r\nAuthorization: Bearer {token}\r\n\r\n"
    ));
    gateway.signal(Signal::CONT);
    for client in &mut bad {
        assert_eq!(client.response().status(), 401);
    }
    assert_eq!(good.response().status(), 200);
    let lines = wait_until("a line for each request", || {
        Some(gateway.access_log()).filter(|lines| lines.len() == BAD + 2)
    });
    // The first line is that of the request by which the token became known.
    let before = lines[1..].iter().take_while(|line| line["status"] == 401).count();
    assert!(before < BAD / 10, "{before} verifications before a request that needs none");
    let verified = "ringgate_token_verification_seconds_count";
    gateway.wait_for_metric(verified, &[], |count| count == BAD as f64 + 1.0);
    let metrics = gateway.metrics();
    assert!(metrics.sum("ringgate_verifications_deferred_total", &[]) > BAD as f64 / 2.0);
    assert_eq!(metrics.sum("ringgate_verifications_waiting", &[]), 0.0);
}

#[test]
fn the_token_cache_tells_what_it_does() {
    let (upstream, key) = (Upstream::saying("hello"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key]).set("limits.token_cache_entries", 4);
    let gateway = Gateway::start(&config);
    let token = |number: usize| Token::new().claim("jti", number.to_string()).sign(&key);
    let mut client = gateway.client();
    let first = token(0);
    for _ in 0..3 {
        assert_eq!(client.get_as("/", &first).status(), 200);
    }
    for number in 1..=5 {
        assert_eq!(client.get_as("/", &token(number)).status(), 200);
    }
    for _ in 0..2 {
        assert_eq!(client.get_as("/", &forged(&first, 0)).status(), 401);
    }
    let lookups = |result: &str, wanted: f64| {
        let label = format!("result=\"{result}\"");
        gateway.wait_for_metric("ringgate_token_cache_lookups_total", &[&label], |n| n == wanted);
    };
    lookups("good", 2.0);
    lookups("bad", 1.0);
    lookups("miss", 7.0);
    let metrics = gateway.metrics();
    let of = |name: &str, kind: &str| metrics.sum(name, &[&format!("kind=\"{kind}\"")]);
    assert_eq!(of("ringgate_token_cache_entries", "good"), 4.0);
    assert_eq!(of("ringgate_token_cache_entries", "bad"), 1.0);
    assert_eq!(of("ringgate_token_cache_evictions_total", "good"), 2.0);
    assert_eq!(of("ringgate_token_cache_evictions_total", "bad"), 0.0);
    assert_eq!(metrics.sum("ringgate_token_verification_seconds_count", &[]), 7.0);
}
