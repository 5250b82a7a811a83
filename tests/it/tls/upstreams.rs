//! Upstreams that speak TLS: who is believed, what they are shown, what of it is kept.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use rcgen::PKCS_ECDSA_P256_SHA256;
use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::NAME;
use crate::harness::upstream::ok;
use crate::harness::{
    Authority, Baseline, Client, Config, Gateway, Message, Peer, TlsServer, Upstream, WireError,
    wait_until,
};

const HANDSHAKES: &str = "ringgate_upstream_tls_handshakes_total";

/// A folder with the authority's certificate, and one for the gateway to show.
fn folder(authority: &Authority) -> TempDir {
    let folder = TempDir::new().unwrap();
    authority.write_own(folder.path(), "ca");
    write_own(authority, folder.path(), "gateway");
    folder
}

/// Writes what the gateway shows.
fn write_own(authority: &Authority, folder: &Path, host: &str) {
    authority.write_as(folder, "own", &[host], &PKCS_ECDSA_P256_SHA256, |_| {});
}

/// Forwards to an upstream by TLS with these rules.
fn speaking(upstream: &Upstream, tls: Value) -> Config {
    Config::forwarding_to(upstream).set("upstreams.main.tls", tls)
}

/// As most tests have it.
fn rules() -> Value {
    json!({ "server_name": NAME, "ca_file": "ca.pem" })
}

fn start(authority: &Authority, config: &Config) -> Gateway {
    Gateway::start_in(folder(authority), config)
}

/// How many handshakes have come to this.
fn handshakes(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().sum(HANDSHAKES, &[&format!("result=\"{result}\"")])
}

/// Closes after each response, and tells how each handshake went.
fn closing(server: TlsServer) -> (Upstream, std::sync::mpsc::Receiver<HandshakeKind>) {
    let (told, kinds) = channel();
    let upstream = Upstream::scripted_over_tls(server, move |_, mut peer| {
        if let Ok(head) = peer.read_through(b"\r\n\r\n") {
            assert!(head.starts_with(b"GET "));
            peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            told.send(peer.with_tls_server(|tls| tls.conn.handshake_kind().unwrap())).unwrap();
            peer.finish_sending();
        }
    });
    (upstream, kinds)
}

#[test]
fn requests_go_over_one_connection_to_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let (told, names) = channel();
    let server = authority.server(&[NAME]).with(|config| {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    });
    let upstream = Upstream::scripted_over_tls(server, move |_, mut peer| {
        let name = peer.with_tls_server(|tls| tls.conn.server_name().map(str::to_owned));
        let protocol = peer.with_tls_server(|tls| tls.conn.alpn_protocol().map(<[u8]>::to_vec));
        told.send((name, protocol)).unwrap();
        peer.answer_all(|request| ok(&request.body));
    });
    let gateway = start(&authority, &speaking(&upstream, rules()));
    let before = Baseline::take(&gateway);
    let mut client = gateway.client();
    let body = "x".repeat(300_000);
    for round in 0..3 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.response().text(), body, "{round}");
        assert_eq!(upstream.request().field("X-Forwarded-Proto"), Some("http"));
    }
    assert_eq!(names.recv().unwrap(), (Some(NAME.to_owned()), Some(b"http/1.1".to_vec())));
    assert_eq!(upstream.connections(), 1);
    assert_eq!([handshakes(&gateway, "full"), handshakes(&gateway, "failed")], [1.0, 0.0]);
    drop(client);
    drop(upstream);
    before.expect_settled(&gateway);
}

#[test]
fn the_name_is_the_endpoints_host_where_none_is_given() {
    let authority = Authority::new();
    let name = |peer: &Peer| peer.with_tls_server(|tls| tls.conn.server_name().map(str::to_owned));
    let upstream = Upstream::scripted_over_tls(
        authority.server(&["127.0.0.1", "localhost"]),
        move |_, mut peer| {
            let name = name(&peer).unwrap_or_default();
            peer.answer_all(|_| ok(&name));
        },
    );
    let port = upstream.endpoint().rsplit_once(':').unwrap().1.to_owned();
    let tls = json!({ "ca_file": "ca.pem" });
    let config = speaking(&upstream, tls.clone())
        .endpoints("named", &[&format!("localhost:{port}")])
        .set("upstreams.named.tls", tls)
        .route(json!({ "match": { "path": "/named" }, "upstream": "named" }));
    let gateway = start(&authority, &config);
    // An address is looked for in the certificate and not sent (RFC 6066 section 3).
    assert_eq!(gateway.client().get("/").text(), "");
    assert_eq!(gateway.client().get("/named").text(), "localhost");
}

/// That what is refused is so with 502, said once, and counted.
#[track_caller]
fn expect_refused(case: &str, authority: &Authority, config: &Config, why: &str) {
    let gateway = start(authority, config);
    for _ in 0..2 {
        let mut client = gateway.client();
        assert_eq!(client.get("/").status(), 502, "{case}");
        // Whoever asks goes on.
        assert_eq!(client.get("/").status(), 502, "{case}");
    }
    let reason = ["reason=\"upstream.tls_failed\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 4.0);
    assert_eq!(handshakes(&gateway, "failed"), 4.0, "{case}");
    gateway.wait_for_line(&["TLS failed: ", why]);
    assert_eq!(gateway.stderr().matches("TLS failed: ").count(), 1, "{case}: said once");
}

#[test]
fn an_endpoint_that_is_not_who_it_must_be_gets_no_request() {
    let authority = Authority::new();
    let other = Authority::new();
    let cases = [
        ("another name", authority.server(&["other.example"]), "not valid for name"),
        ("another authority", other.server(&[NAME]), "BadSignature"),
        ("expired", authority.expired_server(&[NAME]), "expired"),
    ];
    for (case, server, why) in cases {
        let upstream = Upstream::scripted_over_tls(server, |_, _| panic!("a session"));
        let config = speaking(&upstream, rules())
            .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }));
        expect_refused(case, &authority, &config, why);
    }
}

#[test]
fn an_endpoint_that_speaks_otherwise_gets_no_request() {
    let authority = Authority::new();
    let modern = json!({ "server_name": NAME, "ca_file": "ca.pem", "profile": "modern" });
    let never = json!({ "consecutive_failures": 0 });
    let old = authority.server_of(&TLS12, &[NAME]);
    let old = Upstream::scripted_over_tls(old, |_, _| panic!("a session"));
    let config = speaking(&old, modern).set("upstreams.main.ejection", never.clone());
    expect_refused("TLS 1.2", &authority, &config, "ProtocolVersion");

    let plain = Upstream::scripted(|_, mut peer| {
        peer.read_some().unwrap();
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let config = speaking(&plain, rules()).set("upstreams.main.ejection", never.clone());
    expect_refused("plain text", &authority, &config, "InvalidContentType");

    let leaving = Upstream::scripted(|_, mut peer| drop(peer.read_some()));
    let config = speaking(&leaving, rules()).set("upstreams.main.ejection", never);
    expect_refused("leaving", &authority, &config, "unexpected end of file");
}

#[test]
fn an_endpoint_that_says_nothing_is_given_up_in_time() {
    let authority = Authority::new();
    let upstream = Upstream::scripted(|_, mut peer| peer.wait_for_end());
    let config = speaking(&upstream, rules()).set("timeouts", json!({ "connect": "300ms" }));
    let gateway = start(&authority, &config);
    let before = Baseline::take(&gateway);
    assert_eq!(gateway.client().get("/").status(), 504);
    let reason = ["reason=\"upstream.connect_timeout\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 1.0);
    before.expect_settled(&gateway);
}

#[test]
fn it_is_said_when_tls_works_again() {
    let authority = Authority::new();
    let upstream = Upstream::saying_over_tls(authority.server(&[NAME]).leaving(1), "hello");
    let gateway = start(&authority, &speaking(&upstream, rules()));
    assert_eq!(gateway.client().get("/").status(), 502);
    assert_eq!(gateway.client().get("/").status(), 200);
    gateway.wait_for_line(&["TLS works again"]);
}

#[test]
fn another_endpoint_is_tried_where_tls_fails_with_one() {
    let authority = Authority::new();
    let bad = Upstream::scripted_over_tls(Authority::new().server(&[NAME]), |_, _| {});
    let good = Upstream::saying_over_tls(authority.server(&[NAME]), "hello");
    let config = speaking(&bad, rules())
        .set("upstreams.main.endpoints", json!([bad.endpoint(), good.endpoint()]))
        .set("upstreams.main.balance", "round_robin");
    let gateway = start(&authority, &config);
    for _ in 0..4 {
        assert_eq!(gateway.client().get("/").text(), "hello");
    }
    assert!(bad.connections() > 0);
}

#[test]
fn insecure_believes_anyone_and_says_so() {
    let authority = Authority::new();
    let upstream = Upstream::saying_over_tls(Authority::new().server(&["other.example"]), "hello");
    let gateway = start(&authority, &speaking(&upstream, json!({ "insecure": true })));
    assert_eq!(gateway.client().get("/").text(), "hello");
    gateway.wait_for_line(&["upstreams.main.tls.insecure", "any certificate is believed"]);
}

#[test]
fn an_endpoint_that_asks_is_shown_a_certificate() {
    let authority = Authority::new();
    let shown = |peer: &Peer| {
        peer.with_tls_server(|tls| {
            let shown = tls.conn.peer_certificates().expect("a certificate");
            shown[0].as_ref().to_vec()
        })
    };
    let server = authority.server(&[NAME]).asking(&authority);
    let upstream = Upstream::scripted_over_tls(server.clone(), move |_, mut peer| {
        let shown = shown(&peer);
        peer.request();
        peer.send(ok(&shown));
    });
    let tls = json!({
        "server_name": NAME, "ca_file": "ca.pem",
        "client_certificate": "own.pem", "client_key": "own.key",
    });
    let gateway = start(&authority, &speaking(&upstream, tls));
    let get = || gateway.client().get("/").body;
    let first = get();
    assert!(memchr::memmem::find(&first, b"gateway").is_some());
    // Renewed, it is the new one that is shown: by an earlier session, it would be the old one.
    write_own(&authority, &gateway.path(""), "renewed");
    wait_until("the new certificate", || {
        memchr::memmem::find(&get(), b"renewed").is_some().then_some(())
    });
    // With the same key or not, one that is no good changes nothing.
    fs::write(gateway.path("own.pem"), "rubbish").unwrap();
    let bad = ["upstream=\"main\"", "own.pem"];
    gateway.wait_for_metric("ringgate_certificate_files_bad", &bad, |bad| bad == 1.0);
    assert!(memchr::memmem::find(&get(), b"renewed").is_some());

    // In TLS 1.3 a server says only after the handshake that it wants one.
    for version in [&TLS13, &TLS12] {
        let server = authority.server_of(version, &[NAME]).asking(&authority);
        let upstream = Upstream::scripted_over_tls(server, |_, _| panic!("a session"));
        let config = speaking(&upstream, rules())
            .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }));
        let gateway = start(&authority, &config);
        assert_eq!(gateway.client().get("/").status(), 502);
        gateway.wait_for_line(&["TLS failed: ", "CertificateRequired"]);
        let reason = ["reason=\"upstream.tls_failed\""];
        gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 1.0);
    }
}

#[test]
fn sessions_are_resumed_over_reloads_too() {
    let authority = Authority::new();
    for version in [&TLS13, &TLS12] {
        let server = authority.server_of(version, &[NAME]);
        let (upstream, kinds) = closing(server);
        let config = speaking(&upstream, rules());
        let gateway = start(&authority, &config);
        let mut last = None;
        for round in 0..6 {
            if round == 3 {
                gateway.reload(&config);
                gateway.wait_for_line(&["configuration reloaded"]);
            }
            assert_eq!(gateway.client().get("/").text(), "ok");
            last = Some(kinds.recv().unwrap());
            assert_eq!(last == Some(HandshakeKind::Full), round == 0, "{round}: {last:?}");
        }
        assert_eq!([handshakes(&gateway, "full"), handshakes(&gateway, "resumed")], [1.0, 5.0]);
        assert_eq!(last, Some(HandshakeKind::Resumed));
    }
}

#[test]
fn authorities_that_are_replaced_count_for_connections_that_are_there() {
    let authority = Authority::new();
    let other = Authority::new();
    let upstream = Upstream::saying_over_tls(authority.server(&[NAME]), "hello");
    let gateway = start(&authority, &speaking(&upstream, rules()));
    assert_eq!(gateway.client().get("/").status(), 200);
    // No good: what was believed before is.
    fs::write(gateway.path("ca.pem"), "rubbish").unwrap();
    let bad = ["upstream=\"main\"", "ca.pem"];
    gateway.wait_for_metric("ringgate_certificate_files_bad", &bad, |bad| bad == 1.0);
    gateway.signal(Signal::HUP);
    gateway.wait_for_line(&["configuration reloaded"]);
    assert_eq!(gateway.client().get("/").status(), 200);
    assert_eq!(upstream.connections(), 1);
    // Another: neither the connection nor the session that the old one has let in is gone on with.
    other.write_own(&gateway.path(""), "ca");
    wait_until("the upstream to be out", || {
        (gateway.client().get("/").status() == 502).then_some(())
    });
    authority.write_own(&gateway.path(""), "ca");
    wait_until("the upstream to be in", || {
        (gateway.client().get("/").status() == 200).then_some(())
    });
    gateway.wait_for_metric("ringgate_certificate_files_bad", &bad, |bad| bad == 0.0);
}

#[test]
fn a_stream_that_is_cut_is_not_taken_for_the_whole() {
    let authority = Authority::new();
    let whole = Upstream::scripted_over_tls(authority.server(&[NAME]), |number, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe whole");
        // The first time with the alert that says so.
        if number == 0 {
            peer.finish_sending();
        }
    });
    let gateway = start(&authority, &speaking(&whole, rules()));
    assert_eq!(gateway.client().get("/").text(), "the whole");
    let mut client = gateway.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    let cut = client.try_response("GET");
    assert!(matches!(cut, Err(WireError::Truncated(_) | WireError::Reset)), "{cut:?}");
    gateway.wait_for_line(&["upstream.body_cut"]);
}

/// Sends back what comes.
fn echo(mut peer: Peer) {
    while let Ok(bytes) = peer.read_some() {
        if peer.try_send(bytes).is_err() {
            return;
        }
    }
    peer.finish_sending();
}

#[test]
fn tunnels_go_over_tls() {
    let authority = Authority::new();
    let upstream = Upstream::scripted_over_tls(authority.server(&[NAME]), |_, mut peer| {
        peer.request_head();
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        echo(peer);
    });
    let gateway = start(&authority, &speaking(&upstream, rules()));
    let mut client = gateway.client();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 101);
    expect_echo(&mut client);
}

#[test]
fn tcp_listeners_lead_to_tls() {
    let authority = Authority::new();
    let server = authority.server(&[NAME]).with(|config| {
        config.alpn_protocols = vec![b"echo/1".to_vec()];
    });
    let upstream = Upstream::scripted_over_tls(server, |_, peer| echo(peer));
    let tls = json!({ "server_name": NAME, "ca_file": "ca.pem", "alpn": ["echo/1"] });
    let config = Config::new()
        .set("listeners.0.tcp", json!({ "upstream": "main" }))
        .endpoints("main", &[upstream.endpoint()])
        .set("upstreams.main.tls", tls);
    let gateway = start(&authority, &config);
    expect_echo(&mut gateway.client());
}

#[track_caller]
fn expect_echo(client: &mut Client) {
    let big: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    for sent in [&b"hello"[..], &big, b"!"] {
        client.send(sent);
        assert!(client.read_exactly(sent.len()).unwrap() == sent);
    }
    client.finish_sending();
    client.expect_end();
}

#[test]
fn a_header_of_the_proxy_protocol_goes_before_tls() {
    let authority = Authority::new();
    let server = authority.server(&[NAME]).behind_a_line();
    let upstream = Upstream::scripted_over_tls(server, |_, mut peer| {
        let line = peer.read_through(b"\r\n").unwrap();
        peer.answer_all(|_| ok(&line));
    });
    let config = speaking(&upstream, rules()).set("upstreams.main.proxy_protocol", "v1");
    let gateway = start(&authority, &config);
    let line = |answer: Message| answer.text();
    for _ in 0..2 {
        assert!(line(gateway.client().get("/")).starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "));
    }
    assert_eq!(handshakes(&gateway, "resumed"), 1.0);
}

#[test]
fn a_unix_socket_may_speak_tls() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let problem = Config::new()
        .endpoints("main", &["unix:app.sock"])
        .set("upstreams.main.tls", json!({ "ca_file": "ca.pem" }))
        .route(json!({ "match": {}, "upstream": "main" }));
    fs::write(folder.path().join("gateway.json"), problem.to_string()).unwrap();
    let check = std::process::Command::new(crate::harness::gateway::BINARY)
        .arg("check")
        .arg(folder.path().join("gateway.json"))
        .output()
        .unwrap();
    assert!(!check.status.success());
    let text = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(text.contains("server_name"), "{text}");
}
