//! Certificates that change under the feet of a listener.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;

use super::*;
use crate::control::config;
use crate::snapshot::tls::TlsBounds;

/// A folder with a certificate, and the configuration of a listener that shows it.
struct Scene {
    folder: TempDir,
    config: Config,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "first.example");
        let text = r#"{"listeners": [{"name": "a", "address": "127.0.0.1:0", "tls": {
            "certificates": [{"certificate": "a.pem", "key": "a.key"}]}}],
            "routes": [{"match": {"path": "/"}, "respond": {"status": 204}}]}"#;
        let config = config::parse(text, &folder.path().join("gateway.json")).unwrap();
        Self { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn write(folder: &TempDir, name: &str) {
    let made = generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(folder.path().join("a.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("a.key"), made.signing_key.serialize_pem()).unwrap();
}

fn shown(certificates: &Certificates) -> (String, Option<String>) {
    let [status] = certificates.status().try_into().unwrap();
    (status.shown.unwrap().names.join(","), status.failure)
}

#[test]
fn a_changed_certificate_is_shown_and_a_bad_one_is_not() {
    let scene = Scene::new();
    let mut certificates = Certificates::load(&scene.config, 2).unwrap();
    let address = scene.config.listeners[0].address;
    let first = Arc::clone(&certificates.services().listeners[&address]);
    assert_eq!(first.bounds.handshakes_per_worker, TlsBounds::HANDSHAKES_DEFAULT / 2);
    assert!(!certificates.file_changed(&scene.path("a.pem")), "it is as it was");

    fs::write(scene.path("a.pem"), "no certificate").unwrap();
    assert!(!certificates.file_changed(&scene.path("a.pem")));
    let (names, failure) = shown(&certificates);
    assert_eq!(names, "first.example");
    assert!(failure.unwrap().ends_with("no certificate in PEM"));
    assert!(Arc::ptr_eq(&certificates.services().listeners[&address], &first));

    write(&scene.folder, "second.example");
    assert!(certificates.file_changed(&scene.path("a.key")));
    assert_eq!(shown(&certificates), ("second.example".into(), None));
    let second = &certificates.services().listeners[&address];
    assert!(!Arc::ptr_eq(second, &first));
    assert_eq!(second.context, first.context, "sessions go on");
    assert!(!certificates.file_changed(&scene.path("other")));
}

#[test]
fn a_reload_goes_on_with_what_it_has_or_is_refused() {
    let scene = Scene::new();
    let certificates = Certificates::load(&scene.config, 1).unwrap();
    fs::remove_file(scene.path("a.key")).unwrap();
    let prepared = certificates.prepare(&scene.config).unwrap();
    assert_eq!(prepared.services().listeners.len(), 1);
    let error = Certificates::load(&scene.config, 1).unwrap_err().to_string();
    assert!(error.contains("a.key cannot be read"), "{error}");
}

#[test]
fn files_that_nobody_tells_of_are_looked_at_now_and_then() {
    let scene = Scene::new();
    let mut certificates = Certificates::load(&scene.config, 1).unwrap();
    let (now, every) = (Instant::now(), Duration::from_secs(30));
    write(&scene.folder, "second.example");
    assert!(!certificates.look_every(every, now));
    assert!(certificates.look_every(every, now + every * 2));
    assert_eq!(shown(&certificates).0, "second.example");
}

#[test]
fn the_key_of_tickets_is_replaced_when_it_is_time() {
    let scene = Scene::new();
    let mut certificates = Certificates::load(&scene.config, 1).unwrap();
    assert!(!certificates.rotate(Instant::now()));
    assert!(certificates.rotate(Instant::now() + rotation()));
    assert!(!certificates.rotate(Instant::now()));
}
