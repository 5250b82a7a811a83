//! The demo's issuer: `/jwks.json` serves its keys, `/token` signs, and the keys rotate.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::http::{self, Answer, Request};
use super::key_ring::KeyRing;

/// The audience of its tokens.
pub(super) const AUDIENCE: &str = "demo";
/// The scope that the protected route asks for.
pub(super) const SCOPE: &str = "orders:read";
/// Who its tokens are about.
const SUBJECT: &str = "alice";

/// A running issuer.
pub(super) struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<KeyRing>>,
}

impl Issuer {
    /// Serves on loopback and rotates from then on.
    pub(super) fn start(port: u16, rotate_every: Duration) -> io::Result<Self> {
        let keys = KeyRing::new(rotate_every).map_err(io::Error::other)?;
        let keys = Arc::new(Mutex::new(keys));
        let listener = http::bind(port)?;
        let address = listener.local_addr()?;
        let (served, name) = (Arc::clone(&keys), issuer_name(address));
        http::serve(listener, move |request| answer(request, &served, &name))?;
        Ok(Self { address, keys })
    }

    /// The `iss` of its tokens.
    pub(super) fn name(&self) -> String {
        issuer_name(self.address)
    }

    /// Where its keys are.
    pub(super) fn jwks_url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Where fresh tokens are.
    pub(super) fn token_url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// A token with this scope.
    pub(super) fn token(&self, scope: &str) -> String {
        sign(&lock(&self.keys), &self.name(), scope)
    }

    /// How long a token signed now is good for.
    pub(super) fn token_lifetime(&self) -> Duration {
        lock(&self.keys).token_lifetime()
    }

    /// Rotates for good, on a thread of its own, and says so on standard output.
    pub(super) fn rotate(&self, every: Duration) -> io::Result<()> {
        let keys = Arc::clone(&self.keys);
        thread::Builder::new().name("demo-rotation".into()).spawn(move || {
            loop {
                thread::sleep(every);
                let mut keys = lock(&keys);
                if keys.rotate(Instant::now()).is_ok() {
                    let kid = keys.current().kid().unwrap_or_default();
                    // Whoever closed the output wants no news.
                    let _ = writeln!(io::stdout(), "issuer: {kid} signs from now on");
                }
            }
        })?;
        Ok(())
    }
}

fn issuer_name(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// A panic while the lock was held leaves whole keys behind.
fn lock(keys: &Mutex<KeyRing>) -> std::sync::MutexGuard<'_, KeyRing> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(request: &Request, keys: &Mutex<KeyRing>, issuer: &str) -> Answer {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let ok = |content_type, body| Answer { status: 200, content_type, body };
    match path {
        "/jwks.json" => ok("application/jwk-set+json", lock(keys).jwks().to_string()),
        "/token" => {
            let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope="));
            let scope = scope.map_or_else(|| SCOPE.to_owned(), |scope| scope.replace('+', " "));
            ok("text/plain", sign(&lock(keys), issuer, &scope) + "\n")
        }
        _ => Answer {
            status: 404,
            content_type: "text/plain",
            body: "/jwks.json or /token?scope=...\n".into(),
        },
    }
}

fn sign(keys: &KeyRing, issuer: &str, scope: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    keys.current().sign(&json!({
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "scope": scope,
        "iat": now.as_secs(),
        "exp": (now + keys.token_lifetime()).as_secs(),
    }))
}
