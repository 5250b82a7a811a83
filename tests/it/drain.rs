//! SIGTERM lets what is in flight finish, SIGINT does not wait.

use std::net::TcpStream;

use crate::harness::deadline::told;
use crate::harness::message::read_response_head;
use crate::harness::upstream::ok;
use crate::harness::{Config, Gateway, Upstream, wait_until};
use rustix::process::Signal;
use serde_json::json;

/// An upstream that answers when told.
fn waiting_upstream() -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        told(&wait.lock().unwrap());
        peer.send(ok("finished"));
    });
    (upstream, go)
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let (upstream, go) = waiting_upstream();
    let mut gateway = Gateway::start(&Config::forwarding_to(&upstream).set("workers", 2));
    let address = gateway.address();
    let mut idle = gateway.client();
    let mut busy = gateway.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    gateway.signal(Signal::TERM);
    idle.expect_end();
    wait_until("the listener to close", || TcpStream::connect(address).is_err().then_some(()));
    assert!(!gateway.has_ended(), "a request is in flight");
    go.send(()).unwrap();
    let response = busy.response();
    assert_eq!(response.text(), "finished");
    assert_eq!(response.field("Connection"), Some("close"));
    busy.expect_end();
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

#[test]
fn sigterm_cuts_what_is_still_open_at_the_deadline() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer.wait_for_end();
    });
    let config = Config::forwarding_to(&upstream).set("timeouts.drain", "200ms");
    let mut gateway = Gateway::start(&config);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
    gateway.signal(Signal::TERM);
    client.wait_for_end();
    let status = gateway.wait_for_exit();
    assert!(status.code().is_some(), "it ends by itself: {status}");
}

#[test]
fn a_drained_gateway_is_not_ready() {
    let (upstream, go) = waiting_upstream();
    let mut gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut busy = gateway.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    assert_eq!(gateway.admin("/readyz").status(), 200);
    gateway.signal(Signal::TERM);
    wait_until("not ready", || (gateway.admin("/readyz").status() == 503).then_some(()));
    assert_eq!(gateway.admin("/livez").status(), 200);
    go.send(()).unwrap();
    assert_eq!(busy.response().text(), "finished");
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

#[test]
fn sigint_stops() {
    let (upstream, go) = waiting_upstream();
    let mut gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut busy = gateway.client();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    gateway.signal(Signal::INT);
    busy.wait_for_end();
    assert!(gateway.wait_for_exit().code().is_some());
    // Lets the upstream's script see the end instead of a closed channel.
    go.send(()).unwrap();
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let mut gateway = Gateway::start(&Config::new().respond(json!({}), "x"));
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "x");
    gateway.signal(Signal::TERM);
    client.expect_end();
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}
