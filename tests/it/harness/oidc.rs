//! The certified OpenID provider of tests/fixtures/oidc-provider, as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::client::Client;
use super::message::Message;
use super::tool;

/// A running provider. Dropping it ends it.
pub struct OidcProvider {
    child: Child,
    /// Its issuer identifier, a URL.
    pub issuer: String,
    address: SocketAddr,
}

impl OidcProvider {
    /// Starts it; none after saying so where Node.js or the packages are missing.
    pub fn start(test: &str) -> Option<Self> {
        let node = tool::find(test, "node")?;
        // It needs Node.js 20; Debian 12 has an older one.
        let version = Command::new(&node).arg("--version").output().unwrap().stdout;
        let version = String::from_utf8_lossy(&version).trim().to_owned();
        let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse().ok());
        if major.is_none_or(|major: u32| major < 20) {
            tool::skipped(test, &format!("Node.js {version} is too old"));
            return None;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/oidc-provider");
        if !folder.join("node_modules/oidc-provider").is_dir() {
            tool::skipped(test, "the npm packages are missing; `cargo xtask setup` installs them");
            return None;
        }
        let mut child = Command::new(node)
            .arg("server.js")
            .current_dir(folder)
            // Held open: it ends when this process does, however that ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).expect("the provider's address");
        let issuer = told["issuer"].as_str().unwrap().to_owned();
        let address = issuer.strip_prefix("http://").unwrap().parse().unwrap();
        Some(Self { child, issuer, address })
    }

    /// An access token for the audience, signed with the newest key of this algorithm.
    #[track_caller]
    pub fn token(&self, algorithm: &str, audience: &str) -> String {
        let resource = format!("urn:test:{algorithm}:{audience}");
        let form = format!(
            "grant_type=client_credentials&client_id=tests&client_secret=a-secret-of-the-tests\
             &scope=read&resource={resource}"
        );
        let answer = self.ask("POST", "/token", &form);
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// New keys sign from here on; those before stay published until the next rotation.
    #[track_caller]
    pub fn rotate(&self) {
        assert_eq!(self.ask("POST", "/control/rotate", "").status(), 200);
    }

    /// How often its key set was fetched.
    pub fn fetches(&self) -> usize {
        self.ask("GET", "/control/fetches", "").text().parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, form: &str) -> Message {
        let mut client = Client::connect(self.address);
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            form.len()
        ));
        client.response()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
