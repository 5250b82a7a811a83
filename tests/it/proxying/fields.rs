//! Fields on their way: hop-by-hop ones removed, forwarding ones set, Host kept or rewritten.

use crate::harness::{Config, Gateway, Message, Upstream};
use serde_json::json;

/// What an upstream sees of a GET with these fields, given a change to the configuration.
fn seen(change: impl Fn(Config) -> Config, fields: &str) -> (Message, std::net::SocketAddr) {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&change(Config::forwarding_to(&upstream)));
    let mut client = gateway.client();
    assert_eq!(client.get_with("/", fields).status(), 200);
    (upstream.request(), client.local_address())
}

fn unchanged(config: Config) -> Config {
    config
}

#[test]
fn end_to_end_fields_pass_in_order_and_byte_for_byte() {
    let (request, _) = seen(
        unchanged,
        "X-One: 1\r\nAccept: a/b;q=0.5, */*\r\nX-One: 2\r\nX-Empty:\r\nX-Spaced:  a  b \r\n\
         Cookie: a=b; c=\"d\"\r\n",
    );
    assert_eq!(request.all("X-One"), ["1", "2"]);
    assert_eq!(request.field("Accept"), Some("a/b;q=0.5, */*"));
    assert_eq!(request.field("X-Empty"), Some(""));
    assert_eq!(request.field("X-Spaced"), Some("a  b"));
    assert_eq!(request.field("Cookie"), Some("a=b; c=\"d\""));
}

#[test]
fn hop_by_hop_fields_of_a_request_are_removed() {
    // RFC 9110 section 7.6.1: the well-known ones, and those that Connection names.
    let (request, _) = seen(
        unchanged,
        "Connection: X-Mine, keep-alive\r\nX-Mine: secret\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n\
         X-Stays: yes\r\n",
    );
    for name in
        ["Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade"]
    {
        assert_eq!(request.field(name), None, "{name}");
    }
    assert_eq!(request.field("X-Stays"), Some("yes"));
}

#[test]
fn hop_by_hop_fields_of_a_response_are_removed() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: secret\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let response = gateway.client().get("/");
    for name in ["Connection", "X-Mine", "Keep-Alive"] {
        assert_eq!(response.field(name), None, "{name}");
    }
    assert_eq!(response.all("Set-Cookie"), ["a=1", "b=2"]);
}

#[test]
fn connection_cannot_take_away_a_field_that_the_gateway_answers_for() {
    let (request, client) = seen(unchanged, "Connection: X-Forwarded-For, X-Forwarded-Host\r\n");
    assert_eq!(request.field("X-Forwarded-For"), Some(client.ip().to_string().as_str()));
    assert_eq!(request.field("X-Forwarded-Host"), Some("test.example"));
}

#[test]
fn x_forwarded_fields_tell_the_client_and_drop_what_it_claimed() {
    let (request, client) = seen(
        |config| config.set("forwarding.x_forwarded", true),
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n",
    );
    assert_eq!(request.field("X-Forwarded-For"), Some(client.ip().to_string().as_str()));
    assert_eq!(request.field("X-Forwarded-Proto"), Some("http"));
    assert_eq!(request.field("X-Forwarded-Host"), Some("test.example"));
}

#[test]
fn forwarded_tells_the_client() {
    let (request, client) =
        seen(|config| config.set("forwarding.forwarded", true), "Forwarded: for=6.6.6.6\r\n");
    let value = request.field("Forwarded").expect("a Forwarded field").to_ascii_lowercase();
    assert!(value.contains(&format!("for={}", client.ip())), "{value}");
    assert!(value.contains("proto=http"), "{value}");
    assert!(!value.contains("6.6.6.6"), "{value}");
}

#[test]
fn without_forwarding_nothing_is_told() {
    let (request, _) = seen(
        |config| config.set("forwarding", json!({ "x_forwarded": false, "forwarded": false })),
        "",
    );
    for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via"] {
        assert_eq!(request.field(name), None, "{name}");
    }
}

#[test]
fn the_host_is_kept_or_rewritten_as_the_upstream_asks() {
    let (kept, _) = seen(unchanged, "");
    assert_eq!(kept.field("Host"), Some("test.example"));
    let (rewritten, _) = seen(|config| config.set("upstreams.main.host", "inner.example"), "");
    assert_eq!(rewritten.field("Host"), Some("inner.example"));
}
