//! Handshakes: what is agreed on, what is resumed, and what fails and how.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tempfile::TempDir;

use super::{NAME, Scene, certificates, with_tls};
use crate::harness::{Authority, Baseline, Client, Config, Gateway, Upstream, wait_until};

const FAILURES: &str = "ringgate_tls_handshake_failures_total";

fn config() -> Config {
    Config::new().respond(json!({}), "hello")
}

#[track_caller]
fn expect_failure(gateway: &Gateway, reason: &str, count: f64) {
    let label = format!("reason=\"{reason}\"");
    gateway.wait_for_metric(FAILURES, &[&label], |failures| failures == count);
}

#[test]
fn a_session_is_resumed_on_whichever_worker() {
    let scene = Scene::start(config().set("workers", 2));
    for version in [&TLS12, &TLS13] {
        let client = scene.authority.client_of(version);
        for round in 0..12 {
            let mut stream = client.connect(scene.gateway.address(), NAME);
            assert_eq!(stream.get("/").text(), "hello");
            let kind = stream.with_tls(|tls| tls.conn.handshake_kind());
            let resumed = kind == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, round > 0, "round {round}");
        }
    }
    let resumed = ["resumed=\"yes\""];
    assert_eq!(scene.gateway.metrics().sum("ringgate_tls_handshakes_total", &resumed), 22.0);
}

#[test]
fn a_session_is_resumed_after_a_reload() {
    let scene = Scene::start(config());
    let client = scene.authority.client();
    drop(client.connect(scene.gateway.address(), NAME).get("/"));
    scene.gateway.reload(with_tls(config()).set("limits.head_fields", 50));
    scene.gateway.wait_for_line(&["configuration reloaded"]);
    let mut stream = client.connect(scene.gateway.address(), NAME);
    assert_eq!(stream.get("/").text(), "hello");
    let kind = stream.with_tls(|tls| tls.conn.handshake_kind());
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}

#[test]
fn the_name_and_the_client_decide_which_certificate_is_shown() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.write(folder.path(), "a", &["a.example"]);
    authority.write_as(folder.path(), "b", &["*.b.example"], &PKCS_ED25519, |_| {});
    authority.write_as(folder.path(), "c", &["c.b.example"], &PKCS_ECDSA_P384_SHA384, |_| {});
    let config = config().set("listeners.0.tls.certificates", certificates(&["a", "b", "c"]));
    let gateway = Gateway::start_in(folder, &config);
    let client = authority.client();
    for name in ["a.example", "x.b.example", "c.b.example"] {
        // The client refuses a certificate of another name.
        assert_eq!(client.connect(gateway.address(), name).get("/").text(), "hello", "{name}");
    }
    let error = client.try_connect(gateway.address(), "other.example").unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "the default is shown: {error}");

    gateway.reload(config.set("listeners.0.tls.unknown_name", "refuse"));
    gateway.wait_for_line(&["every worker runs the snapshot", "generation=2"]);
    let error = client.try_connect(gateway.address(), "other.example").unwrap_err().to_string();
    assert!(error.contains("fatal alert: AccessDenied"), "{error}");
    expect_failure(&gateway, "no_certificate", 1.0);
}

#[test]
fn a_client_gets_the_certificate_whose_key_it_takes() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.write_as(folder.path(), "a", &[NAME], &PKCS_ED25519, |_| {});
    authority.write_as(folder.path(), "b", &[NAME], &PKCS_ECDSA_P256_SHA256, |_| {});
    let config = config().set("listeners.0.tls.certificates", certificates(&["a", "b"]));
    let gateway = Gateway::start_in(folder, &config);
    let mut provider = rustls::crypto::ring::default_provider();
    provider.signature_verification_algorithms.mapping =
        &rustls::crypto::ring::default_provider().signature_verification_algorithms.mapping[..2];
    let client = authority.client().over(provider);
    assert_eq!(client.connect(gateway.address(), NAME).get("/").text(), "hello");
}

#[test]
fn the_modern_profile_is_tls_1_3_alone() {
    let scene = Scene::start(config().set("listeners.0.tls.profile", "modern"));
    assert_eq!(scene.client().get("/").text(), "hello");
    let old = scene.authority.client_of(&TLS12);
    let error = old.try_connect(scene.gateway.address(), NAME).unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    expect_failure(&scene.gateway, "version", 1.0);
}

#[test]
fn http_1_1_is_agreed_on_and_nothing_else() {
    let scene = Scene::start(config());
    let alpn = |protocols: &[&[u8]]| {
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let client = scene.authority.client().with(|config| config.alpn_protocols = protocols);
        client.try_connect(scene.gateway.address(), NAME)
    };
    let stream = alpn(&[b"h2", b"http/1.1"]).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = alpn(&[b"h2"]).unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    expect_failure(&scene.gateway, "protocol", 1.0);
}

#[test]
fn plain_text_is_answered_and_closed() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    let mut client = scene.gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.field("Connection")), (400, Some("close")));
    client.finish_sending();
    client.expect_end();
    expect_failure(&scene.gateway, "plain_text", 1.0);
    let refused = ["reason=\"tls.plain_text\"", "fault=\"client\""];
    assert_eq!(scene.gateway.metrics().sum("ringgate_refusals_total", &refused), 1.0);
    expect_settled(&scene, baseline);
}

#[test]
fn tls_on_a_plain_listener_is_declined_in_its_own_language() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let error =
        Authority::new().client().try_connect(gateway.address(), NAME).unwrap_err().to_string();
    assert!(error.contains("HandshakeFailure"), "{error}");
    let refused = ["reason=\"tls.not_spoken\"", "fault=\"client\""];
    gateway.wait_for_metric("ringgate_refusals_total", &refused, |count| count == 1.0);
    upstream.expect_no_request();
}

/// As [`Baseline::expect_restored`], for a listener with TLS.
#[track_caller]
fn expect_settled(scene: &Scene, before: Baseline) {
    wait_until("the gateway to be as before", || {
        (Baseline::take(&scene.gateway) == before).then_some(())
    });
    for gauge in ["ringgate_tls_handshakes_in_progress", "ringgate_tls_record_buffers_in_use"] {
        scene.gateway.wait_for_metric(gauge, &[], |value| value == 0.0);
    }
    assert_eq!(scene.client().get("/").text(), "hello");
}

#[test]
fn a_handshake_that_is_not_finished_is_closed() {
    let scene = Scene::start(config().set("listeners.0.tls.handshake_timeout", "100ms"));
    let baseline = Baseline::take(&scene.gateway);
    let mut silent = scene.gateway.client();
    let mut half = scene.gateway.client();
    half.send(&hello()[..40]);
    silent.expect_end();
    half.wait_for_end();
    expect_failure(&scene.gateway, "timeout", 2.0);
    expect_settled(&scene, baseline);
}

/// The first message of a client.
fn hello() -> Vec<u8> {
    let name = NAME.try_into().unwrap();
    let config = Authority::new().client().0;
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn a_thousand_half_handshakes_leave_room_for_whole_ones() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    let hello = hello();
    let half: Vec<Client> = (0..1000)
        .map(|number: usize| {
            let mut client = scene.gateway.client();
            client.send(&hello[..number % hello.len()]);
            client
        })
        .collect();
    let going_on = "ringgate_tls_handshakes_in_progress";
    scene.gateway.wait_for_metric(going_on, &[], |count| count == 1000.0);
    assert_eq!(scene.client().get("/").text(), "hello");
    drop(half);
    expect_settled(&scene, baseline);
}

#[test]
fn handshakes_over_their_number_are_closed() {
    let scene = Scene::start(config().set("listeners.0.tls.handshakes", 2));
    let baseline = Baseline::take(&scene.gateway);
    let half: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = scene.gateway.client();
            client.send(&hello()[..10]);
            client
        })
        .collect();
    let going_on = "ringgate_tls_handshakes_in_progress";
    scene.gateway.wait_for_metric(going_on, &[], |count| count == 2.0);
    scene.gateway.client().wait_for_end();
    expect_failure(&scene.gateway, "too_many", 1.0);
    drop(half);
    expect_settled(&scene, baseline);
}

#[test]
fn what_is_no_handshake_is_closed_with_an_alert_where_there_is_one() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    let whole = hello();
    // A length of 65535 in the record, and in the message; another type of message; other bytes.
    let long_record = [&[22, 3, 1, 255, 255][..], &[1; 2000]].concat();
    let long_message = [&[22, 3, 1, 64, 0, 1, 255, 255, 255][..], &[1; 16_380]].concat();
    let mut other_message = whole.clone();
    other_message[5] = 14;
    let mut cut = whole.clone();
    cut[3..5].copy_from_slice(&[0, 60]);
    for (bytes, ends_with_alert) in [
        (long_record, true),
        (long_message, false),
        (other_message, true),
        (cut, true),
        (b"\0\0\0\0".to_vec(), false),
        (vec![0xff; 300], false),
    ] {
        let mut stream = TcpStream::connect(scene.gateway.address()).unwrap();
        stream.write_all(&bytes).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let is_alert = answer.first() == Some(&21) && answer.get(5) == Some(&2);
        assert_eq!(is_alert, ends_with_alert, "{:?}: {answer:?}", &bytes[..4]);
    }
    scene.gateway.wait_for_metric(FAILURES, &[], |count| count == 6.0);
    expect_settled(&scene, baseline);
}

#[test]
fn a_hello_of_many_records_that_no_buffer_holds_is_closed() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    let mut stream = TcpStream::connect(scene.gateway.address()).unwrap();
    // A message of 60,000 bytes, in records of 4,000.
    let mut message = vec![1, 0, 234, 96];
    message.resize(60_004, 0);
    for part in message.chunks(4000) {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        let record = [&[22, 3, 1], &length[..], part].concat();
        if stream.write_all(&record).is_err() {
            break;
        }
    }
    let _ = stream.read_to_end(&mut Vec::new());
    expect_failure(&scene.gateway, "too_large", 1.0);
    expect_settled(&scene, baseline);
}

#[test]
fn records_that_do_not_decrypt_end_the_connection_with_an_alert() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    for version in [&TLS12, &TLS13] {
        let client = scene.authority.client_of(version);
        let mut stream = client.try_connect(scene.gateway.address(), NAME).unwrap();
        // What comes behind the handshake is read first: tickets.
        let _ = stream.conn.writer().write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.flush().unwrap();
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).unwrap();
        let rubbish = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
        stream.sock.write_all(&rubbish).unwrap();
        let ended = loop {
            match stream.read(&mut [0; 1000]) {
                Ok(0) => panic!("an end in order"),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        assert!(ended.contains("BadRecordMac"), "{ended}");
    }
    expect_settled(&scene, baseline);
}

#[test]
fn every_alert_in_place_of_the_last_flight_ends_the_handshake() {
    let scene = Scene::start(config());
    let baseline = Baseline::take(&scene.gateway);
    let mut count = 0.0;
    for alert in 0..=255 {
        let mut stream = TcpStream::connect(scene.gateway.address()).unwrap();
        stream.write_all(&hello()).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(&[21, 3, 3, 0, 2, 2, alert]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        count += 1.0;
    }
    scene.gateway.wait_for_metric(FAILURES, &[], |failures| failures == count);
    expect_settled(&scene, baseline);
}

#[test]
fn a_stream_that_is_cut_within_a_record_is_no_request() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::forwarding_to(&upstream);
    let baseline = Baseline::take(&scene.gateway);
    let mut stream = scene.authority.client().try_connect(scene.gateway.address(), NAME).unwrap();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345";
    stream.conn.writer().write_all(request.as_bytes()).unwrap();
    let mut records = Vec::new();
    stream.conn.write_tls(&mut records).unwrap();
    stream.sock.write_all(&records).unwrap();
    stream.conn.writer().write_all(b"67890").unwrap();
    records.clear();
    stream.conn.write_tls(&mut records).unwrap();
    stream.sock.write_all(&records[..records.len() - 1]).unwrap();
    stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = stream.sock.read_to_end(&mut Vec::new());
    let left = ["reason=\"client.left\""];
    scene.gateway.wait_for_metric("ringgate_refusals_total", &left, |count| count == 1.0);
    expect_settled(&scene, baseline);
}

#[test]
fn a_flood_of_handshakes_does_not_starve_whoever_is_there() {
    let scene = Scene::start(config());
    let mut there = scene.client();
    let address = scene.gateway.address();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = scene.authority.client().forgetful();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(client.try_connect(address, NAME));
                }
            });
        }
        for _ in 0..200 {
            // Each within the patience of a test: a whole queue of handshakes would take longer.
            assert_eq!(there.get("/").text(), "hello");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let full = ["resumed=\"no\""];
    let floods = scene.gateway.metrics().sum("ringgate_tls_handshakes_total", &full);
    assert!(floods > 10.0, "there was a flood: {floods}");
}
