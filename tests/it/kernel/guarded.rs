//! A gateway on one side of a cable, with a shield, and clients of several sources on the other.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::namespace::Pair;
use crate::harness::deadline::PATIENCE;
use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Client, Config, Gateway, Key, Message, Token, wait_until};

/// Sources on the client's side.
pub const FIRST: &str = "10.88.0.2";
pub const SECOND: &str = "10.88.0.3";
pub const THIRD: &str = "10.88.0.4";
pub const FIRST_V6: &str = "fd88::2";
/// Of the same /64.
pub const SECOND_V6: &str = "fd88::3";
/// Of another one.
pub const OTHER_V6: &str = "fd88:0:0:1::2";

/// Longer than a handshake over a cable in memory takes, and shorter than its second try.
const TRY: Duration = Duration::from_millis(400);

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A good token is answered.
    Served,
    /// It is made and closed without a word.
    Closed,
    /// Nobody answers.
    Dropped,
}

pub struct Guarded {
    pub pair: Pair,
    pub gateway: Gateway,
    key: Key,
    forger: Key,
}

/// Two namespaces and the addresses of the sources.
pub fn pair() -> Pair {
    let pair = Pair::new();
    for address in [SECOND, THIRD] {
        pair.client.ip(&format!("addr add {address}/24 dev rg1"));
    }
    for address in [SECOND_V6, OTHER_V6] {
        pair.client.ip(&format!("addr add {address}/64 dev rg1 nodad"));
    }
    pair.server.ip("route add fd88:0:0:1::/64 dev rg0");
    pair
}

/// One worker, three listeners, a route `api` that wants a token, and this shield.
#[allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]
pub fn config(key: &Key, shield: Value) -> Config {
    Config::new()
        .set(
            "listeners",
            json!([
                { "name": "public", "address": "10.88.0.1:0" },
                { "name": "public6", "address": "[fd88::1]:0" },
                { "name": "local", "address": "127.0.0.1:0" },
            ]),
        )
        .provider("tests", ISSUER, json!({ "inline": jwks(&[key]) }))
        .route(json!({
            "name": "api",
            "match": {},
            "jwt": { "mode": "strict", "providers": ["tests"] },
            "respond": { "status": 200 },
        }))
        .set("kernel", json!({ "shield": shield }))
}

impl Guarded {
    pub fn new(shield: Value) -> Self {
        Self::with(shield, |config| config)
    }

    /// With more than a shield.
    pub fn with(shield: Value, change: impl FnOnce(Config) -> Config) -> Self {
        let (pair, key) = (pair(), Key::ed25519("k"));
        let config = change(config(&key, shield));
        let gateway = pair.server.run(|| Gateway::start(&config));
        Self { pair, gateway, key, forger: Key::ed25519("k") }
    }

    /// With another shield from now on; waits until every worker has it.
    pub fn reload(&self, shield: Value) {
        self.reload_config(&self.config(shield));
    }

    /// As it was started, but with another shield.
    pub fn config(&self, shield: Value) -> Config {
        config(&self.key, shield)
    }

    /// As [`Self::reload`], with any change.
    pub fn reload_config(&self, config: &Config) {
        let applied = || {
            let config = self.admin("GET", "/config").json();
            let current = config["generation"] == config["published_generation"];
            current.then(|| config["reloads"]["applied"].as_u64().unwrap())
        };
        let before = wait_until("a settled gateway", applied);
        self.gateway.reload(config);
        wait_until("the reload", || applied().filter(|now| *now > before));
    }

    /// As it is refused; the reason.
    pub fn reload_refused(&self, shield: Value) -> String {
        let reloads = || self.admin("GET", "/config").json()["reloads"].clone();
        let before = reloads()["refused"].as_u64().unwrap();
        self.gateway.reload(config(&self.key, shield));
        wait_until("the refusal", || {
            let now = reloads();
            (now["refused"].as_u64() > Some(before))
                .then(|| now["last_error"].as_str().unwrap().to_owned())
        })
    }

    /// Asks the admin listener.
    pub fn admin(&self, method: &str, target: &str) -> Message {
        self.pair.server.run(|| {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            self.gateway.admin_raw(request)
        })
    }

    /// The answer of `GET /shield`.
    pub fn shield(&self) -> Value {
        self.admin("GET", "/shield").json()
    }

    /// The sources that are banned.
    pub fn banned(&self) -> Vec<String> {
        let shield = self.shield();
        let bans = shield["bans"].as_array().unwrap().iter();
        bans.map(|ban| ban["source"].as_str().unwrap().to_owned()).collect()
    }

    pub fn wait_for_bans(&self, sources: &[&str]) {
        let mut sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
        sources.sort();
        wait_until(&format!("the bans of {sources:?}"), || {
            let mut banned = self.banned();
            banned.sort();
            (banned == sources).then_some(())
        });
    }

    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.pair.server.run(|| self.gateway.metrics().sum(name, labels))
    }

    pub fn good_token(&self) -> String {
        Token::new().sign(&self.key)
    }

    /// Signed by somebody else with the key id of the gateway's key.
    pub fn forged_token(&self) -> String {
        Token::new().sign(&self.forger)
    }

    pub fn sign(&self, token: Token) -> String {
        token.sign(&self.key)
    }

    /// The listener of a source's family.
    fn listener_for(&self, source: IpAddr) -> SocketAddr {
        self.gateway.listener(if source.is_ipv4() { "public" } else { "public6" })
    }

    /// A connection from this source, if it is made in time.
    fn connect(&self, source: &str, within: Duration) -> Option<TcpStream> {
        let source: IpAddr = source.parse().unwrap();
        let to = self.listener_for(source);
        self.pair.client.run(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
            socket.connect_timeout(&to.into(), within).ok()?;
            Some(socket.into())
        })
    }

    /// A connection that must be made.
    #[track_caller]
    pub fn client(&self, source: &str) -> Client {
        Client::over(self.connect(source, PATIENCE).expect("a connection"))
    }

    /// Sends a token of a kind so often on one connection, each refused.
    #[track_caller]
    pub fn present(&self, source: &str, token: &str, times: usize) {
        let mut client = self.client(source);
        for _ in 0..times {
            assert_eq!(client.get_as("/", token).status(), 401);
        }
    }

    /// What becomes of a new connection of this source.
    pub fn fate(&self, source: &str) -> Fate {
        let Some(stream) = self.connect(source, TRY) else { return Fate::Dropped };
        let mut client = Client::over(stream);
        let token = self.good_token();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: test.example\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        // It may be closed before that.
        let _ = client.try_send(request);
        match client.try_response("GET") {
            Ok(response) => {
                assert_eq!(response.status(), 200);
                Fate::Served
            }
            Err(_) => Fate::Closed,
        }
    }

    pub fn wait_for_fate(&self, source: &str, fate: Fate) {
        wait_until(&format!("a connection of {source} that is {fate:?}"), || {
            (self.fate(source) == fate).then_some(())
        });
    }
}
