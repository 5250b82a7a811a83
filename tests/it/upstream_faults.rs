//! What follows from an upstream that fails, beyond what `faults` checks of each way: retries, ejection,
//! pools, every malformed head; the right status, nothing
//! leaked, nobody else disturbed.

use serde_json::{Value, json};

use crate::harness::fixture::Fixture;
use crate::harness::upstream::{Refusing, ok};
use crate::harness::{Baseline, Config, Gateway, Peer, Upstream};

/// A gateway in front of an upstream that does this on each connection, and a route of its own
/// that shows that others are served.
fn in_front_of(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::scripted(script);
    let gateway = Gateway::start(&config(&upstream));
    (upstream, gateway)
}

fn config(upstream: &Upstream) -> Config {
    Config::forwarding_to(upstream)
        .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }))
        .respond(json!({ "path": "/alive" }), "yes")
}

/// A configuration for endpoints without an [`Upstream`] behind the first.
fn endpoints(endpoints: &[&str], ejection: &Value) -> Config {
    Config::new()
        .endpoints("main", endpoints)
        .set("upstreams.main.balance", "round_robin")
        .set("upstreams.main.ejection", ejection.clone())
        .route(json!({ "match": {}, "upstream": "main" }))
        .respond(json!({ "path": "/alive" }), "yes")
}

#[test]
fn a_unix_socket_that_is_not_there_is_502() {
    let never = json!({ "consecutive_failures": 0 });
    let gateway = Gateway::start(&endpoints(&["unix:/nonexistent/ringgate.sock"], &never));
    assert_eq!(gateway.client().get("/").status(), 502);
}

#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    let (refusing, upstream) = (Refusing::new(), Upstream::saying("x"));
    let never = json!({ "consecutive_failures": 0 });
    let gateway = Gateway::start(&endpoints(&[&refusing.endpoint(), upstream.endpoint()], &never));
    for _ in 0..6 {
        // Nothing was sent to the one that refused, so any method may go to the other.
        let mut client = gateway.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb");
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.request().text(), "b");
    }
}

#[test]
fn garbage_is_502_whatever_it_is() {
    for fixture in Fixture::all("bad_responses") {
        let bytes = fixture.bytes.clone();
        let (_upstream, gateway) = in_front_of(move |_, mut peer| {
            peer.request();
            // The gateway may have had enough before the end of it.
            let _ = peer.try_send(&bytes);
            peer.wait_for_end();
        });
        let before = Baseline::take(&gateway);
        let mut client = gateway.client();
        let response = client.get("/");
        assert_eq!(response.status(), 502, "{}: {}", fixture.name, response.text());
        assert_eq!(client.get("/alive").status(), 200, "{}", fixture.name);
        drop(client);
        before.expect_restored(&gateway, "/alive");
    }
}

#[test]
fn bytes_after_the_response_do_not_become_the_answer_to_another() {
    let (upstream, gateway) = in_front_of(|number, mut peer| {
        peer.request();
        if number == 0 {
            peer.send([ok("first"), ok("poisoned")].concat());
            peer.wait_for_end();
        } else {
            peer.send(ok("second"));
        }
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "first");
    assert_eq!(client.get("/").text(), "second");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let (_upstream, gateway) = in_front_of(|_, mut peer| {
        peer.request_head();
        peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        peer.wait_for_end();
    });
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
    // The rest of the body was not read, so nothing can follow it.
    assert_eq!(response.field("Connection"), Some("close"));
    client.wait_for_end();
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_early_answer_does_not_take_the_rest_of_the_body_for_a_request() {
    let (_upstream, gateway) = in_front_of(|number, mut peer| {
        if number == 0 {
            peer.request_head();
            peer.send(ok("early"));
            peer.wait_for_end();
        } else {
            panic!("the rest of a body came as a request: {:?}", peer.request());
        }
    });
    let mut client = gateway.client();
    let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    assert_eq!(client.response().text(), "early");
    let _ = client.try_send(body);
    client.finish_sending();
    client.wait_for_end();
}

#[test]
fn an_idempotent_request_on_a_dead_pooled_connection_is_retried() {
    // Answers once on each connection, then closes when the next request comes: the race that a
    // pool cannot see before it sends.
    let (upstream, gateway) = in_front_of(|_, mut peer| {
        peer.request();
        peer.send(ok("x"));
        let _ = peer.read_exactly(1);
    });
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(upstream.connections(), 3);
    let retries = gateway.metrics().sum("ringgate_upstream_retries_total", &[]);
    assert_eq!(retries, 2.0);
}

#[test]
fn a_request_that_is_not_idempotent_is_not_retried_once_sent() {
    let (upstream, gateway) = in_front_of(|_, mut peer| {
        peer.request();
        peer.send(ok("x"));
        let _ = peer.read_exactly(1);
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb");
    assert_eq!(client.response().status(), 502);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_pooled_connection_that_the_upstream_closed_is_noticed() {
    let (upstream, gateway) = in_front_of(|_, mut peer| {
        peer.request();
        peer.send(ok("x"));
    });
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    gateway.wait_for_metric("ringgate_upstream_connections_idle", &[], |idle| idle == 0.0);
    // Nothing was lost with it: even this gets a fresh one.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_idle_pooled_connection_is_closed_after_its_time() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&config(&upstream).set("upstreams.main.idle_timeout", "100ms"));
    assert_eq!(gateway.client().get("/").status(), 200);
    gateway.wait_for_metric("ringgate_upstream_connections_idle", &[], |idle| idle == 0.0);
    assert_eq!(gateway.client().get("/").status(), 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn the_pool_is_bounded() {
    let upstream = Upstream::scripted(|_, mut peer| peer.answer_all(|_| ok("x")));
    let gateway = Gateway::start(&config(&upstream).set("upstreams.main.idle_connections", 0));
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn an_endpoint_that_fails_in_a_row_is_ejected_and_comes_back() {
    let (refusing, upstream) = (Refusing::new(), Upstream::saying("x"));
    let ejection = json!({ "consecutive_failures": 3, "base": "1h", "max": "1h" });
    let gateway =
        Gateway::start(&endpoints(&[&refusing.endpoint(), upstream.endpoint()], &ejection));
    for _ in 0..10 {
        assert_eq!(gateway.client().get("/").status(), 200);
    }
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("ringgate_upstream_ejections_total", &[]), 1.0);
    assert_eq!(metrics.sum("ringgate_upstream_failures_total", &[]), 3.0, "none after it");
    gateway.wait_for_line(&["eject", &refusing.endpoint()]);
}

#[test]
fn the_last_endpoint_is_never_ejected() {
    let (upstream, gateway) = {
        let upstream = Upstream::scripted(|number, mut peer| {
            if number < 5 {
                peer.request();
                peer.send("garbage\r\n\r\n");
            } else {
                peer.answer_all(|_| ok("well again"));
            }
        });
        let ejection = json!({ "consecutive_failures": 2, "base": "1h", "max": "1h" });
        let gateway = Gateway::start(&endpoints(&[upstream.endpoint()], &ejection));
        (upstream, gateway)
    };
    for _ in 0..5 {
        assert_eq!(gateway.client().get("/").status(), 502);
    }
    assert_eq!(gateway.client().get("/").text(), "well again");
    drop(upstream);
}

#[test]
fn a_failing_upstream_disturbs_no_other() {
    let (refusing, upstream) = (Refusing::new(), Upstream::saying("fine"));
    let never = json!({ "consecutive_failures": 0 });
    let config = endpoints(&[&refusing.endpoint()], &never)
        .endpoints("other", &[upstream.endpoint()])
        .route(json!({ "match": { "path": "/other" }, "upstream": "other" }));
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").status(), 502);
        assert_eq!(client.get("/other").text(), "fine");
    }
}

#[test]
fn a_body_for_an_upstream_that_is_not_there_does_not_become_a_request() {
    let refusing = Refusing::new();
    let gateway = Gateway::start(&endpoints(&[&refusing.endpoint()], &json!({})));
    let body = "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().status(), 502);
    assert_eq!(client.get("/alive").text(), "yes", "the one answer to the one more request");
    assert!(client.is_silent());
}

#[test]
fn an_interim_response_does_not_lift_the_deadline_of_the_request_body() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        peer.wait_for_end();
    });
    let gateway = Gateway::start(&config(&upstream).set("timeouts.body_progress", "200ms"));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    let hints = crate::harness::message::read_response_head(&mut client, "POST").unwrap();
    assert_eq!(hints.status(), 103);
    assert_eq!(client.response_to("POST").status(), 408);
    client.wait_for_end();
    drop(client);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_upstream_that_closes_while_the_body_goes_up_is_to_blame() {
    let (_upstream, gateway) = in_front_of(|_, mut peer| {
        peer.request_head();
        peer.reset();
    });
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    client.send("b".repeat(100_000));
    assert_eq!(client.response_to("POST").status(), 502);
    client.wait_for_end();
    drop(client);
    assert_eq!(gateway.metrics().sum("ringgate_upstream_failures_total", &[]), 1.0);
    before.expect_restored(&gateway, "/alive");
}
