//! Upstreams that are told whose a connection is, in a header of the PROXY protocol before its first byte.

use std::sync::mpsc::channel;

use serde_json::{Value, json};

use crate::harness::upstream::ok;
use crate::harness::{Client, Config, Gateway, Upstream, wait_until};

/// An upstream that reads a line of version 1 and then answers requests with it, as long as they come.
fn reading_lines() -> Upstream {
    Upstream::scripted(|_, mut peer| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let Ok(byte) = peer.read_exactly(1) else { return };
            line.extend(byte);
        }
        peer.answer_all(|_| ok(&line));
    })
}

fn config(upstream: &Upstream, version: &str) -> Config {
    Config::forwarding_to(upstream).set("upstreams.main.proxy_protocol", version)
}

/// The line that an upstream has got for this request.
fn line(client: &mut Client, fields: &str) -> String {
    client.get_with("/", fields).text()
}

#[test]
fn each_request_has_a_connection_of_its_own_that_says_whose_it_is() {
    let upstream = reading_lines();
    let gateway = Gateway::start(&config(&upstream, "v1"));
    let to = gateway.address();
    let mut clients = [gateway.client(), gateway.client()];
    for round in 0..3 {
        for client in &mut clients {
            let from = client.local_address();
            let expected =
                format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
            assert_eq!(line(client, ""), expected, "{round}");
            assert_eq!(upstream.request().field("Connection"), Some("close"));
        }
    }
    assert_eq!(upstream.connections(), 6);
    let idle = gateway.metrics().sum("ringgate_upstream_connections_idle", &[]);
    assert_eq!(idle, 0.0);
}

#[test]
fn the_client_is_whom_a_trusted_proxy_or_a_header_tells_of() {
    let upstream = reading_lines();
    let trusting =
        config(&upstream, "v1").set("forwarding", json!({ "trusted_proxies": ["127.0.0.0/8"] }));
    let gateway = Gateway::start(&trusting);
    let port = gateway.address().port();
    let told = line(&mut gateway.client(), "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(told, format!("PROXY TCP4 203.0.113.9 127.0.0.1 0 {port}\r\n"));
    let told = line(&mut gateway.client(), "X-Forwarded-For: 2001:db8::9\r\n");
    assert_eq!(told, format!("PROXY TCP6 2001:db8::9 ::ffff:127.0.0.1 0 {port}\r\n"));

    let rule = json!({ "mode": "required", "from": ["127.0.0.0/8"] });
    let gateway = Gateway::start(&config(&upstream, "v1").set("listeners.0.proxy_protocol", rule));
    let mut client = gateway.client();
    client.send("PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n");
    let told = line(&mut client, "");
    let port = gateway.address().port();
    assert_eq!(told, format!("PROXY TCP4 198.51.100.7 127.0.0.1 4711 {port}\r\n"));
}

#[test]
fn a_body_and_a_switch_of_protocols_come_behind_the_header() {
    let upstream = reading_lines();
    let gateway = Gateway::start(&config(&upstream, "v1"));
    let mut client = gateway.client();
    let body = "x".repeat(300_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert!(client.response().text().starts_with("PROXY TCP4 "));
    assert_eq!(upstream.request().body.len(), body.len());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(client.response().text().starts_with("PROXY TCP4 "), "refused by the upstream");
    assert_eq!(upstream.request().field("Upgrade"), Some("websocket"));
}

#[test]
fn a_tcp_listener_sends_the_header_before_anything_else() {
    for (version, bytes) in [("v1", None), ("v2", Some(28))] {
        let (heard, hears) = channel();
        let heard = std::sync::Mutex::new(heard);
        // It speaks first, once it knows to whom.
        let upstream = Upstream::scripted(move |_, mut peer| {
            let mut header = peer.read_exactly(bytes.unwrap_or(1)).unwrap();
            while bytes.is_none() && !header.ends_with(b"\r\n") {
                header.extend(peer.read_exactly(1).unwrap());
            }
            heard.lock().unwrap().send(header).unwrap();
            peer.send("hello");
            assert_eq!(peer.read_exactly(2).unwrap(), b"ok");
        });
        let config = Config::new()
            .set("listeners.0.tcp", json!({ "upstream": "main" }))
            .endpoints("main", &[upstream.endpoint()])
            .set("upstreams.main.proxy_protocol", version);
        let gateway = Gateway::start(&config);
        let mut client = gateway.client();
        let (from, to) = (client.local_address(), gateway.address());
        let header = hears.recv().unwrap();
        if version == "v1" {
            let expected =
                format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
            assert_eq!(header, expected.as_bytes());
        } else {
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            let expected =
                [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[127, 0, 0, 1, 127, 0, 0, 1], &ports];
            assert_eq!(header, expected.concat());
        }
        assert_eq!(client.read_exactly(5).unwrap(), b"hello");
        client.send("ok");
        client.wait_for_end();
        drop(client);
        let logged = wait_until("the line", || gateway.access_log().pop());
        assert_eq!((&logged["received_bytes"], &logged["sent_bytes"]), (&json!(2), &json!(5)));
    }
}

#[test]
fn connections_from_before_a_reload_are_not_shared_after_it() {
    let upstream = Upstream::scripted(|_, mut peer| {
        // The first byte tells whether there is a header.
        let Ok(first) = peer.read_exactly(1) else { return };
        let mut told = if first == b"P" { String::from("header") } else { String::from("none") };
        let mut head = first;
        loop {
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = peer.read_exactly(1) else { return };
                head.extend(byte);
            }
            peer.send(ok(&told));
            told.push_str(" again");
            head.clear();
        }
    });
    let plain = Config::forwarding_to(&upstream);
    let gateway = Gateway::start(&plain);
    let said = |gateway: &Gateway| gateway.client().get("/").text();
    assert_eq!(said(&gateway), "none");
    wait_for_idle(&gateway, 1.0);
    assert_eq!(said(&gateway), "none again");
    wait_for_idle(&gateway, 1.0);
    gateway.reload(plain.clone().set("upstreams.main.proxy_protocol", "v1"));
    gateway.wait_for_line(&["every worker runs", "generation=2"]);
    assert_eq!(said(&gateway), "header", "not the idle connection, which has none");
    assert_eq!(said(&gateway), "header");
    gateway.reload(&plain);
    gateway.wait_for_line(&["every worker runs", "generation=3"]);
    assert!(said(&gateway).starts_with("none"), "no connection of another client");
}

fn wait_for_idle(gateway: &Gateway, count: f64) {
    gateway.wait_for_metric("ringgate_upstream_connections_idle", &[], |n| n == count);
}

#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    let (upstream, dead): (Upstream, Value) =
        (reading_lines(), json!(crate::harness::upstream::Refusing::new().endpoint()));
    let config = config(&upstream, "v1")
        .set("upstreams.main.endpoints", json!([dead, upstream.endpoint()]))
        .set("upstreams.main.balance", "round_robin");
    let gateway = Gateway::start(&config);
    for _ in 0..4 {
        assert!(line(&mut gateway.client(), "").starts_with("PROXY TCP4 "));
    }
}
