//! A gateway between two namespaces, with the assists asked for, and what passes through it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use serde_json::{Value, json};

use super::bytes::masked;
use super::corpus::{Case, Step, Tokens, cases, host};
use super::upstream::Witness;
use super::{Combination, LED_PORT};
use crate::harness::deadline::PATIENCE;
use crate::harness::token::{ISSUER, jwks};
use crate::harness::upstream::Refusing;
use crate::harness::{Config, Gateway, Key};
use crate::kernel::namespace::Pair;

/// What all combinations share: the cable, the tokens and the cases.
pub struct Scene {
    pair: Pair,
    key: Key,
    rsa: Key,
    cases: Vec<Case>,
}

/// What went over the wires in one combination, without what differs by nature.
pub struct Transcript {
    /// By the name of the case: what the client received, and what the upstream did.
    pub by_case: BTreeMap<String, (Vec<u8>, Vec<Vec<u8>>)>,
    /// `/config` as it was: `kernel` says which assists worked.
    pub assists: Value,
}

impl Scene {
    pub fn new() -> Self {
        let pair = Pair::new();
        pair.server.ip("route add local 10.77.0.0/16 dev lo");
        pair.client.ip("route add 10.77.0.0/16 via 10.88.0.1");
        let (key, rsa) = (Key::ed25519("k"), Key::rsa("r"));
        let cases = cases(&Tokens::signed_by(&key, &rsa));
        Self { pair, key, rsa, cases }
    }

    /// Runs all cases, one after the other.
    pub fn play(&self, combination: &Combination) -> Transcript {
        let (witness, refusing) = self.pair.server.run(|| (Witness::new(), Refusing::new()));
        let config = self.config(combination, &witness, &refusing);
        let gateway = self.pair.server.run(|| Gateway::start(&config));
        let assists = self.pair.server.run(|| gateway.admin("/config").json()["kernel"].take());
        let bound = gateway.address();
        let seen_by_clients: Vec<Vec<u8>> = self.pair.client.run(|| {
            let address = |number: usize| match combination.lookup {
                false => bound,
                true => led(number),
            };
            let cases = self.cases.iter().enumerate();
            cases.map(|(number, case)| converse(address(number), case)).collect()
        });
        drop(gateway);
        let mut received = self.pair.server.run(|| witness.received());
        let by_case = self.cases.iter().zip(seen_by_clients).enumerate();
        let by_case = by_case.map(|(number, (case, seen))| {
            let requests = received.remove(&host(number)).unwrap_or_default();
            let requests = requests.iter().map(|request| masked(request)).collect();
            (case.name.clone(), (masked(&seen), requests))
        });
        let by_case: BTreeMap<_, _> = by_case.collect();
        assert_eq!(by_case.len(), self.cases.len(), "each case has a name of its own");
        assert!(received.is_empty(), "requests of nobody: {:?}", received.keys());
        Transcript { by_case, assists }
    }

    fn config(&self, combination: &Combination, witness: &Witness, refusing: &Refusing) -> Config {
        let rule = |mode: &str| json!({ "mode": mode, "providers": ["tests"] });
        let scoped = json!({
            "providers": ["tests"], "require": [{ "claim": "scope", "contains": "write" }],
        });
        let keys = json!({ "inline": jwks(&[&self.key, &self.rsa]) });
        let mut config = Config::new()
            .set("workers", 2)
            .set("listeners.0.address", "10.88.0.1:0")
            .set(
                "limits",
                json!({
                    "request_body_bytes": "64KiB", "head_bytes": "8KiB", "target_bytes": "2KiB",
                }),
            )
            .endpoints("main", &[witness.upstream.endpoint()])
            .endpoints("refused", &[&refusing.endpoint()])
            .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }))
            .set("upstreams.refused.ejection", json!({ "consecutive_failures": 0 }))
            .provider("tests", ISSUER, keys)
            .set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
            .route(json!({ "match": { "path_prefix": "/open/" }, "upstream": "main" }))
            .route(json!({ "match": { "path_prefix": "/refused/" }, "upstream": "refused" }))
            .route(json!({ "match": { "path": "/away" }, "redirect": { "location": "/here" } }))
            .respond(json!({ "path": "/here", "methods": ["GET", "HEAD"] }), "here");
        for (name, rule) in [
            ("strict", rule("strict")),
            ("optional", rule("optional")),
            ("permissive", rule("permissive")),
            ("scoped", scoped),
        ] {
            let matching = json!({ "path_prefix": format!("/{name}/") });
            config = config.route(json!({ "match": matching, "jwt": rule, "upstream": "main" }));
        }
        combination.ask(config)
    }
}

/// Another address and port for each case, none of which anybody bound.
fn led(number: usize) -> SocketAddr {
    let low = u8::try_from(number % 250).unwrap();
    SocketAddr::from(([10, 77, low, 250 - low], LED_PORT + u16::from(low)))
}

/// Does what the case says, and tells all that was received until the gateway ended the connection.
fn converse(address: SocketAddr, case: &Case) -> Vec<u8> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let mut reading = &stream;
        scope.spawn(move || {
            let mut buffer = [0; 64 << 10];
            while let Ok(length @ 1..) = reading.read(&mut buffer) {
                let _ = sender.send(buffer[..length].to_vec());
            }
        });
        let mut answer = Answer { case: &case.name, receiver, bytes: Vec::new(), waited_for: 0 };
        for step in &case.steps {
            // The gateway may close on what it refuses before it has all of it.
            match step {
                Step::Send(bytes) => drop((&stream).write_all(bytes)),
                Step::Trickle(bytes) => {
                    bytes.iter().for_each(|byte| drop((&stream).write_all(&[*byte])));
                }
                Step::Await(mark) => answer.wait_for(mark),
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        answer.all()
    })
}

/// What a client receives.
struct Answer<'a> {
    case: &'a str,
    receiver: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    /// How much of it lies behind the client.
    waited_for: usize,
}

impl Answer<'_> {
    fn wait_for(&mut self, mark: &[u8]) {
        loop {
            if let Some(at) = memchr::memmem::find(&self.bytes[self.waited_for..], mark) {
                self.waited_for += at + mark.len();
                return;
            }
            assert!(self.more(), "{}: the end instead of {mark:?}", self.case);
        }
    }

    fn all(mut self) -> Vec<u8> {
        while self.more() {}
        self.bytes
    }

    /// False at the end.
    fn more(&mut self) -> bool {
        match self.receiver.recv_timeout(PATIENCE) {
            Ok(bytes) => self.bytes.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("{}: neither more nor the end", self.case),
        }
        true
    }
}
