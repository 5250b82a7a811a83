//! Listeners with `tcp`: each connection is led to an endpoint and nothing of it is read.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::deadline::{PATIENCE, told};
use crate::harness::upstream::{Refusing, Unanswering};
use crate::harness::{Baseline, Client, Config, Gateway, Peer, Upstream, wait_until};

const RAW: &str = "listener=\"raw\"";

/// A listener `raw` that leads to these endpoints, each in turn, beside one that speaks HTTP.
fn leading_to(endpoints: &[&str]) -> Config {
    Config::new()
        .set("listeners", listeners(&json!({ "upstream": "main" })))
        .endpoints("main", endpoints)
        .set("upstreams.main.balance", "round_robin")
        .respond(json!({ "path": "/alive" }), "yes")
}

fn listeners(tcp: &Value) -> Value {
    json!([
        { "name": "public", "address": "127.0.0.1:0" },
        { "name": "raw", "address": "127.0.0.2:0", "tcp": tcp },
    ])
}

/// As [`leading_to`], but `raw` speaks HTTP as well.
fn speaking_http(endpoints: &[&str]) -> Config {
    leading_to(endpoints).set(
        "listeners",
        json!([
            { "name": "public", "address": "127.0.0.1:0" },
            { "name": "raw", "address": "127.0.0.2:0" },
        ]),
    )
}

/// An upstream that sends back each byte.
fn echoing() -> Upstream {
    Upstream::scripted(|_, peer| echo(peer))
}

fn echo(mut peer: Peer) {
    while let Ok(byte) = peer.read_exactly(1) {
        if peer.try_send(byte).is_err() {
            return;
        }
    }
}

fn connect(gateway: &Gateway) -> Client {
    Client::connect(gateway.listener("raw"))
}

#[track_caller]
fn expect_echo(client: &mut Client, message: &str) {
    client.send(message);
    assert_eq!(client.read_exactly(message.len()).unwrap(), message.as_bytes());
}

/// The access log's only line about `raw`.
#[track_caller]
fn only_line(gateway: &Gateway) -> Value {
    let lines = wait_until("a line of the access log", || {
        let mut lines = gateway.access_log();
        lines.retain(|line| line["listener"] == "raw");
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

#[track_caller]
fn expect_ended(gateway: &Gateway, how: &str, count: f64) {
    let how = format!("ended=\"{how}\"");
    gateway.wait_for_metric("ringgate_tcp_connections_ended_total", &[RAW, &how], |n| n == count);
}

/// A connection that was led nowhere, for this reason.
#[track_caller]
fn expect_refused(gateway: &Gateway, reason: &str, fault: &str) {
    // The reset may come before the connect has returned.
    let end = TcpStream::connect(gateway.listener("raw")).and_then(|mut client| {
        client.set_read_timeout(Some(PATIENCE))?;
        client.read(&mut [0])
    });
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    expect_ended(gateway, "refused", 1.0);
    let labels = [format!("reason=\"{reason}\""), format!("fault=\"{fault}\"")];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(gateway.metrics().sum("ringgate_refusals_total", &labels), 1.0);
    let line = only_line(gateway);
    assert_eq!((&line["ended"], &line["reason"]), (&json!("refused"), &json!(reason)), "{line}");
    assert_eq!((&line["upstream"], &line["endpoint"]), (&json!("main"), &Value::Null), "{line}");
}

#[test]
fn bytes_pass_both_ways_unread() {
    let upstream = echoing();
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let before = Baseline::take(&gateway);
    let mut client = connect(&gateway);
    for message in ["hello", "\0\u{7f}\r\n\r\n", "GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"] {
        expect_echo(&mut client, message);
    }
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("ringgate_connections_open", &[RAW]), 1.0);
    assert_eq!(metrics.sum("ringgate_connections_total", &[RAW]), 1.0);
    assert_eq!(metrics.sum("ringgate_upstream_requests_in_flight", &[]), 1.0);
    drop(client);
    before.expect_restored(&gateway, "/alive");
    assert_eq!(gateway.metrics().sum("ringgate_listener_requests_total", &[RAW]), 0.0);
}

#[test]
fn a_gateway_of_tcp_listeners_alone_needs_no_routes() {
    let upstream = echoing();
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .set("listeners.0.tcp", json!({ "upstream": "main" }));
    let gateway = Gateway::start(&config);
    expect_echo(&mut gateway.client(), "hello");
    assert_eq!(gateway.admin("/readyz").status(), 200);
}

#[test]
fn the_upstream_may_speak_first_and_may_be_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted_unix(&directory.path().join("socket"), |_, mut peer| {
        peer.send("220 ready\r\n");
        peer.wait_for_end();
    });
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    assert_eq!(connect(&gateway).read_through(b"\n").unwrap(), b"220 ready\r\n");
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let all = peer.read_to_end().unwrap();
        peer.send(format!("{} bytes", all.len()));
    });
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let mut client = connect(&gateway);
    client.send("x".repeat(1000));
    client.finish_sending();
    assert_eq!(client.read_to_end().unwrap(), b"1000 bytes");
    expect_ended(&gateway, "closed", 1.0);
}

#[test]
fn an_upstream_that_has_said_all_still_hears_the_client() {
    let (tell, heard) = channel();
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.send("bye");
        peer.finish_sending();
        tell.send(peer.read_to_end().unwrap()).unwrap();
    });
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let mut client = connect(&gateway);
    assert_eq!(client.read_to_end().unwrap(), b"bye");
    client.send("but wait");
    client.finish_sending();
    assert_eq!(told(&heard), b"but wait");
    expect_ended(&gateway, "closed", 1.0);
}

#[test]
fn much_passes_both_ways_at_once_and_arrives_as_it_was() {
    const PIECE: usize = 64 * 1024;
    let upstream = Upstream::scripted(|_, mut peer| {
        while let Ok(piece) = peer.read_exactly(PIECE) {
            peer.send(piece);
        }
    });
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let sent: Vec<u8> = (0..256 * PIECE as u64).map(|n| (n * n / 251).to_le_bytes()[0]).collect();
    let mut reading = TcpStream::connect(gateway.listener("raw")).unwrap();
    let mut writing = reading.try_clone().unwrap();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            writing.write_all(&sent).unwrap();
            writing.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        reading.read_to_end(&mut received).unwrap();
        received
    });
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    expect_ended(&gateway, "closed", 1.0);
    let total = |name| gateway.metrics().sum(name, &[RAW]);
    let bytes = f64::from(u32::try_from(sent.len()).unwrap());
    assert_eq!(total("ringgate_tcp_received_bytes_total"), bytes);
    assert_eq!(total("ringgate_tcp_sent_bytes_total"), bytes);
}

#[test]
fn a_reset_of_either_side_reaches_the_other() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = upstream.local_addr().unwrap().to_string();
    let gateway = Gateway::start(&leading_to(&[&endpoint]));
    for of_client in [true, false] {
        let mut client = TcpStream::connect(gateway.listener("raw")).unwrap();
        let mut server = upstream.accept().unwrap().0;
        client.write_all(b"a").unwrap();
        server.read_exact(&mut [0]).unwrap();
        let (resetting, other) = if of_client { (client, server) } else { (server, client) };
        socket2::SockRef::from(&resetting).set_linger(Some(Duration::ZERO)).unwrap();
        drop(resetting);
        wait_until("a reset, not an end alone", || other.take_error().unwrap());
    }
    expect_ended(&gateway, "failed", 2.0);
}

#[test]
fn an_upstream_that_refuses_resets_the_client() {
    let refusing = Refusing::new();
    let gateway = Gateway::start(&leading_to(&[&refusing.endpoint()]));
    let before = Baseline::take(&gateway);
    expect_refused(&gateway, "upstream.connect_refused", "upstream");
    let main = &["upstream=\"main\""];
    assert_eq!(gateway.metrics().sum("ringgate_upstream_failures_total", main), 1.0);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn an_upstream_that_does_not_accept_is_given_up() {
    let unanswering = Unanswering::new();
    let config = leading_to(&[&unanswering.endpoint()]).set("timeouts.connect", "150ms");
    expect_refused(&Gateway::start(&config), "upstream.connect_timeout", "upstream");
}

#[test]
fn an_endpoint_that_refuses_is_passed_over_and_ejected() {
    let (refusing, upstream) = (Refusing::new(), echoing());
    let config = leading_to(&[&refusing.endpoint(), upstream.endpoint()])
        .set("upstreams.main.ejection", json!({ "consecutive_failures": 2, "base": "1h" }));
    let gateway = Gateway::start(&config);
    for _ in 0..8 {
        expect_echo(&mut connect(&gateway), "hello");
    }
    let metrics = gateway.metrics();
    let main = &["upstream=\"main\""];
    assert_eq!(metrics.sum("ringgate_upstream_failures_total", main), 2.0);
    assert_eq!(metrics.sum("ringgate_upstream_ejections_total", main), 1.0);
    assert_eq!(metrics.sum("ringgate_upstream_connects_total", main), 10.0);
}

#[test]
fn an_accepted_connection_ends_a_row_of_failures() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let config = leading_to(&[&format!("unix:{}", path.display())])
        .set("upstreams.main.ejection", json!({ "consecutive_failures": 2, "base": "1h" }));
    let gateway = Gateway::start(&config);
    let fail = |count: f64| {
        // It may be reset before the connect has returned.
        let _ = TcpStream::connect(gateway.listener("raw"));
        expect_ended(&gateway, "refused", count);
    };
    let ejections = || gateway.metrics().sum("ringgate_upstream_ejections_total", &[]);
    fail(1.0);
    let _upstream = Upstream::scripted_unix(&path, |_, peer| echo(peer));
    expect_echo(&mut connect(&gateway), "hello");
    std::fs::remove_file(&path).unwrap();
    fail(2.0);
    assert_eq!(ejections(), 0.0);
    fail(3.0);
    assert_eq!(ejections(), 1.0);
}

#[test]
fn a_connection_without_a_byte_is_closed() {
    let (tell, ended) = channel();
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.wait_for_end();
        tell.send(()).unwrap();
    });
    let config = leading_to(&[upstream.endpoint()]).set("timeouts.tunnel_idle", "150ms");
    let gateway = Gateway::start(&config);
    let before = Baseline::take(&gateway);
    connect(&gateway).expect_end();
    told(&ended);
    assert_eq!(only_line(&gateway)["ended"], "idle");
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn connections_over_the_limit_are_closed() {
    let upstream = echoing();
    let config = leading_to(&[upstream.endpoint()]).set("limits.connections", 1);
    let gateway = Gateway::start(&config);
    let before = Baseline::take(&gateway);
    let mut held = connect(&gateway);
    expect_echo(&mut held, "hello");
    connect(&gateway).expect_end();
    let line = only_line(&gateway);
    assert_eq!((&line["ended"], &line["reason"]), (&json!("refused"), &json!("limit.connections")));
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("ringgate_connections_refused_total", &[RAW]), 1.0);
    assert_eq!(upstream.connections(), 1);
    expect_echo(&mut held, "who is in is not disturbed");
    drop(held);
    before.expect_restored(&gateway, "/alive");
}

#[test]
fn the_access_log_has_a_line_for_each_connection() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.read_exactly(5).unwrap();
        peer.send("hello, you");
    });
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let mut client = connect(&gateway);
    let local = client.local_address().to_string();
    client.send("hello");
    assert_eq!(client.read_to_end().unwrap(), b"hello, you");
    drop(client);
    let mut line = only_line(&gateway);
    let line = line.as_object_mut().unwrap();
    assert!(line.remove("time").is_some_and(|time| time.is_string()));
    assert!(line.remove("duration_us").is_some_and(|duration| duration.is_u64()));
    let expected = json!({
        "client": local,
        "listener": "raw",
        "ended": "closed",
        "upstream": "main",
        "endpoint": upstream.endpoint(),
        "received_bytes": 5,
        "sent_bytes": 10,
    });
    assert_eq!(json!(line), expected);
}

#[test]
fn sigterm_lets_a_connection_run_to_its_end() {
    let upstream = echoing();
    let mut gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let address = gateway.listener("raw");
    let mut client = connect(&gateway);
    expect_echo(&mut client, "before");
    gateway.signal(Signal::TERM);
    wait_until("the listener to close", || TcpStream::connect(address).is_err().then_some(()));
    expect_echo(&mut client, "after");
    drop(client);
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
    let closed = |line: &&Value| line["ended"] == "closed" && line["received_bytes"] == 11;
    assert_eq!(gateway.access_log().iter().filter(closed).count(), 1);
}

#[test]
fn a_drain_cuts_what_is_open_at_its_end_and_says_so() {
    let upstream = echoing();
    let config = leading_to(&[upstream.endpoint()]).set("timeouts.drain", "200ms");
    let mut gateway = Gateway::start(&config);
    let mut client = connect(&gateway);
    expect_echo(&mut client, "hello");
    gateway.signal(Signal::TERM);
    client.wait_for_end();
    assert!(gateway.wait_for_exit().code().is_some());
    let line = only_line(&gateway);
    assert_eq!((&line["ended"], &line["sent_bytes"]), (&json!("cut"), &json!(5)), "{line}");
}

#[test]
fn a_reload_leads_new_connections_elsewhere_and_leaves_the_old() {
    let (old, new) = (echoing(), echoing());
    let gateway = Gateway::start(&leading_to(&[old.endpoint()]));
    let mut kept = connect(&gateway);
    expect_echo(&mut kept, "before");
    gateway.reload(leading_to(&[new.endpoint()]));
    wait_until("the new endpoint", || {
        expect_echo(&mut connect(&gateway), "x");
        (new.connections() > 0).then_some(())
    });
    expect_echo(&mut kept, "after");
    // And without the listener.
    gateway.reload(Config::new().respond(json!({ "path": "/alive" }), "yes"));
    let address = gateway.listener("raw");
    wait_until("the listener to close", || TcpStream::connect(address).is_err().then_some(()));
    expect_echo(&mut kept, "still");
}

#[test]
fn a_reload_may_make_a_listener_speak_http_and_back() {
    let upstream = echoing();
    let endpoints = [upstream.endpoint()];
    let gateway = Gateway::start(&leading_to(&endpoints));
    let mut tunnel = connect(&gateway);
    expect_echo(&mut tunnel, "hello");

    gateway.reload(speaking_http(&endpoints));
    let answers_http = || {
        let mut client = connect(&gateway);
        client.send("GET /alive HTTP/1.1\r\nHost: a\r\n\r\n");
        let first = client.read_exactly(5).unwrap();
        (first == b"HTTP/").then_some(client)
    };
    let mut http = wait_until("an answer to HTTP", answers_http);
    assert!(http.read_through(b"\r\n\r\nyes").is_ok());
    expect_echo(&mut tunnel, "who is in keeps what it began with");

    gateway.reload(leading_to(&endpoints));
    // It waits for a request, which the listener has no routes for any more.
    http.expect_end();
    wait_until("bytes led on", || answers_http().is_none().then_some(()));
    expect_echo(&mut tunnel, "still");
}

#[test]
fn the_admin_listener_says_that_no_token_is_asked_for() {
    let upstream = echoing();
    let gateway = Gateway::start(&leading_to(&[upstream.endpoint()]));
    let config = gateway.admin("/config").json();
    assert_eq!(config["listeners"][0]["tcp"], Value::Null, "{config}");
    assert_eq!(config["listeners"][1]["tcp"], json!({ "upstream": "main" }), "{config}");
    let described = json!({ "listener": "raw", "target": "/" }).to_string();
    let told = gateway.admin_post("/explain", &described).json();
    assert_eq!(
        (&told["verdict"], &told["route"], &told["upstream"]),
        (&json!("no_token"), &Value::Null, &json!("main"))
    );
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("no token is asked")));
}
