//! `Upgrade`: after the upstream's 101 the connection carries bytes, both ways, unread.

use crate::harness::message::{read_response, read_response_head};
use crate::harness::upstream::ok;
use crate::harness::{Baseline, Client, Config, Gateway, Upstream};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
     Sec-WebSocket-Version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upstream that switches and then sends back each byte.
fn echoing() -> Upstream {
    Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(SWITCHING);
        while let Ok(byte) = peer.read_exactly(1) {
            peer.send(byte);
        }
    })
}

/// A connection that has been upgraded.
fn upgraded(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(HANDSHAKE);
    let response = read_response_head(&mut client, "GET").unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.field("Upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")));
    let connection = response.field("Connection").expect("Connection says upgrade");
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{connection}");
    assert_eq!(response.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[test]
fn bytes_pass_both_ways_after_101() {
    let upstream = echoing();
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = upgraded(&gateway);
    for message in ["hello", "\x00\u{7f}not HTTP\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(message);
        assert_eq!(client.read_exactly(message.len()).unwrap(), message.as_bytes());
    }
    let request = upstream.request();
    assert!(request.field("Upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")));
    assert!(request.field("Connection").is_some_and(|c| c.eq_ignore_ascii_case("upgrade")));
    assert_eq!(request.field("Sec-WebSocket-Key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn what_comes_with_either_head_is_not_lost() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.send(format!("{SWITCHING}early upstream"));
        assert_eq!(peer.read_exactly(12).unwrap(), b"early client");
        peer.send(" done");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(format!("{HANDSHAKE}early client"));
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 101);
    assert_eq!(client.read_exactly(19).unwrap(), b"early upstream done");
}

#[test]
fn the_end_of_either_side_ends_the_tunnel() {
    let upstream = echoing();
    let gateway = Gateway::start(
        &Config::forwarding_to(&upstream).respond(serde_json::json!({ "path": "/alive" }), "yes"),
    );
    let before = Baseline::take(&gateway);
    let client = upgraded(&gateway);
    drop(client);
    before.expect_restored(&gateway, "/alive");

    let closing = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(SWITCHING);
        peer.send("bye");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&closing));
    let mut client = upgraded(&gateway);
    assert_eq!(client.read_to_end().unwrap(), b"bye");
}

#[test]
fn an_upgrade_that_the_upstream_declines_is_a_plain_response() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(HANDSHAKE);
    assert_eq!(read_response(&mut client, "GET").unwrap().text(), "/chat");
    assert_eq!(client.get("/next").text(), "/next", "the connection speaks HTTP still");
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_answer() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(SWITCHING);
        peer.wait_for_end();
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    assert_eq!(gateway.client().get("/").status(), 502);
}

#[test]
fn upgrade_without_connection_upgrade_is_not_forwarded() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    assert_eq!(gateway.client().get_with("/", "Upgrade: h2c\r\n").status(), 200);
    assert_eq!(upstream.request().field("Upgrade"), None);
}

#[test]
fn a_protected_route_refuses_before_it_upgrades() {
    let upstream = echoing();
    let key = crate::harness::Key::p256("k");
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let mut client = gateway.client();
    client.send(HANDSHAKE);
    assert_eq!(client.response().status(), 401);
    upstream.expect_no_request();
}

#[test]
fn a_tunnel_that_is_half_closed_ends_when_it_is_idle() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(format!("{SWITCHING}bye"));
        peer.finish_sending();
        peer.wait_for_end();
    });
    let config = Config::forwarding_to(&upstream).set("timeouts.tunnel_idle", "200ms");
    let gateway = Gateway::start(&config.respond(serde_json::json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    let mut client = upgraded(&gateway);
    // The client neither speaks nor closes.
    assert_eq!(client.read_to_end().unwrap(), b"bye");
    gateway.wait_for_metric("ringgate_connections_open", &[], |open| open == 0.0);
    drop(client);
    before.expect_restored(&gateway, "/alive");
}
