//! Every timeout ends what it is about, with its status, and lets go of everything.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::deadline::{pace, told};
use crate::harness::message::{WireError, read_response_head};
use crate::harness::upstream::{Unanswering, ok};
use crate::harness::{Baseline, Config, Gateway, Upstream, wait_until};
use serde_json::json;

const SHORT: &str = "150ms";

/// A gateway with one short timeout.
fn impatient(timeout: &str, config: Config) -> Gateway {
    Gateway::start(
        &config
            .set(&format!("timeouts.{timeout}"), SHORT)
            .respond(json!({ "path": "/alive" }), "yes"),
    )
}

#[test]
fn a_head_that_does_not_end_is_408() {
    let upstream = Upstream::saying("x");
    let gateway = impatient("head", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost:");
    let response = client.response();
    assert_eq!((response.status(), response.field("Connection")), (408, Some("close")));
    client.expect_end();
    before.expect_restored(&gateway, "/alive");
    upstream.expect_no_request();
}

#[test]
fn a_head_of_one_byte_at_a_time_does_not_extend_its_time() {
    let upstream = Upstream::saying("x");
    let gateway = impatient("head", Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let mut fields = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'a'));
    // Until the gateway has had enough: well before its limit on the head's size.
    wait_until("an answer to a head that never ends", || {
        let _ = client.try_send([*fields.next().unwrap()]);
        (!client.is_silent()).then_some(())
    });
    assert_eq!(client.response().status(), 408);
}

#[test]
fn a_connection_without_a_request_is_closed_without_a_word() {
    let upstream = Upstream::saying("x");
    let gateway = impatient("idle", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut never_asked = gateway.client();
    never_asked.expect_end();
    let mut asked = gateway.client();
    assert_eq!(asked.get("/").status(), 200);
    asked.expect_end();
    drop(gateway.client());
    let ended = "ringgate_connections_idle_ended_total";
    gateway.wait_for_metric(ended, &[], |count| count == 2.0);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_upstream_that_does_not_accept_is_504() {
    let unanswering = Unanswering::new();
    let config = Config::new()
        .endpoints("main", &[&unanswering.endpoint()])
        .route(json!({ "match": {}, "upstream": "main" }));
    let gateway = impatient("connect", config);
    let before = Baseline::take(&gateway);
    assert_eq!(gateway.client().get("/").status(), 504);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_endpoint_that_does_not_accept_is_passed_over() {
    let (unanswering, upstream) = (Unanswering::new(), Upstream::saying("x"));
    let config = Config::new()
        .endpoints("main", &[&unanswering.endpoint(), upstream.endpoint()])
        .route(json!({ "match": {}, "upstream": "main" }));
    let gateway = impatient("connect", config);
    for _ in 0..4 {
        assert_eq!(gateway.client().get("/").status(), 200);
    }
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.wait_for_end();
    });
    let gateway = impatient("response", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    assert_eq!(gateway.client().get("/").status(), 504);
    before.expect_restored(&gateway, "/alive");
    // A request that was sent and may have been acted upon is not sent again.
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_request_body_that_stalls_ends_the_exchange() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.wait_for_end();
    });
    let gateway = impatient("body_progress", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(client.response().status(), 408);
    client.wait_for_end();
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_response_body_that_stalls_is_cut() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer.wait_for_end();
    });
    let gateway = impatient("body_progress", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let got = client.try_response("GET");
    assert!(matches!(got, Err(WireError::Truncated(_) | WireError::Reset)), "{got:?}");
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_never_reads_is_cut() {
    let (tell, cut) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        let body = vec![b'b'; 64 * 1024 * 1024];
        let _ = peer.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        let _ = peer.try_send(&body);
        tell.lock().unwrap().send(()).unwrap();
    });
    let gateway = impatient("body_progress", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
    told(&cut);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_body_that_makes_progress_may_take_longer_than_the_timeout() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let config = Config::forwarding_to(&upstream).set("timeouts.body_progress", "1s");
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
    // Each pause is far below the timeout, all of them together are above it.
    for _ in 0..30 {
        client.send("b");
        pace(Duration::from_millis(50));
    }
    assert_eq!(client.response().body.len(), 30);
}

#[test]
fn a_tunnel_without_a_byte_is_closed() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        peer.wait_for_end();
    });
    let gateway = impatient("tunnel_idle", Config::forwarding_to(&upstream));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 101);
    client.expect_end();
    before.expect_restored(&gateway, "/alive");
}
