//! Raw messages through a real gateway: what is forwarded, as which bytes, and what is refused, for
//! which reason, however the bytes arrive. The cases are files in `tests/fixtures/http`.

mod cases;
mod lenient;
mod requests;
mod responses;
mod split;
mod splits;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::gateway::BINARY;
use crate::harness::message::{self, Framing, WireError};
use crate::harness::token::{AUDIENCE, ISSUER, jwks};
use crate::harness::wire::{Wire, lossy};
use crate::harness::{Client, Config, Gateway, Key, Message, Upstream, wait_until};
use cases::{Case, Section};
use split::Split;

/// Connections at once.
const CLIENTS: usize = 32;

/// A gateway for cases, in front of an upstream for anyone and one route that asks for a token.
///
/// Small limits, so that both sides of each fit a case.
fn gateway(name: &str, upstream: &Upstream, key: &Key) -> Gateway {
    let told = name == "forwarding";
    let paths = if name == "strict" { "reject_encoded_slash" } else { "on" };
    assert!(["forwarding", "plain", "strict"].contains(&name), "no gateway is called {name}");
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }))
        .set("path_normalization", json!(paths))
        .set("forwarding", json!({ "x_forwarded": told, "forwarded": told }))
        .set(
            "limits",
            json!({
                "head_bytes": "4KiB", "head_fields": 20, "target_bytes": "1KiB",
                "request_body_bytes": "16KiB",
            }),
        )
        .set(
            "jwt.providers.tests",
            json!({
                "issuer": ISSUER, "audiences": [AUDIENCE], "jwks": { "inline": jwks(&[key]) },
                "claim_headers": { "x-user": "sub" },
            }),
        )
        .route(json!({ "match": {}, "upstream": "main" }))
        .route(json!({
            "match": { "path_prefix": "/private/" },
            "jwt": { "mode": "strict", "providers": ["tests"] },
            "upstream": "main",
        }))
        .route(json!({
            "match": { "path_prefix": "/keyed/" },
            "jwt": {
                "mode": "strict", "providers": ["tests"], "from": [{ "header": "X-Token" }],
            },
            "upstream": "main",
        }))
        .route(json!({ "match": { "path": "/read", "methods": ["GET"] }, "upstream": "main" }))
        .respond(json!({ "path": "/here" }), "here");
    Gateway::start(&config)
}

/// What a connection of a case must leave in the access log: status and reason, in order.
type Log = Vec<(u64, Option<String>)>;

/// Runs each case in each split and collects what is wrong.
struct Run<'g> {
    gateway: &'g Gateway,
    /// By the client's address.
    expected: Mutex<HashMap<SocketAddr, (String, Log)>>,
    addresses: Mutex<HashSet<SocketAddr>>,
    wrong: Mutex<Vec<String>>,
}

impl<'g> Run<'g> {
    fn new(gateway: &'g Gateway) -> Self {
        let (expected, addresses, wrong) = Default::default();
        Self { gateway, expected, addresses, wrong }
    }

    /// Runs `one` for each case and split on some threads; it gives what the log must say.
    fn each(
        &self,
        section: &Section,
        splits: impl Fn(&Case) -> &'static [Split] + Sync,
        one: impl Fn(&mut Client, usize, Split) -> Result<Log, String> + Sync,
    ) {
        let jobs: Vec<(usize, Split)> = (0..section.cases.len())
            .flat_map(|at| splits(&section.cases[at]).iter().map(move |split| (at, *split)))
            .collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while let Some(&(at, split)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let name = format!("{} ({split:?})", section.cases[at].name);
                        let mut client = self.client();
                        let address = client.local_address();
                        match one(&mut client, at, split) {
                            Ok(log) => {
                                self.expected.lock().unwrap().insert(address, (name, log));
                            }
                            Err(what) => self.wrong.lock().unwrap().push(format!("{name}: {what}")),
                        }
                    }
                });
            }
        });
    }

    /// A connection whose address no other of this run has had: the log is told apart by it.
    fn client(&self) -> Client {
        loop {
            let client = self.gateway.client();
            if self.addresses.lock().unwrap().insert(client.local_address()) {
                return client;
            }
        }
    }

    /// All that is wrong. If nothing is so far, the access log is compared once it has as many lines
    /// as it must.
    fn finish(self) -> Vec<String> {
        let expected = self.expected.into_inner().unwrap();
        let mut wrong = self.wrong.into_inner().unwrap();
        if !wrong.is_empty() {
            return wrong;
        }
        let lines: usize = expected.values().map(|(_, log)| log.len()).sum();
        wait_until("all lines of the access log", || {
            (self.gateway.stdout().matches('\n').count() >= lines).then_some(())
        });
        let mut logged: HashMap<SocketAddr, Log> = HashMap::new();
        for line in self.gateway.access_log() {
            let client = line["client"].as_str().unwrap().parse().unwrap();
            let reason = line["reason"].as_str().map(str::to_owned);
            logged.entry(client).or_default().push((line["status"].as_u64().unwrap(), reason));
        }
        for (client, (name, log)) in &expected {
            let found = logged.remove(client).unwrap_or_default();
            if found != *log {
                wrong.push(format!("{name}: the log should have {log:?} and has {found:?}"));
            }
        }
        wrong
    }
}

fn expect_none(mut wrong: Vec<String>) {
    wrong.sort();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A message in one spelling: its head as it came, and a chunked body as one chunk, since how
/// it is cut tells only how it arrived.
fn canonical(bytes: &[u8], message: &Message) -> Vec<u8> {
    let head_end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a whole head") + 4;
    let mut out = bytes[..head_end].to_vec();
    if message.framing != Framing::Chunked {
        out.extend_from_slice(&message.body);
        return out;
    }
    if !message.body.is_empty() {
        out.extend(format!("{:x}\r\n", message.body.len()).bytes());
        out.extend_from_slice(&message.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailer_section(&bytes[head_end..]));
    out
}

/// What follows the last chunk of a body that has been read.
fn trailer_section(chunks: &[u8]) -> &[u8] {
    let mut rest = chunks;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n").expect("a whole line");
        let digits = rest[..end].split(|byte| *byte == b';').next().expect("a first part");
        let digits = std::str::from_utf8(digits).expect("a size");
        rest = &rest[end + 2..];
        match usize::from_str_radix(digits, 16).expect("a size") {
            0 => return rest,
            size => rest = &rest[size + 2..],
        }
    }
}

/// Reads a request that a case says is forwarded, in its one spelling.
fn canonical_request(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut wire = Wire::ended(bytes);
    let message = message::read_request(&mut wire);
    let message = message.map_err(|error| format!("no request: {error:?} in {}", shown(bytes)))?;
    match wire.read_to_end() {
        Ok(rest) if rest.is_empty() => Ok(canonical(bytes, &message)),
        rest => Err(format!("{rest:?} behind the request")),
    }
}

/// Checks that a connection ends with nothing more on it.
fn expect_end(client: &mut Client) -> Result<(), String> {
    match client.try_response("GET") {
        Err(WireError::Ended | WireError::Reset) => Ok(()),
        other => Err(format!("the connection should end, and there is {other:?}")),
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = lossy(bytes).escape_debug().to_string();
    text.replace("\\r\\n", "\\r\\n\n    ")
}

/// The codes under some headings of the table that `ringgate reasons` prints.
fn codes(headings: [&str; 2]) -> Vec<String> {
    let printed = std::process::Command::new(BINARY).arg("reasons").output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    let sections = text
        .split("\n## ")
        .filter(|section| headings.iter().any(|heading| section.lines().next() == Some(heading)));
    let rows = sections.flat_map(|section| section.lines().filter_map(|l| l.strip_prefix("| `")));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn every_reason_to_refuse_a_message_has_a_case() {
    for (folder, headings) in [
        ("requests", ["The head of a request", "The chunks of a request"]),
        ("responses", ["The head of a response", "The chunks of a response"]),
    ] {
        let sections = cases::all(folder);
        let cases = sections.iter().flat_map(|section| &section.cases);
        let outcomes = cases.flat_map(|case| &case.outcomes);
        let shown: HashSet<&str> =
            outcomes.filter_map(|outcome| outcome.what.get(1)).map(String::as_str).collect();
        let codes = codes(headings);
        assert!(codes.len() > 20, "{folder}: {codes:?}");
        let missing: Vec<&String> =
            codes.iter().filter(|code| !shown.contains(code.as_str())).collect();
        assert!(missing.is_empty(), "{folder}: no case shows {missing:?}");
    }
}
