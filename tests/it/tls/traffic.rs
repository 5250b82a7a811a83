//! Requests, bodies and tunnels over TLS.

use std::io::Write as _;

use rustls::version::{TLS12, TLS13};
use serde_json::json;

use super::{NAME, Scene, with_tls};
use crate::harness::upstream::ok;
use crate::harness::{Config, Upstream, WireError, wait_until};

/// A body whose every part is told from the others.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn requests_follow_each_other_on_a_secure_connection_of_either_version() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::forwarding_to(&upstream);
    for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
        let client = scene.authority.client_of(version).forgetful();
        let mut client = client.connect(scene.gateway.address(), NAME);
        for path in ["/one", "/two"] {
            assert_eq!(client.get(path).text(), "hello");
            let request = upstream.request();
            assert_eq!(request.field("X-Forwarded-Proto"), Some("https"));
        }
        let labels = [&*format!("version=\"{name}\""), "resumed=\"no\""];
        assert_eq!(scene.gateway.metrics().sum("ringgate_tls_handshakes_total", &labels), 1.0);
        let line = scene.gateway.wait_for_line(&["\"/two\"", name]);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["tls_resumed"], json!(false));
        let suite = line["tls_suite"].as_str().unwrap();
        assert!(suite.ends_with("AES_128_GCM_SHA256") || suite.ends_with("AES_256_GCM_SHA384"));
    }
}

#[test]
fn requests_in_one_record_and_in_many_are_the_same() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let scene = Scene::forwarding_to(&upstream);
    let mut client = scene.client();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    client.send(request("/one") + &request("/two"));
    assert_eq!(client.response().text(), "/one");
    assert_eq!(client.response().text(), "/two");
    for byte in request("/slow").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().text(), "/slow");
}

#[test]
fn large_bodies_pass_whole_both_ways() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let scene = Scene::forwarding_to(&upstream);
    for version in [&TLS12, &TLS13] {
        let client = scene.authority.client_of(version);
        let mut client = client.connect(scene.gateway.address(), NAME);
        for length in [1, 16_384, 16_385, 100_000, 3_000_000] {
            let body = bytes(length);
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {length}\r\n\r\n"
            ));
            client.send(&body);
            assert!(client.response().body == body, "{length} bytes");
        }
        let body = bytes(500_000);
        client
            .send(format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for chunk in body.chunks(30_000) {
            client.send(format!("{:x}\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.response().body == body, "in chunks");
    }
}

#[test]
fn what_the_client_asked_to_be_the_last_ends_with_a_close_notify() {
    let upstream = Upstream::saying("bye");
    let scene = Scene::forwarding_to(&upstream);
    let mut client = scene.client();
    assert_eq!(client.get_with("/", "Connection: close\r\n").text(), "bye");
    // The library tells an end without one as an error.
    client.expect_end();
}

#[test]
fn a_response_that_is_cut_ends_without_a_close_notify() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let _ = peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nhalf");
        peer.reset();
    });
    let scene = Scene::forwarding_to(&upstream);
    let mut client = scene.client();
    client.send(format!("GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n"));
    let ended = client.read_to_end();
    assert!(matches!(ended, Err(WireError::Reset | WireError::Malformed(_))), "{ended:?}");
}

#[test]
fn a_key_update_changes_nothing() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::forwarding_to(&upstream);
    let mut client = scene.authority.client_of(&TLS13).connect(scene.gateway.address(), NAME);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hello");
        client.with_tls(|tls| {
            tls.conn.refresh_traffic_keys().unwrap();
            tls.flush().unwrap();
        });
    }
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn an_idle_connection_holds_no_buffer_and_goes_on() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::forwarding_to(&upstream);
    let mut clients: Vec<_> = (0..20).map(|_| scene.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
    let gauge = "ringgate_tls_record_buffers_in_use";
    scene.gateway.wait_for_metric(gauge, &[], |buffers| buffers == 0.0);
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "hello");
    }
}

#[test]
fn a_web_socket_passes_both_ways_and_ends_in_order() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let _ = peer.request_head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let heard = peer.read_exactly(5).unwrap();
        peer.send(heard);
        peer.send(bytes(300_000));
        assert_eq!(peer.read_to_end().unwrap(), b"last");
    });
    let scene = Scene::forwarding_to(&upstream);
    let mut client = scene.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    ));
    client.read_through(b"\r\n\r\n").unwrap();
    client.send("hello");
    assert_eq!(client.read_exactly(5).unwrap(), b"hello");
    assert!(client.read_exactly(300_000).unwrap() == bytes(300_000));
    client.send("last");
    client.finish_sending();
    client.expect_end();
}

#[test]
fn a_listener_with_tcp_ends_tls_as_well() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let heard = peer.read_exactly(5).unwrap();
        peer.send(heard);
        assert_eq!(peer.read_to_end().unwrap(), b"");
    });
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .set("listeners.0.tcp", json!({ "upstream": "main" }));
    let scene = Scene::start(config);
    let mut client = scene.client();
    client.send("hello");
    assert_eq!(client.read_exactly(5).unwrap(), b"hello");
    client.finish_sending();
    client.expect_end();
    let line = wait_until("the line", || scene.gateway.access_log().pop());
    assert_eq!(line["tls_version"], json!("TLSv1.3"), "{line}");
}

#[test]
fn a_header_of_the_proxy_protocol_comes_before_tls() {
    let upstream = Upstream::saying("hello");
    let config = with_tls(Config::forwarding_to(&upstream))
        .set("listeners.0.proxy_protocol", json!({ "mode": "required", "from": ["127.0.0.0/8"] }));
    let scene = Scene::start(config);
    let mut tcp = std::net::TcpStream::connect(scene.gateway.address()).unwrap();
    tcp.write_all(b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n").unwrap();
    let name = NAME.try_into().unwrap();
    let session = rustls::ClientConnection::new(scene.authority.client().0, name).unwrap();
    let mut client = crate::harness::Client::over_tls(rustls::StreamOwned::new(session, tcp));
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(upstream.request().field("X-Forwarded-For"), Some("198.51.100.7"));
}
