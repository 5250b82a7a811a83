//! Certificates that are replaced while they are shown.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use serde_json::json;

use super::{NAME, Scene, with_tls};
use crate::harness::{Client, Config, wait_until};

fn config() -> Config {
    Config::new().respond(json!({}), "hello")
}

/// What the server has shown.
fn shown(client: &Client) -> CertificateDer<'static> {
    client.with_tls(|tls| tls.conn.peer_certificates().unwrap()[0].clone())
}

#[test]
fn a_changed_file_is_shown_to_the_next_and_drops_nobody() {
    let scene = Scene::start(config());
    let mut before = scene.client();
    let first = shown(&before);
    scene.authority.write(&scene.gateway.path(""), "a", &[NAME]);
    wait_until("another certificate", || (shown(&scene.client()) != first).then_some(()));
    assert_eq!(before.get("/").text(), "hello");
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let scene = Scene::start(config());
    let first = shown(&scene.client());
    fs::write(scene.gateway.path("a.pem"), "rubbish").unwrap();
    let line = scene.gateway.wait_for_line(&["no certificate in PEM"]);
    assert!(line.contains("what was there before stays"), "{line}");
    let bad = "ringgate_certificate_files_bad";
    scene.gateway.wait_for_metric(bad, &["listener=\"public\""], |bad| bad == 1.0);
    assert_eq!(shown(&scene.client()), first);
    // Nor does a reload, which also says so.
    scene.gateway.reload(with_tls(config()).set("limits.head_fields", 50));
    scene.gateway.wait_for_line(&["configuration reloaded"]);
    scene.gateway.wait_for_line(&["the listener keeps the certificate that it has"]);
    assert_eq!(shown(&scene.client()), first);

    scene.authority.write(&scene.gateway.path(""), "a", &[NAME]);
    scene.gateway.wait_for_metric(bad, &[], |bad| bad == 0.0);
    wait_until("another certificate", || (shown(&scene.client()) != first).then_some(()));
}

#[test]
fn a_staple_is_handed_out_as_it_is() {
    let mut scene = Scene::start(config());
    fs::write(scene.gateway.path("a.ocsp"), b"a response").unwrap();
    let certificate = json!([{ "certificate": "a.pem", "key": "a.key", "ocsp": "a.ocsp" }]);
    scene.gateway.reload(config().set("listeners.0.tls.certificates", certificate));
    scene.gateway.wait_for_line(&["configuration reloaded"]);
    let stapled = Arc::new(Stapled::default());
    let verifier = Arc::clone(&stapled);
    let client = scene.authority.client().forgetful().with(|config| {
        config.dangerous().set_certificate_verifier(verifier);
    });
    let response = |wanted: &[u8]| {
        wait_until("the staple", || {
            let _ = client.try_connect(scene.gateway.address(), NAME);
            (*stapled.0.lock().unwrap() == wanted).then_some(())
        });
    };
    response(b"a response");
    fs::write(scene.gateway.path("a.ocsp"), b"a later one").unwrap();
    response(b"a later one");
    scene.gateway.signal(rustix::process::Signal::TERM);
    assert!(scene.gateway.wait_for_exit().success());
}

/// A verifier that takes all and keeps the last staple.
#[derive(Debug, Default)]
struct Stapled(std::sync::Mutex<Vec<u8>>);

impl rustls::client::danger::ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        ocsp: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = ocsp.to_vec();
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256, rustls::SignatureScheme::ED25519]
    }
}

#[test]
fn a_certificate_that_is_about_to_expire_is_warned_of_and_its_end_is_a_metric() {
    let scene = Scene::start(config());
    let path = scene.gateway.path("");
    let (soon, loose) = (rcgen::date_time_ymd(2000, 1, 2), scene.gateway.path("a.key"));
    scene.authority.write_as(&path, "a", &[NAME], &rcgen::PKCS_ED25519, |params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = soon;
    });
    let end = "ringgate_certificate_expiry_timestamp_seconds";
    scene.gateway.wait_for_metric(end, &["listener=\"public\""], |end| end == 946_771_200.0);
    fs::set_permissions(&loose, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    scene.gateway.reload(with_tls(config()));
    scene.gateway.wait_for_line(&["a.pem has expired"]);
    scene.gateway.wait_for_line(&["a.key has mode 0644; 0600 keeps it from others"]);
}

#[test]
fn certificates_replaced_all_the_time_fail_no_handshake_and_drop_no_connection() {
    let scene = Scene::start(config().set("workers", 2));
    let (over, handshakes, resumed) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let client = scene.authority.client();
                    let mut kept = client.connect(scene.gateway.address(), NAME);
                    // Its tickets come with what is read first.
                    assert_eq!(kept.get("/").text(), "hello");
                    while !over.load(Ordering::SeqCst) {
                        let mut stream = client.connect(scene.gateway.address(), NAME);
                        assert_eq!(stream.get("/").text(), "hello");
                        assert_eq!(kept.get("/").text(), "hello");
                        let kind = stream.with_tls(|tls| tls.conn.handshake_kind());
                        handshakes.fetch_add(1, Ordering::SeqCst);
                        let again = usize::from(kind == Some(HandshakeKind::Resumed));
                        resumed.fetch_add(again, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for round in 0..20 {
            scene.authority.write(&scene.gateway.path(""), "a", &[NAME]);
            if round % 5 == 0 {
                scene.gateway.signal(rustix::process::Signal::HUP);
            }
            let before = handshakes.load(Ordering::SeqCst);
            wait_until("more handshakes", || {
                let failed = clients.iter().any(std::thread::ScopedJoinHandle::is_finished);
                (failed || handshakes.load(Ordering::SeqCst) >= before + 8).then_some(())
            });
        }
        over.store(true, Ordering::SeqCst);
    });
    let metrics = scene.gateway.metrics();
    assert_eq!(metrics.sum("ringgate_tls_handshake_failures_total", &[]), 0.0);
    let (handshakes, resumed) = (handshakes.into_inner(), resumed.into_inner());
    assert_eq!(resumed, handshakes, "{resumed} of {handshakes}");
}
