//! Clients that misbehave in one named way each: nothing leaked, nobody else disturbed.

use std::sync::mpsc::channel;

use serde_json::json;

use crate::harness::deadline::{pace, told};
use crate::harness::message::{WireError, read_request_head, read_response_head};
use crate::harness::upstream::ok;
use crate::harness::{Baseline, Client, Config, Gateway, Upstream};

fn in_front_of(upstream: &Upstream) -> Gateway {
    Gateway::start(&Config::forwarding_to(upstream).respond(json!({ "path": "/alive" }), "yes"))
}

#[test]
fn one_byte_at_a_time_is_served() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let mut slow = gateway.client();
    for byte in b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" {
        slow.send([*byte]);
        // Others do not wait for it.
        if byte.is_ascii_uppercase() {
            assert_eq!(gateway.client().get("/alive").status(), 200);
        }
    }
    assert_eq!(slow.response().text(), "hello");
    drop(slow);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_leaves_at_any_point_of_its_request_leaves_nothing() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let request =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for length in 0..=request.len() {
        let mut client = gateway.client();
        client.send(&request[..length]);
        if length % 2 == 0 {
            client.reset();
        }
    }
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_reset_inside_the_body_ends_the_upstream_request() {
    let (tell, seen) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, mut peer| {
        let mut head = peer.request_head();
        let body = crate::harness::message::read_body(&mut peer, &mut head);
        tell.lock().unwrap().send(body).unwrap();
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome");
    upstream.request();
    client.reset();
    // A cut body must not look like a whole one.
    let body = told(&seen);
    assert!(matches!(body, Err(WireError::Truncated(_) | WireError::Reset)), "{body:?}");
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_cut_chunked_body_does_not_arrive_as_a_whole_one() {
    let (tell, seen) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, mut peer| {
        let mut head = peer.request_head();
        let body = crate::harness::message::read_body(&mut peer, &mut head);
        tell.lock().unwrap().send(body).unwrap();
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
    upstream.request();
    drop(client);
    let body = told(&seen);
    assert!(matches!(body, Err(WireError::Truncated(_) | WireError::Reset)), "{body:?}");
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_vanishes_while_it_waits_frees_the_upstream() {
    let (tell, seen) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        // Never answers; the end comes from the gateway.
        peer.wait_for_end();
        tell.lock().unwrap().send(()).unwrap();
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    client.reset();
    told(&seen);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_leaves_inside_the_response_frees_the_upstream() {
    let (tell, seen) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, mut peer| {
        let _ = read_request_head(&mut peer).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Until the gateway takes no more.
        while peer.try_send("4\r\nmore\r\n").is_ok() {}
        tell.lock().unwrap().send(()).unwrap();
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    for abrupt in [false, true] {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
        client.read_exactly(10_000).unwrap();
        if abrupt {
            client.reset();
        } else {
            drop(client);
        }
        told(&seen);
    }
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_never_reads_holds_up_nobody_else() {
    let body = vec![b'b'; 64 * 1024 * 1024];
    let upstream = Upstream::scripted(move |_, mut peer| {
        let request = peer.request();
        if request.target() == "/big" {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            let _ = peer.try_send(&body);
        } else {
            peer.send(ok("small"));
        }
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let stuck: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = gateway.client();
            client.shrink_buffers();
            client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
            client
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(gateway.client().get("/").text(), "small");
    }
    drop(stuck);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn connections_that_say_nothing_hold_up_nobody() {
    let upstream = Upstream::saying("x");
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let silent: Vec<Client> = (0..500).map(|_| gateway.client()).collect();
    gateway.wait_for_metric("ringgate_connections_open", &[], |open| open == 500.0);
    assert_eq!(gateway.client().get("/").status(), 200);
    drop(silent);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn pipelining_without_reading_is_bounded() {
    let upstream = Upstream::with(|_| ok(vec![b'x'; 10_000]));
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.shrink_buffers();
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200_000);
    let sent = client.send_some(requests.as_bytes(), std::time::Duration::from_millis(500));
    assert!(sent < requests.len(), "requests are read only as answers are taken");
    drop(client);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_only_stops_sending_gets_a_slow_response() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        // Longer than the gateway leaves a waiting client unwatched.
        pace(std::time::Duration::from_millis(1500));
        peer.send(ok("late"));
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish_sending();
    assert_eq!(client.response().text(), "late");
}

#[test]
fn a_last_answer_is_read_whatever_the_client_sent_behind_its_request() {
    let body = "x".repeat(200_000);
    let upstream = Upstream::saying(&body);
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    for last in ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "BAD\r\n\r\n"] {
        // Unread bytes at a close make the kernel send a reset, which would overtake the answer.
        let behind = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2_000);
        let mut client = gateway.client();
        client.send(format!("{last}{behind}"));
        let response = client.response();
        assert!(response.status() == 400 || response.body.len() == body.len());
        assert_eq!(client.try_response("GET").unwrap_err(), WireError::Ended, "{last:?}");
    }
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_refusal_is_read_by_a_client_that_first_sends_all_of_its_body() {
    let upstream = Upstream::saying("x");
    let config = Config::forwarding_to(&upstream).set("limits.request_body_bytes", "1KiB");
    let gateway = Gateway::start(&config.respond(json!({ "path": "/alive" }), "yes"));
    let before = Baseline::take(&gateway);
    // What is kept, what is read and thrown away behind the answer, and more than that.
    for length in [2_000, 100_000, 8_000_000] {
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        let _ = client.try_send("b".repeat(length));
        assert_eq!(client.response().status(), 413, "{length}");
    }
    upstream.expect_no_request();
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn a_client_that_takes_no_response_costs_no_more_than_its_buffers() {
    const STUCK: usize = 40;
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        let body = vec![b'b'; 16 * 1024 * 1024];
        let _ = peer.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        let _ = peer.try_send(&body);
    });
    let gateway = in_front_of(&upstream);
    let before = Baseline::take(&gateway);
    let stuck: Vec<Client> = (0..STUCK)
        .map(|_| {
            let mut client = gateway.client();
            client.shrink_buffers();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
            client
        })
        .collect();
    let bodies = ["pool=\"body\""];
    gateway.wait_for_metric("ringgate_buffers_in_use", &bodies, |held| held >= STUCK as f64);
    let metrics = gateway.metrics();
    // One is being filled while the other is being sent.
    assert!(metrics.sum("ringgate_buffers_in_use", &bodies) <= 2.0 * STUCK as f64);
    let heads = metrics.sum("ringgate_buffers_in_use", &["pool=\"head\""]);
    assert!(heads <= 4.0 * STUCK as f64, "{heads} heads");
    assert_eq!(gateway.client().get("/alive").status(), 200);
    drop(stuck);
    before.expect_restored(&gateway, "/alive");
}
