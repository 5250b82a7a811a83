//! Certificates that clients show: who is let in, and what upstreams are told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use rustls::HandshakeKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{NAME, certificates};
use crate::harness::{
    Authority, Config, Gateway, Key, TlsClient, Token, Upstream, WireError, wait_until,
};

/// A gateway that asks for certificates of an authority, which has made its own as well.
struct Scene {
    authority: Authority,
    gateway: Gateway,
}

impl Scene {
    fn start(upstream: &Upstream, mode: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.write(folder.path(), "a", &[NAME]);
        authority.write_own(folder.path(), "ca");
        authority.write_revoked(folder.path(), "ca", &[666]);
        let config = Config::forwarding_to(upstream)
            .set("listeners.0.tls.certificates", certificates(&["a"]))
            .set("listeners.0.tls.client_certificates", rule(mode));
        Self { authority, gateway: Gateway::start_in(folder, &change(config)) }
    }

    fn showing(&self, name: &str, number: u64) -> TlsClient {
        self.authority.client().showing(&self.authority.identity(name, number))
    }
}

fn rule(mode: &str) -> Value {
    json!({
        "mode": mode,
        "ca_file": "ca.pem",
        "crl_files": ["ca.crl"],
        "headers": {
            "subject": "X-Client-Subject",
            "names": "X-Client-Names",
            "thumbprint": "X-Client-Thumbprint",
        },
    })
}

/// Whether a request gets through; where the handshake fails late, TLS 1.3 tells only then.
fn is_served(client: &TlsClient, gateway: &Gateway) -> bool {
    let Ok(stream) = client.try_connect(gateway.address(), NAME) else { return false };
    let mut client = crate::harness::Client::over_tls(stream);
    let sent = client.try_send(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    let answered = sent.and_then(|()| client.try_response("GET"));
    match answered {
        Ok(answer) => answer.status() == 200,
        Err(WireError::Silent) => panic!("no word"),
        Err(_) => false,
    }
}

#[test]
fn an_upstream_is_told_of_the_certificate_and_never_by_the_client() {
    let upstream = Upstream::saying("hello");
    let tls =
        json!({ "certificates": certificates(&["a"]), "client_certificates": rule("optional") });
    let listeners = json!([
        { "name": "public", "address": "127.0.0.1:0", "tls": tls },
        { "name": "plain", "address": "127.0.0.2:0" },
    ]);
    let scene = Scene::start(&upstream, "optional", |config| config.set("listeners", listeners));
    let identity = scene.authority.identity("alice", 1);
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &identity.certificate));
    let own = "X-Client-Subject: CN=eve\r\nx_client_thumbprint: eve\r\nX-Client-Names: eve\r\n";
    let fields = ["X-Client-Subject", "X-Client-Names", "X-Client-Thumbprint"];
    let told = || {
        let request = upstream.request();
        assert_eq!(request.field("x_client_thumbprint"), None);
        fields.map(|name| request.field(name).map(str::to_owned))
    };

    let client = scene.authority.client().showing(&identity);
    for round in 0..2 {
        let mut stream = client.connect(scene.gateway.address(), NAME);
        assert_eq!(stream.get_with("/", own).status(), 200);
        let kind = stream.with_tls(|tls| tls.conn.handshake_kind());
        assert_eq!(kind == Some(HandshakeKind::Resumed), round > 0);
        let names = Some("DNS:alice.clients.example".to_owned());
        assert_eq!(told(), [Some("CN=alice".into()), names, Some(thumbprint.clone())]);
    }
    let mut without = scene.authority.client().connect(scene.gateway.address(), NAME);
    assert_eq!(without.get_with("/", own).status(), 200);
    assert_eq!(told(), [None, None, None]);
    let mut plain = crate::harness::Client::connect(scene.gateway.listener("plain"));
    assert_eq!(plain.get_with("/", own).status(), 200);
    assert_eq!(told(), [None, None, None]);
}

#[test]
fn only_certificates_that_are_believed_are_let_in() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "required", |config| config);
    assert!(is_served(&scene.showing("alice", 1), &scene.gateway));
    assert!(!is_served(&scene.authority.client(), &scene.gateway), "none");
    let foreign = Authority::new().identity("alice", 1);
    let foreign = scene.authority.client().showing(&foreign);
    assert!(!is_served(&foreign, &scene.gateway), "of another authority");
    assert!(!is_served(&scene.showing("mallory", 666), &scene.gateway), "revoked");
    let failures = "ringgate_tls_handshake_failures_total";
    let label = "reason=\"client_certificate\"";
    scene.gateway.wait_for_metric(failures, &[label], |count| count == 3.0);
}

#[test]
fn a_bad_certificate_is_refused_where_none_is_needed() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "optional", |config| config);
    assert!(is_served(&scene.authority.client(), &scene.gateway));
    assert!(!is_served(&scene.showing("mallory", 666), &scene.gateway), "revoked");
}

#[test]
fn a_certificate_that_is_revoked_later_is_not_let_in_by_an_earlier_session() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "required", |config| config);
    let alice = scene.showing("alice", 1);
    assert!(is_served(&alice, &scene.gateway));
    scene.authority.write_revoked(&scene.gateway.path(""), "ca", &[1, 666]);
    wait_until("alice to be out", || (!is_served(&alice, &scene.gateway)).then_some(()));
    assert!(is_served(&scene.showing("bob", 2), &scene.gateway));
    // A list that is no good lets nobody in again.
    std::fs::write(scene.gateway.path("ca.crl"), "rubbish").unwrap();
    scene.gateway.wait_for_line(&["ca.pem: ", "what was there before stays"]);
    assert!(!is_served(&alice, &scene.gateway));
}

#[test]
fn a_route_may_ask_for_a_certificate() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "optional", |config| {
        config.route(json!({
            "match": { "path": "/closed" }, "client_certificate": "required", "upstream": "main",
        }))
    });
    let mut without = scene.authority.client().connect(scene.gateway.address(), NAME);
    let refused = without.get("/closed");
    assert_eq!(refused.status(), 403, "{refused:?}");
    assert_eq!(without.get("/open").status(), 200);
    let mut with = scene.showing("alice", 1).connect(scene.gateway.address(), NAME);
    assert_eq!(with.get("/closed").status(), 200);
    let reason = ["reason=\"client_certificate.missing\""];
    scene.gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 1.0);
}

#[test]
fn a_route_may_ask_for_certain_certificates() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "optional", |config| {
        config.route(json!({
            "match": { "path": "/closed" }, "upstream": "main",
            "allow_certificates": [
                { "subject": "CN=alice*" }, { "name": "DNS:bob.clients.example" },
            ],
        }))
    });
    let status =
        |client: TlsClient| client.connect(scene.gateway.address(), NAME).get("/closed").status();
    assert_eq!(status(scene.showing("alice", 1)), 200);
    assert_eq!(status(scene.showing("bob", 2)), 200);
    assert_eq!(status(scene.showing("carol", 3)), 403);
    assert_eq!(status(scene.authority.client()), 403);
    for reason in ["client_certificate.denied", "client_certificate.missing"] {
        let label = [&*format!("reason=\"{reason}\"")];
        scene.gateway.wait_for_metric("ringgate_refusals_total", &label, |count| count == 1.0);
    }
    let explained = |certificate: Value| {
        let asked = json!({
            "target": "/closed", "headers": { "host": NAME }, "client_certificate": certificate,
        });
        let answer = scene.gateway.admin_post("/explain", &asked.to_string()).text();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(explained(json!({ "subject": "CN=alice" })), None);
    assert_eq!(explained(json!({ "subject": "CN=carol" })).unwrap(), "client_certificate.denied");
    assert_eq!(explained(Value::Null).unwrap(), "client_certificate.missing");
}

#[test]
fn the_log_tells_who_the_client_is() {
    let upstream = Upstream::saying("hello");
    let scene = Scene::start(&upstream, "optional", |config| config);
    let identity = scene.authority.identity("alice", 1);
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &identity.certificate));
    let client = scene.authority.client().showing(&identity);
    assert_eq!(client.connect(scene.gateway.address(), NAME).get("/").status(), 200);
    scene.gateway.wait_for_line(&["\"tls_client_subject\":\"CN=alice\"", &thumbprint]);
}

#[test]
fn a_token_may_be_bound_to_a_certificate() {
    let upstream = Upstream::saying("hello");
    let key = Key::rsa("k");
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    authority.write(folder.path(), "a", &[NAME]);
    authority.write_own(folder.path(), "ca");
    authority.write_revoked(folder.path(), "ca", &[666]);
    let config = Config::protecting(&upstream, &[&key])
        .set("jwt.providers.tests.cnf", "enforce")
        .set("listeners.0.tls.certificates", certificates(&["a"]))
        .set("listeners.0.tls.client_certificates", rule("optional"));
    let gateway = Gateway::start_in(folder, &config);
    let [alice, bob] = [authority.identity("alice", 1), authority.identity("bob", 2)];
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &alice.certificate));
    let bound = Token::new().claim("cnf", json!({ "x5t#S256": thumbprint })).sign(&key);
    let free = Token::new().sign(&key);
    let status = |client: TlsClient, token: &str| {
        client.connect(gateway.address(), NAME).get_as("/", token).status()
    };
    let client = || authority.client();
    assert_eq!(status(client().showing(&alice), &bound), 200);
    assert_eq!(status(client().showing(&bob), &bound), 401);
    assert_eq!(status(client(), &bound), 401);
    assert_eq!(status(client().showing(&alice), &bound), 200);
    assert_eq!(status(client(), &free), 200);
    let reason = ["reason=\"auth.certificate\""];
    gateway.wait_for_metric("ringgate_refusals_total", &reason, |count| count == 2.0);
}
