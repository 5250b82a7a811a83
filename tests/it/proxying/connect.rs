//! CONNECT: for the routes that are for it, through a proxy behind the gateway.

use serde_json::{Value, json};

use crate::harness::message::read_response_head;
use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Baseline, Client, Config, Gateway, Key, Token, Upstream};

const CONNECT: &str = "CONNECT db.example:443 HTTP/1.1\r\nHost: db.example:443\r\n\r\n";

/// A proxy that connects to whatever is asked for, and an echo there.
fn echoing(grant: &'static str) -> Upstream {
    Upstream::scripted(move |_, mut peer| {
        peer.request_head();
        peer.send(grant);
        while let Ok(byte) = peer.read_exactly(1) {
            peer.send(byte);
        }
    })
}

/// A gateway that leads CONNECT to the hosts below `example` there, and everything else nowhere.
fn leading(upstream: &Upstream, more: &Value) -> Config {
    let mut route =
        json!({ "match": { "host": "*.example" }, "connect": {}, "upstream": "egress" });
    route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Config::new()
        .endpoints("egress", &[upstream.endpoint()])
        .route(route)
        .respond(json!({ "path_prefix": "/" }), "no tunnel")
        .set("listeners.0.reason_header", true)
}

fn expect_echo(client: &mut Client) {
    for message in ["hello", "\x00\u{7f}not HTTP\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(message);
        assert_eq!(client.read_exactly(message.len()).unwrap(), message.as_bytes());
    }
}

#[test]
fn a_2xx_of_the_upstream_begins_a_tunnel() {
    // Fields that frame mean nothing here (RFC 9110 section 9.3.6).
    for grant in [
        "HTTP/1.1 200 OK\r\nX-Proxy: a\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX-Proxy: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Proxy: a\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Proxy: a\r\nConnection: close\r\n\r\n",
    ] {
        let upstream = echoing(grant);
        let gateway = Gateway::start(&leading(&upstream, &json!({})));
        let before = Baseline::take(&gateway);
        let mut client = gateway.client();
        client.send(CONNECT);
        let response = read_response_head(&mut client, "CONNECT").unwrap();
        assert_eq!(response.status() / 100, 2);
        assert_eq!(response.field("X-Proxy"), Some("a"));
        for framing in ["Content-Length", "Transfer-Encoding", "Connection", "Upgrade"] {
            assert_eq!(response.field(framing), None, "{framing}");
        }
        expect_echo(&mut client);
        let request = upstream.request();
        assert_eq!((request.method(), request.target()), ("CONNECT", "db.example:443"));
        assert_eq!(request.all("Host"), ["db.example:443"]);
        assert_eq!(request.field("Content-Length"), None);
        drop(client);
        before.expect_restored(&gateway, "/");
    }
}

#[test]
fn a_refusal_of_the_upstream_is_an_answer_and_the_end() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.send("HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nnope");
        // Nothing meant for a tunnel comes.
        assert!(peer.read_exactly(1).is_err());
    });
    let gateway = Gateway::start(&leading(&upstream, &json!({})));
    let mut client = gateway.client();
    client.send(format!("{CONNECT}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (403, "nope"));
    assert_eq!(response.field("Connection"), Some("close"));
    assert!(client.read_exactly(1).is_err(), "what came early is no request");
}

#[test]
fn a_101_is_no_answer_to_it() {
    let upstream = echoing(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let gateway = Gateway::start(&leading(&upstream, &json!({})));
    let response = gateway.client().send(CONNECT).response();
    let reason = response.field("X-Ringgate-Reason");
    assert_eq!((response.status(), reason), (502, Some("upstream.unasked_switch")));
}

#[test]
fn hosts_and_ports_are_those_of_the_route() {
    let upstream = echoing("HTTP/1.1 200 OK\r\n\r\n");
    let gateway =
        Gateway::start(&leading(&upstream, &json!({ "connect": { "ports": [443, 8443] } })));
    for (target, expected) in [
        ("db.example:25", (403, "route.connect_port")),
        ("db.example.org:443", (405, "request.method_refused")),
        ("example:443", (405, "request.method_refused")),
    ] {
        let mut client = gateway.client();
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        let response = client.response();
        let reason = response.field("X-Ringgate-Reason").unwrap();
        assert_eq!((response.status(), reason), expected, "{target}");
        assert_eq!(response.field("Connection"), Some("close"));
    }
    upstream.expect_no_request();
    let mut client = gateway.client();
    client.send("CONNECT db.example:8443 HTTP/1.1\r\nHost: db.example:8443\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "CONNECT").unwrap().status(), 200);
    expect_echo(&mut client);
    // The route is for nothing else.
    let response = gateway.client().send("GET / HTTP/1.1\r\nHost: db.example\r\n\r\n").response();
    assert_eq!(response.text(), "no tunnel");
}

#[test]
fn a_token_is_asked_for_as_everywhere() {
    let key = Key::p256("k1");
    let upstream = echoing("HTTP/1.1 200 OK\r\n\r\n");
    let rules = json!({ "jwt": {
        "providers": ["corp"],
        "from": [{ "header": "Proxy-Authorization", "prefix": "Bearer" }],
    }});
    let config =
        leading(&upstream, &rules).provider("corp", ISSUER, json!({ "inline": jwks(&[&key]) }));
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().send(CONNECT).response().status(), 407);
    upstream.expect_no_request();
    let mut client = gateway.client();
    let token = Token::new().sign(&key);
    let field = format!("\r\nProxy-Authorization: Bearer {token}\r\n\r\n");
    client.send(CONNECT.replace("\r\n\r\n", &field));
    assert_eq!(read_response_head(&mut client, "CONNECT").unwrap().status(), 200);
    expect_echo(&mut client);
    assert_eq!(upstream.request().field("Proxy-Authorization"), None);
}
