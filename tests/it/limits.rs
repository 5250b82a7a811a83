//! Every limit: what is just under it passes, what is just over it gets its status and is counted.

use crate::harness::message::WireError;
use crate::harness::{Baseline, Client, Config, Gateway, Message, Upstream, wait_until};
use serde_json::json;

/// A gateway in front of an upstream, with one limit set; the upstream must see only what passes.
fn limited(limit: &str, value: impl Into<serde_json::Value>) -> (Upstream, Gateway) {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream)
        .set(&format!("limits.{limit}"), value)
        .respond(json!({ "path": "/alive" }), "yes");
    let gateway = Gateway::start(&config);
    (upstream, gateway)
}

/// The answer to these bytes on a connection of their own, and that connection.
#[track_caller]
fn ask(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> (Message, Client) {
    let mut client = gateway.client();
    client.send(bytes);
    (client.response(), client)
}

#[track_caller]
fn expect_refused(gateway: &Gateway, bytes: impl AsRef<[u8]>, status: u16) {
    let (response, mut client) = ask(gateway, bytes);
    assert_eq!(response.status(), status);
    assert_eq!(response.field("Connection"), Some("close"));
    client.wait_for_end();
}

#[test]
fn a_head_may_be_as_long_as_the_limit() {
    let (upstream, gateway) = limited("head_bytes", "2KiB");
    let head = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length - rest))
    };
    assert_eq!(ask(&gateway, head(2048)).0.status(), 200);
    upstream.request();
    expect_refused(&gateway, head(2049), 431);
    expect_refused(&gateway, head(100_000), 431);
    // Without an end in sight: the limit is what stops it.
    expect_refused(&gateway, &head(100_000)[..4096], 431);
    upstream.expect_no_request();
}

#[test]
fn a_head_may_have_as_many_fields_as_the_limit() {
    let (upstream, gateway) = limited("head_fields", 10);
    // Host is one of them.
    let head = |fields: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(fields - 1))
    };
    assert_eq!(ask(&gateway, head(10)).0.status(), 200);
    upstream.request();
    expect_refused(&gateway, head(11), 431);
    expect_refused(&gateway, head(500), 431);
    upstream.expect_no_request();
}

#[test]
fn a_target_may_be_as_long_as_the_limit() {
    let (upstream, gateway) = limited("target_bytes", "100B");
    let head =
        |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 1));
    assert_eq!(ask(&gateway, head(100)).0.status(), 200);
    upstream.request();
    expect_refused(&gateway, head(101), 414);
    expect_refused(&gateway, head(50_000), 414);
    upstream.expect_no_request();
}

#[test]
fn a_body_may_be_as_long_as_the_limit() {
    let (upstream, gateway) = limited("request_body_bytes", "1KiB");
    let by_length = |length: usize| {
        let body = "b".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let by_chunks = |length: usize| {
        let chunks = "10\r\n0123456789abcdef\r\n".repeat(length / 16);
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    assert_eq!(ask(&gateway, by_length(1024)).0.status(), 200);
    assert_eq!(ask(&gateway, by_chunks(1024)).0.status(), 200);
    upstream.request();
    upstream.request();
    assert_eq!(ask(&gateway, by_length(1025)).0.status(), 413);
    assert_eq!(ask(&gateway, by_chunks(1040)).0.status(), 413);
    upstream.expect_no_request();
}

#[test]
fn a_route_may_take_longer_or_shorter_bodies_than_others() {
    let upstream = Upstream::saying("x");
    let route = |path: &str, bytes: &str| {
        json!({
            "match": { "path": path }, "upstream": "main", "limits": { "request_body_bytes": bytes },
        })
    };
    let config = Config::forwarding_to(&upstream).set("limits.request_body_bytes", "64B");
    let config = config.route(route("/more", "1MiB")).route(route("/less", "16B"));
    let gateway = Gateway::start(&config);
    for (path, max) in [("/", 64), ("/more", 1 << 20), ("/less", 16)] {
        for (length, status) in [(max, 200), (max + 1, 413)] {
            let body = "b".repeat(length);
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n");
            let by_length = format!("{head}Content-Length: {length}\r\n\r\n{body}");
            let by_chunks = format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            );
            for request in [by_length, by_chunks] {
                assert_eq!(ask(&gateway, request).0.status(), status, "{path} {length}");
            }
        }
    }
    let explained = |path: &str| {
        let headers = json!([["Host", "a"], ["Content-Length", "65"]]);
        let request = json!({ "method": "POST", "target": path, "headers": headers });
        gateway.admin_post("/explain", &request.to_string()).json()["reason"].take()
    };
    assert_eq!(explained("/"), "limit.request_body");
    assert_ne!(explained("/more"), "limit.request_body");
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let (upstream, gateway) = limited("request_body_bytes", "1KiB");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n";
    let (response, mut client) = ask(&gateway, head);
    assert_eq!(response.status(), 413);
    upstream.expect_no_request();
    if response.field("Connection").is_none() {
        // The body may follow; it is thrown away.
        client.send("b".repeat(1025));
        assert_eq!(client.get("/alive").text(), "yes");
    }
}

#[test]
fn chunks_may_have_as_much_beside_their_data_as_the_limit() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream).set("limits.chunk_overhead_bytes", "1KiB");
    let narrow = json!({ "chunk_overhead_bytes": "64B" });
    let config = config.route(json!({
        "match": { "path": "/less" }, "upstream": "main", "limits": narrow,
    }));
    let gateway = Gateway::start(&config);
    for (path, max) in [("/", 1024), ("/less", 64)] {
        // Eight of these bytes are excused by the one of data, five are around it, five end the body.
        for (extension, status) in [(max - 2, 200), (max - 1, 400)] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 1;{}\r\nb\r\n0\r\n\r\n",
                "e".repeat(extension - 1)
            );
            assert_eq!(ask(&gateway, request).0.status(), status, "{path} {extension}");
        }
    }
    upstream.request();
    upstream.request();
    upstream.expect_no_request();
    let reason = ["reason=\"limit.chunk_overhead\"", "fault=\"client\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 2.0);
    let routes = gateway.admin("/config").json()["routes"].take();
    assert_eq!(routes[1]["limits"]["chunk_overhead_bytes"], 64);
}

#[test]
fn connections_over_the_limit_are_answered_503_and_closed() {
    let (_upstream, gateway) = limited("connections", 2);
    let before = Baseline::take(&gateway);
    let mut held: Vec<Client> = (0..2).map(|_| gateway.client()).collect();
    for client in &mut held {
        assert_eq!(client.get("/").status(), 200);
    }
    let mut over = gateway.client();
    let response = over.response();
    assert_eq!((response.status(), response.field("Connection")), (503, Some("close")));
    over.wait_for_end();
    gateway.wait_for_metric("ringgate_connections_refused_total", &[], |count| count == 1.0);
    for client in &mut held {
        assert_eq!(client.get("/").status(), 200, "who is in is not disturbed");
    }
    drop(held);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_flood_of_connections_over_the_limit_is_turned_away_and_forgotten() {
    let (_upstream, gateway) = limited("connections", 1);
    let before = Baseline::take(&gateway);
    let mut held = gateway.client();
    assert_eq!(held.get("/").status(), 200);
    let flood: Vec<Client> = (0..400).map(|_| gateway.client()).collect();
    let told = flood
        .into_iter()
        .filter_map(|mut client| match client.try_response("GET") {
            Ok(response) => Some(response.status()),
            // Not all of a flood are told why, but all are closed.
            Err(WireError::Ended | WireError::Reset) => None,
            Err(error) => panic!("left open: {error:?}"),
        })
        .collect::<Vec<_>>();
    assert!(!told.is_empty() && told.iter().all(|status| *status == 503), "{told:?}");
    gateway.wait_for_metric("ringgate_connections_refused_total", &[], |count| count == 400.0);
    assert_eq!(held.get("/").status(), 200, "who is in is not disturbed");
    drop(held);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_connection_ends_after_its_share_of_requests() {
    let (_upstream, gateway) = limited("requests_per_connection", 3);
    let mut client = gateway.client();
    assert_eq!(client.get("/").field("Connection"), None);
    assert_eq!(client.get("/").field("Connection"), None);
    let last = client.get("/");
    assert_eq!((last.status(), last.field("Connection")), (200, Some("close")));
    client.expect_end();
    // One that is closed before is no such case.
    assert_eq!(gateway.client().get_with("/", "Connection: close\r\n").status(), 200);
    assert_eq!(gateway.metrics().sum("ringgate_connections_used_up_total", &[]), 1.0);
}

#[test]
fn a_response_head_over_the_limit_is_the_upstreams_fault() {
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
        "a".repeat(70_000)
    ));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    assert_eq!(gateway.client().get("/").status(), 502);
}

#[test]
fn limits_are_counted_each_under_its_name() {
    let (_upstream, gateway) = limited("target_bytes", "100B");
    let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(200));
    expect_refused(&gateway, head, 414);
    wait_until("a refusal with its reason", || {
        let text = gateway.admin("/metrics").text();
        text.lines()
            .any(|line| line.contains("reason=\"limit.target") && line.ends_with(" 1"))
            .then_some(())
    });
}
