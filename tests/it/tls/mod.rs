//! TLS of listeners: what clients get, what becomes of those that break it, and certificates that
//! change; and of upstreams.

mod alerts;
mod certificates;
mod clients;
mod handshakes;
mod tools;
mod traffic;
mod upstreams;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Authority, Client, Config, Gateway, Upstream};

/// The name in the certificate of most tests.
const NAME: &str = "test.example";

/// A gateway that listens with TLS, by a certificate of an authority.
struct Scene {
    authority: Authority,
    gateway: Gateway,
}

impl Scene {
    /// In front of an upstream.
    fn forwarding_to(upstream: &Upstream) -> Self {
        Self::start(Config::forwarding_to(upstream))
    }

    /// With the rest of its configuration.
    fn start(config: Config) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.write(folder.path(), "a", &[NAME]);
        let config = with_tls(config);
        Self { authority, gateway: Gateway::start_in(folder, &config) }
    }

    /// A client after its handshake.
    #[track_caller]
    fn client(&self) -> Client {
        self.authority.client().connect(self.gateway.address(), NAME)
    }
}

/// The certificate called `a`, where nothing else is said.
fn with_tls(config: Config) -> Config {
    config.set("listeners.0.tls.certificates", certificates(&["a"]))
}

fn certificates(names: &[&str]) -> Value {
    let files =
        |name: &&str| json!({ "certificate": format!("{name}.pem"), "key": format!("{name}.key") });
    names.iter().map(files).collect()
}
