//! Bounds that one listener or route has in place of those for all, and bounds that only some ask for.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::deadline::{pace, told};
use crate::harness::message::{WireError, read_response_head};
use crate::harness::upstream::ok;
use crate::harness::{Baseline, Client, Config, Gateway, Upstream, wait_until};
use serde_json::json;

const SHORT: &str = "150ms";

/// A gateway with a listener `narrow` that has these limits and timeouts, beside `public`.
fn narrow(
    upstream: &Upstream,
    limits: &serde_json::Value,
    timeouts: &serde_json::Value,
) -> Gateway {
    let public = json!({ "name": "public", "address": "127.0.0.1:0" });
    let narrow = json!({
        "name": "narrow", "address": "127.0.0.2:0", "limits": limits, "timeouts": timeouts,
    });
    Gateway::start(
        &Config::forwarding_to(upstream)
            .set("listeners", json!([public, narrow]))
            .respond(json!({ "path": "/alive" }), "yes"),
    )
}

#[track_caller]
fn status(gateway: &Gateway, listener: &str, request: impl AsRef<[u8]>) -> u16 {
    Client::connect(gateway.listener(listener)).send(request).response().status()
}

#[test]
fn a_listener_may_take_smaller_or_larger_heads_than_others() {
    let upstream = Upstream::saying("x");
    let limits = json!({ "head_bytes": "24KiB", "head_fields": 10, "target_bytes": "100B" });
    let gateway = narrow(&upstream, &limits, &json!({}));
    let field =
        |bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(bytes));
    assert_eq!(status(&gateway, "narrow", field(20_000)), 200);
    assert_eq!(status(&gateway, "narrow", field(25_000)), 431);
    assert_eq!(status(&gateway, "public", field(20_000)), 431);
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
    assert_eq!(status(&gateway, "narrow", &fields), 431);
    assert_eq!(status(&gateway, "public", &fields), 200);
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100));
    assert_eq!(status(&gateway, "narrow", &target), 414);
    assert_eq!(status(&gateway, "public", &target), 200);
    let explained = |listener: &str| {
        let target = format!("/{}", "a".repeat(100));
        let headers = json!([["Host", "a"]]);
        let request =
            json!({ "listener": listener, "method": "GET", "target": target, "headers": headers });
        gateway.admin_post("/explain", &request.to_string()).json()["status"].take()
    };
    assert_eq!((explained("narrow"), explained("public")), (json!(414), json!(null)));
}

#[test]
fn a_listener_may_hold_fewer_connections_than_all_together() {
    let upstream = Upstream::saying("x");
    let gateway = narrow(&upstream, &json!({ "connections": 1 }), &json!({}));
    let before = Baseline::take(&gateway);
    let mut held = Client::connect(gateway.listener("narrow"));
    assert_eq!(held.get("/").status(), 200);
    let mut over = Client::connect(gateway.listener("narrow"));
    let response = over.response();
    assert_eq!((response.status(), response.field("Connection")), (503, Some("close")));
    over.wait_for_end();
    let reason = ["reason=\"limit.listener_connections\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 1.0);
    let mut elsewhere = gateway.client();
    assert_eq!(elsewhere.get("/").status(), 200, "others are not touched");
    drop((held, elsewhere));
    before.expect_restored(&gateway, "/alive");
    assert_eq!(status(&gateway, "narrow", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
}

#[test]
fn a_listener_may_serve_fewer_requests_on_a_connection() {
    let upstream = Upstream::saying("x");
    let gateway = narrow(&upstream, &json!({ "requests_per_connection": 1 }), &json!({}));
    let mut client = Client::connect(gateway.listener("narrow"));
    assert_eq!(client.get("/").field("Connection"), Some("close"));
    client.expect_end();
    assert_eq!(gateway.client().get("/").field("Connection"), None);
}

#[test]
fn a_listener_may_wait_less_for_heads_and_requests() {
    let upstream = Upstream::saying("x");
    let gateway = narrow(&upstream, &json!({}), &json!({ "head": SHORT, "idle": SHORT }));
    let mut elsewhere = gateway.client();
    assert_eq!(elsewhere.get("/").status(), 200);
    let mut slow = Client::connect(gateway.listener("narrow"));
    slow.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(slow.response().status(), 408);
    slow.wait_for_end();
    let mut idle = Client::connect(gateway.listener("narrow"));
    assert_eq!(idle.get("/").status(), 200);
    idle.expect_end();
    assert_eq!(elsewhere.get("/").status(), 200, "others are not touched");
}

#[test]
fn a_route_may_wait_less_for_its_upstream_and_for_bodies() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.wait_for_end();
    });
    let route = |timeout: &str| {
        json!({
            "match": { "path": format!("/{timeout}") }, "upstream": "main",
            "timeouts": { timeout: SHORT },
        })
    };
    let config = Config::forwarding_to(&upstream);
    let gateway = Gateway::start(&config.route(route("response")).route(route("body_progress")));
    assert_eq!(gateway.client().get("/response").status(), 504);
    let stalled = "POST /body_progress HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf";
    assert_eq!(status(&gateway, "public", stalled), 408);
    let routes = gateway.admin("/config").json()["routes"].take();
    assert_eq!(routes[1]["timeouts"], json!({ "response": SHORT, "body_progress": "30s" }));
}

#[test]
fn a_connection_ends_after_its_time() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream).set("timeouts.connection", "400ms");
    let gateway = Gateway::start(&config.respond(json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    let mut idle = gateway.client();
    assert_eq!(idle.get("/").field("Connection"), None);
    idle.expect_end();
    let mut silent = gateway.client();
    silent.expect_end();
    // The time passes with a request in hand, which is served.
    let mut busy = gateway.client();
    busy.send("GET / HTTP/1.1\r\nHost:");
    pace(Duration::from_millis(500));
    let last = busy.send(" a\r\n\r\n").response();
    assert_eq!((last.status(), last.field("Connection")), (200, Some("close")));
    busy.expect_end();
    gateway.wait_for_metric("ringgate_connections_over_time_total", &[], |count| count == 3.0);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_upstream_gets_as_many_requests_at_once_as_it_may() {
    let (release, released) = channel::<()>();
    let (started, has_started) = channel();
    let (released, started) = (Mutex::new(released), Mutex::new(started));
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.answer_all(|_| {
            started.lock().unwrap().send(()).unwrap();
            told(&released.lock().unwrap());
            ok("x")
        });
    });
    let config = Config::forwarding_to(&upstream).set("upstreams.main.concurrent_requests", 1);
    let gateway = Gateway::start(&config.respond(json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    told(&has_started);
    let mut second = gateway.client();
    for _ in 0..2 {
        let refused = second.get("/");
        assert_eq!((refused.status(), refused.field("Retry-After")), (503, Some("5")));
        assert_eq!(refused.field("Connection"), None, "the connection goes on");
    }
    let reason = ["reason=\"limit.upstream_requests\"", "fault=\"gateway\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 2.0);
    release.send(()).unwrap();
    assert_eq!(first.response().status(), 200);
    release.send(()).unwrap();
    assert_eq!(second.get("/").status(), 200);
    drop((first, second, release));
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_request_body_that_trickles_ends_the_exchange() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.wait_for_end();
    });
    let rate = json!({ "bytes": "1KiB", "within": "200ms" });
    let config = Config::forwarding_to(&upstream).set("limits.body_rate", rate);
    let gateway = Gateway::start(&config.respond(json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    // Each byte is progress, so that no other timeout has a say.
    wait_until("an answer to a body that trickles", || {
        let _ = client.try_send("b");
        pace(Duration::from_millis(10));
        (!client.is_silent()).then_some(())
    });
    assert_eq!(client.response().status(), 408);
    let reason = ["reason=\"timeout.request_body_rate\"", "fault=\"client\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 1.0);
    client.wait_for_end();
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_response_that_is_taken_too_slowly_is_cut() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        let body = vec![b'b'; 64 * 1024 * 1024];
        let _ = peer.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        let _ = peer.try_send(&body);
    });
    let config = Config::forwarding_to(&upstream).route(json!({
        "match": { "path": "/fast" }, "upstream": "main",
        "limits": { "body_rate": { "bytes": "1GiB", "within": "100ms" } },
    }));
    let gateway = Gateway::start(&config.respond(json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
    // It reads on and on, so that there is progress, but not as much as is asked for.
    let mut taken = 0;
    let end = loop {
        match client.read_some() {
            Ok(bytes) => taken += bytes.len(),
            Err(end) => break end,
        }
        pace(Duration::from_millis(2));
    };
    assert!(matches!(end, WireError::Reset), "{end:?} after {taken}");
    gateway
        .wait_for_metric("ringgate_refusals_total", &["reason=\"client.too_slow\""], |n| n == 1.0);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn connections_over_the_limit_may_wait_instead() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream)
        .set("limits.connections", 1)
        .set("limits.connections_full", "pause")
        .respond(json!({ "path": "/alive" }), "yes");
    let gateway = Gateway::start(&config);
    let before = Baseline::take(&gateway);
    let mut held = gateway.client();
    assert_eq!(held.get("/").status(), 200);
    gateway.wait_for_metric("ringgate_accept_pauses_total", &[], |count| count >= 1.0);
    let mut waiting = gateway.client();
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(held.get("/").status(), 200, "who is in is served");
    assert!(waiting.is_silent(), "who is not in is neither served nor refused");
    drop(held);
    assert_eq!(waiting.response().status(), 200);
    // A reload that lifts the bound lets in who waits.
    let mut next = gateway.client();
    next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.reload(config.set("limits.connections", 9));
    assert_eq!(next.response().status(), 200);
    assert_eq!(gateway.metrics().sum("ringgate_connections_refused_total", &[]), 0.0);
    drop((waiting, next));
    before.expect_restored(&gateway, "/alive");
}
