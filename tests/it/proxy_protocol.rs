//! The PROXY protocol: whose a connection is by a header before its first byte.

use serde_json::{Value, json};

use crate::harness::{Client, Config, Gateway, Upstream, wait_until};

const V1: &[u8] = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n";
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: test.example\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";

/// A header of version 2 for 198.51.100.7:4711, with a vector behind the addresses.
fn v2() -> Vec<u8> {
    let addresses = [198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10"[..], &addresses, &[4, 0, 1, 0]].concat()
}

/// A listener with this rule; every client of these tests is on 127.0.0.1.
fn start(upstream: &Upstream, rule: &Value) -> Gateway {
    let config = Config::forwarding_to(upstream).set("listeners.0.proxy_protocol", rule.clone());
    Gateway::start(&config)
}

fn required() -> Value {
    json!({ "mode": "required", "from": ["127.0.0.0/8"] })
}

fn optional() -> Value {
    json!({ "mode": "optional", "from": ["127.0.0.0/8"] })
}

/// The last line of the access log, once there are so many.
#[track_caller]
fn line(gateway: &Gateway, count: usize) -> Value {
    wait_until("the line", || {
        let mut lines = gateway.access_log();
        (lines.len() >= count).then(|| lines.pop().unwrap())
    })
}

/// Nothing is answered, and the reason is counted and logged.
#[track_caller]
fn expect_closed(gateway: &Gateway, bytes: &[u8], reason: &str) {
    let lines = gateway.access_log().len();
    let mut client = gateway.client();
    if !bytes.is_empty() {
        client.send(bytes);
    }
    client.wait_for_end();
    let line = line(gateway, lines + 1);
    assert_eq!((&line["reason"], &line["status"]), (&json!(reason), &json!(0)), "{line}");
    let label = format!("reason=\"{reason}\"");
    assert!(gateway.metrics().sum("ringgate_refusals_total", &[&label, "fault=\"client\""]) >= 1.0);
}

#[test]
fn the_header_says_who_the_client_is() {
    let upstream = Upstream::saying("x");
    for (rule, header) in [(required(), V1.to_vec()), (required(), v2()), (optional(), v2())] {
        let gateway = start(&upstream, &rule);
        let mut client = gateway.client();
        client.send([&header, REQUEST].concat());
        assert_eq!(client.response().status(), 200);
        // Once a connection.
        client.send(REQUEST);
        assert_eq!(client.response().status(), 200);
        for count in [1, 2] {
            assert_eq!(upstream.request().all("X-Forwarded-For"), ["198.51.100.7"]);
            assert_eq!(line(&gateway, count)["client"], "198.51.100.7:4711");
        }
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let upstream = Upstream::saying("x");
    let gateway = start(&upstream, &required());
    for header in [V1.to_vec(), v2()] {
        let mut client = gateway.client();
        for byte in [&header, REQUEST].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.request().all("X-Forwarded-For"), ["198.51.100.7"]);
    }
}

#[test]
fn a_header_may_end_anywhere_before_the_request() {
    let upstream = Upstream::saying("x");
    let gateway = start(&upstream, &required());
    let whole = [&v2(), REQUEST].concat();
    for at in (1..whole.len()).step_by(3) {
        let mut client = gateway.client();
        client.send(&whole[..at]).send(&whole[at..]);
        assert_eq!(client.response().status(), 200, "{at}");
        assert_eq!(upstream.request().all("X-Forwarded-For"), ["198.51.100.7"], "{at}");
    }
}

#[test]
fn a_connection_of_the_proxy_s_own_keeps_its_address() {
    let upstream = Upstream::saying("x");
    let gateway = start(&upstream, &required());
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = gateway.client();
        client.send([header, REQUEST].concat());
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.request().all("X-Forwarded-For"), ["127.0.0.1"]);
    }
}

#[test]
fn the_address_counts_as_the_peer_for_trusted_proxies() {
    let upstream = Upstream::saying("x");
    for (trusted, list) in [
        (json!(["198.51.100.7"]), &["203.0.113.9", "198.51.100.7"][..]),
        (json!(["127.0.0.1"]), &["198.51.100.7"]),
    ] {
        let config = Config::forwarding_to(&upstream)
            .set("listeners.0.proxy_protocol", required())
            .set("forwarding", json!({ "trusted_proxies": trusted }));
        let gateway = Gateway::start(&config);
        let mut client = gateway.client();
        client.send([V1, REQUEST].concat());
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.request().all("X-Forwarded-For"), list);
    }
}

#[test]
fn what_is_no_good_header_closes_the_connection() {
    let upstream = Upstream::saying("x");
    let gateway = start(&upstream, &required());
    expect_closed(&gateway, REQUEST, "proxy_protocol.missing");
    let bad = [&b"PROXY TCP4 198.51.100.7\r\n"[..], REQUEST].concat();
    expect_closed(&gateway, &bad, "proxy_protocol.malformed");
    let gateway = start(&upstream, &optional());
    expect_closed(&gateway, &bad, "proxy_protocol.malformed");
    let mut client = gateway.client();
    client.send(REQUEST);
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.request().all("X-Forwarded-For"), ["127.0.0.1"]);
    upstream.expect_no_request();
}

#[test]
fn from_others_a_header_is_refused() {
    let upstream = Upstream::saying("x");
    let others = |mode: &str| json!({ "mode": mode, "from": ["10.0.0.0/8"] });
    let gateway = start(&upstream, &others("required"));
    expect_closed(&gateway, b"", "proxy_protocol.untrusted");
    let gateway = start(&upstream, &others("optional"));
    for header in [V1.to_vec(), v2()] {
        expect_closed(&gateway, &[&header, REQUEST].concat(), "proxy_protocol.untrusted");
    }
    upstream.expect_no_request();
    let mut client = gateway.client();
    client.send(REQUEST);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn the_trusted_proxies_may_send_it_where_nobody_else_is_named() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream)
        .set("listeners.0.proxy_protocol", json!({ "mode": "required" }))
        .set("forwarding", json!({ "trusted_proxies": ["127.0.0.1"] }));
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    client.send([V1, REQUEST].concat());
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.request().all("X-Forwarded-For"), ["198.51.100.7"]);
}

#[test]
fn a_header_that_does_not_end_is_ended() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream)
        .set("listeners.0.proxy_protocol", required())
        .set("timeouts", json!({ "head": "200ms" }));
    let gateway = Gateway::start(&config);
    expect_closed(&gateway, &V1[..20], "timeout.request_head");
    gateway.client().wait_for_end();
}

#[test]
fn a_connection_for_a_denied_address_is_closed() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream)
        .set("listeners.0.proxy_protocol", required())
        .set("kernel", json!({ "shield": { "deny": ["198.51.100.7"] } }));
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    client.send([V1, REQUEST].concat());
    client.wait_for_end();
    upstream.expect_no_request();
    let by = gateway.metrics().sum("ringgate_connections_barred_total", &["by=\"deny\""]);
    assert_eq!(by, 1.0);
}

#[test]
fn a_tcp_listener_passes_on_what_is_behind_the_header() {
    let upstream = Upstream::scripted(|_, mut peer| {
        while let Ok(byte) = peer.read_exactly(1) {
            if peer.try_send(byte).is_err() {
                return;
            }
        }
    });
    let config = Config::new()
        .set(
            "listeners",
            json!([
                { "name": "public", "address": "127.0.0.1:0" },
                { "name": "raw", "address": "127.0.0.2:0", "tcp": { "upstream": "main" },
                  "proxy_protocol": required() },
            ]),
        )
        .endpoints("main", &[upstream.endpoint()])
        .respond(json!({ "path": "/alive" }), "yes");
    let gateway = Gateway::start(&config);
    let mut client = Client::connect(gateway.listener("raw"));
    client.send([V1, b"hello"].concat());
    assert_eq!(client.read_exactly(5).unwrap(), b"hello");
    client.send("again");
    assert_eq!(client.read_exactly(5).unwrap(), b"again");
    client.finish_sending();
    client.wait_for_end();
    let line = line(&gateway, 1);
    assert_eq!(line["client"], "198.51.100.7:4711", "{line}");
    assert_eq!((&line["received_bytes"], &line["ended"]), (&json!(10), &json!("closed")), "{line}");

    let mut client = Client::connect(gateway.listener("raw"));
    client.send("hello, all of you");
    client.wait_for_end();
    let label = "reason=\"proxy_protocol.missing\"";
    gateway.wait_for_metric("ringgate_refusals_total", &[label], |count| count == 1.0);
}
