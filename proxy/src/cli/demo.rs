//! `ringgate demo`: an upstream, an issuer that rotates its keys, and a gateway in front of them.

mod http;
mod issuer;
mod key_ring;
mod throw_away;
mod upstream;

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::gateway::{self, GatewayError, Options};
use issuer::{AUDIENCE, Issuer, SCOPE};

/// Looks at the gateway's ready file are this far apart.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Run an upstream, an issuer that rotates its keys, and a gateway in front of them, to try.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// The gateway's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The issuer's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    issuer_port: u16,
    /// The upstream's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    upstream_port: u16,
    /// How often the issuer changes its key, at least 1s.
    #[arg(long, default_value = "60s", value_parser = rotation)]
    rotate_every: Duration,
    /// Let the gateway speak TLS, by a certificate that is made for this demo.
    #[arg(long)]
    tls: bool,
}

/// A key must be published for longer than a gateway may take to fetch it.
fn rotation(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if every < Duration::from_secs(1) {
        return Err("at least 1s".into());
    }
    Ok(every)
}

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the demo's {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

impl DemoError {
    fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl Demo {
    /// Runs until a signal ends it.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.start() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Standard error may be closed; the exit code still tells.
                let _ = writeln!(io::stderr(), "ringgate demo: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn start(&self) -> Result<(), DemoError> {
        let upstream = upstream::serve(self.upstream_port).map_err(DemoError::io("upstream"))?;
        let issuer =
            Issuer::start(self.issuer_port, self.rotate_every).map_err(DemoError::io("issuer"))?;
        let folder = Folder::new().map_err(DemoError::io("folder"))?;
        let (file, ready) = (folder.path.join("demo.json"), folder.path.join("ready.json"));
        let mut config = self.config(upstream, &issuer);
        let certificate = if self.tls {
            let files = throw_away::write(&folder.path).map_err(DemoError::io("certificate"))?;
            config["listeners"][0]["tls"] = json!({ "certificates": [files] });
            Some(folder.path.join(throw_away::CERTIFICATE))
        } else {
            None
        };
        fs::write(&file, format!("{config:#}\n")).map_err(DemoError::io("configuration"))?;

        issuer.rotate(self.rotate_every).map_err(DemoError::io("rotation"))?;
        let options = Options { file, ready_file: Some(ready.clone()), log_filter: None };
        thread::Builder::new()
            .name("demo-announce".into())
            .spawn(move || {
                announce(&wait_for_ready(&ready), upstream, &issuer, certificate.as_deref());
            })
            .map_err(DemoError::io("announcement"))?;
        Ok(gateway::run(&options)?)
    }

    /// The gateway's configuration; it can be run by `ringgate run` as it is.
    fn config(&self, upstream: SocketAddr, issuer: &Issuer) -> Value {
        let refresh =
            (self.rotate_every / 2).clamp(Duration::from_secs(1), Duration::from_secs(60));
        json!({
            "listeners": [{
                "name": "demo",
                "address": SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            }],
            "jwt": { "realm": "demo", "providers": { "demo": {
                "issuer": issuer.name(),
                "audiences": [AUDIENCE],
                "algorithms": ["ES256"],
                "jwks": {
                    "url": issuer.jwks_url(),
                    "refresh_interval": format!("{}ms", refresh.as_millis()),
                },
                "leeway": "0s",
                "claim_headers": { "x-user": "sub", "x-scope": "scope" },
            }}},
            "upstreams": { "demo": { "endpoints": [upstream] } },
            "routes": [
                {
                    "name": "orders",
                    "match": { "path_prefix": "/orders" },
                    "jwt": {
                        "mode": "strict",
                        "providers": ["demo"],
                        "require": [{ "claim": "scope", "contains": SCOPE }],
                    },
                    "upstream": "demo",
                },
                { "name": "open", "match": { "path_prefix": "/" }, "upstream": "demo" },
            ],
            "admin": { "address": SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) },
            "log": { "level": "warn" },
        })
    }
}

/// A folder for the configuration that only this user can read, gone with the demo.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> io::Result<Self> {
        let mut name = [0; 8];
        SystemRandom::new().fill(&mut name).map_err(|_| io::Error::other("no random numbers"))?;
        let name = format!("ringgate-demo-{:016x}", u64::from_ne_bytes(name));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is harmless: public keys' addresses, and the key of a certificate that
        // nobody believes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The ready file's content, once it is there. A gateway that fails ends the process and with it
/// this wait.
fn wait_for_ready(path: &Path) -> Value {
    loop {
        let told = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(ready) = told {
            return ready;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until the gateway has the issuer's keys, so that what is printed works at once.
fn wait_for_keys(admin: SocketAddr) {
    while !http::status(admin, "/readyz").is_ok_and(|status| status == Some(200)) {
        thread::sleep(LOOK_EVERY);
    }
}

/// Prints what can be tried, once it works.
fn announce(ready: &Value, upstream: SocketAddr, issuer: &Issuer, certificate: Option<&Path>) {
    let address = |value: &Value| value.as_str().and_then(|text| text.parse::<SocketAddr>().ok());
    let addresses = (address(&ready["listeners"]["demo"]), address(&ready["admin"]));
    let (Some(gateway), Some(admin)) = addresses else { return };
    wait_for_keys(admin);
    let (scheme, believing) = match certificate {
        None => ("http", String::new()),
        Some(path) => ("https", format!(" --cacert {}", path.display())),
    };
    let url = format!("{scheme}://{gateway}/orders/1");
    let (good, poor) = (issuer.token(SCOPE), issuer.token("profile"));
    let lifetime = humantime::format_duration(issuer.token_lifetime());
    let (token_url, jwks_url) = (issuer.token_url(), issuer.jwks_url());
    let lines = format!(
        "\
gateway {url}, upstream http://{upstream}/, keys {jwks_url}, metrics http://{admin}/metrics

200: a good token; the upstream sees x-user and not the token
  curl -i{believing} -H 'Authorization: Bearer {good}' {url}

401: no token
  curl -i{believing} {url}

403: a token without the scope {SCOPE}
  curl -i{believing} -H 'Authorization: Bearer {poor}' {url}

These tokens are good for {lifetime}. A fresh one, from the key that signs now:
  curl -i{believing} -H \"Authorization: Bearer $(curl -s {token_url})\" {url}

Ctrl-C ends the demo.
"
    );
    let mut out = io::stdout();
    // Whoever closed the output wants no news.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}
