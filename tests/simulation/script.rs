//! What a client and an upstream do, step by step, and what they saw of each other.

use std::fmt;

use ringgate::simulation::{Blueprint, End, Simulation, Wire};

use super::oracle::{Message, forwarded};

/// A gateway with short times, so that a few ticks are enough to run into each.
pub const CONFIG: &str = r#"{
  "listeners": [{ "name": "main", "address": "127.0.0.1:8080", "reason_header": true }],
  "upstreams": {
    "main": {
      "endpoints": ["127.0.0.1:9090"],
      "ejection": { "consecutive_failures": 0 }
    }
  },
  "routes": [
    { "match": {}, "upstream": "main" },
    { "match": { "path": "/here" }, "respond": { "status": 200, "body": "here" } }
  ],
  "limits": {
    "head_bytes": "4KiB", "head_fields": 20, "target_bytes": "1KiB", "request_body_bytes": "16KiB"
  },
  "timeouts": {
    "head": "200ms", "idle": "200ms", "connect": "100ms", "response": "100ms",
    "body_progress": "100ms", "tunnel_idle": "200ms"
  }
}"#;

/// Ticks after which a connection that nobody cares for has ended: each of a dozen requests may wait for
/// its upstream in vain, and in the end a client may still read its last answer for two seconds.
const TICKS_TO_THE_END: u32 = 600;

/// Separates the parts of a script in its one-string form: a byte that no valid message has.
const SEPARATOR: u8 = 0xfe;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The client sends so many bytes.
    Client(usize),
    /// The upstream sends so many bytes, on the connection made last.
    Upstream(usize),
    /// So many ticks pass.
    Pass(u32),
    /// The client ends its direction, or all.
    ClientEnds(End),
    /// So does the upstream.
    UpstreamEnds(End),
    /// The client takes only so many bytes more.
    ClientRoom(usize),
    /// So does the upstream.
    UpstreamRoom(usize),
    /// The next connection to the upstream is refused.
    Refuse,
    /// The next one stays without an answer.
    Ignore,
}

/// How it ends when nothing more is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finale {
    /// Both finish in order.
    Finish,
    /// Both go away.
    Reset,
    /// Both fall silent.
    Silence,
}

/// What both peers have to send, and what happens in which order. What the steps leave of it is
/// sent at the end.
#[derive(Clone)]
pub struct Script {
    pub client: Vec<u8>,
    /// None of an upstream that answers each whole request as soon as it is there.
    pub upstream: Option<Vec<u8>>,
    pub steps: Vec<Step>,
    pub finale: Finale,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = self.upstream.as_deref().unwrap_or(b"(answers each)");
        writeln!(f, "client:   {}", self.client.escape_ascii())?;
        writeln!(f, "upstream: {}", upstream.escape_ascii())?;
        writeln!(f, "steps:    {:?}, then {:?}", self.steps, self.finale)
    }
}

/// What the peers have seen.
#[derive(Default)]
pub struct Seen {
    /// By the client.
    pub client: Vec<u8>,
    /// How the gateway ended the client's connection.
    pub client_end: Option<End>,
    /// By the upstream, a connection each.
    pub upstream: Vec<Vec<u8>>,
}

impl Script {
    /// Reads `CLIENT fe UPSTREAM fe STEPS`, where a step is a byte. Any bytes are a script.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut parts = bytes.splitn(3, |byte| *byte == SEPARATOR);
        let mut part = || parts.next().unwrap_or_default();
        let (client, upstream, steps) = (part().to_vec(), Some(part().to_vec()), part());
        let finale = match steps.first() {
            Some(b'r') => Finale::Reset,
            Some(b's') => Finale::Silence,
            _ => Finale::Finish,
        };
        Self { client, upstream, steps: steps.iter().skip(1).map(|b| step(*b)).collect(), finale }
    }

    /// Runs it and says what was seen.
    pub fn run(&self, blueprint: &Blueprint) -> Seen {
        Stage::new(self, blueprint).run(self)
    }
}

fn step(byte: u8) -> Step {
    let amount = 1 << ((byte >> 4) & 0xf);
    match byte & 0xf {
        0..=3 => Step::Client(amount),
        4..=6 => Step::Upstream(amount),
        7 => Step::Pass(1 + u32::from(byte >> 4)),
        8 => Step::ClientEnds(if amount > 1 { End::Finished } else { End::Reset }),
        9 => Step::UpstreamEnds(if amount > 1 { End::Finished } else { End::Reset }),
        10 | 11 => Step::ClientRoom(amount - 1),
        12 | 13 => Step::UpstreamRoom(amount - 1),
        14 => Step::Refuse,
        _ => Step::Ignore,
    }
}

/// Names what was asked, so that it is seen which answer is whose.
fn answer_to(request: &Message<'_>) -> Vec<u8> {
    let method = String::from_utf8_lossy(request.method());
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Method: {method}\r\nContent-Length: {}\r\n\r\n",
        request.body.len()
    );
    let body = if method == "HEAD" { &[] } else { request.body.as_slice() };
    [head.as_bytes(), body].concat()
}

/// What becomes of the next connection to the upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Welcome {
    Accept,
    Refuse,
    Ignore,
}

/// A script on its way.
struct Stage<'s> {
    simulation: Simulation,
    client: Wire,
    /// What the client still has to send.
    to_send: &'s [u8],
    upstream: Vec<Wire>,
    to_answer: Option<&'s [u8]>,
    /// How many requests have been answered, by connection.
    answered: Vec<usize>,
    welcome: Welcome,
    seen: Seen,
}

impl<'s> Stage<'s> {
    fn new(script: &'s Script, blueprint: &Blueprint) -> Self {
        let simulation = Simulation::new(blueprint);
        let client = simulation.connect();
        let mut stage = Self {
            simulation,
            client,
            to_send: &script.client,
            upstream: Vec::new(),
            to_answer: script.upstream.as_deref(),
            answered: Vec::new(),
            welcome: Welcome::Accept,
            seen: Seen::default(),
        };
        stage.settle();
        stage
    }

    fn run(mut self, script: &Script) -> Seen {
        for step in &script.steps {
            self.step(*step);
        }
        self.client.set_room(usize::MAX);
        self.step(Step::UpstreamRoom(usize::MAX));
        self.welcome = Welcome::Accept;
        self.step(Step::Client(self.to_send.len()));
        self.step(Step::Upstream(usize::MAX));
        match script.finale {
            Finale::Finish => {
                self.step(Step::ClientEnds(End::Finished));
                self.step(Step::UpstreamEnds(End::Finished));
            }
            Finale::Reset => {
                self.step(Step::ClientEnds(End::Reset));
                self.step(Step::UpstreamEnds(End::Reset));
            }
            Finale::Silence => {}
        }
        self.expect_rest();
        self.seen
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Client(bytes) => {
                let (now, later) = self.to_send.split_at(bytes.min(self.to_send.len()));
                self.to_send = later;
                self.client.send(now);
            }
            Step::Upstream(bytes) => {
                let (Some(upstream), Some(rest)) = (self.upstream.last(), self.to_answer) else {
                    return;
                };
                let (now, later) = rest.split_at(bytes.min(rest.len()));
                self.to_answer = Some(later);
                upstream.send(now);
            }
            Step::Pass(ticks) => self.simulation.pass(ticks),
            Step::ClientEnds(end) => self.client.end(end),
            Step::UpstreamEnds(end) => {
                let Some(upstream) = self.upstream.last() else { return };
                upstream.end(end);
            }
            Step::ClientRoom(bytes) => self.client.set_room(bytes),
            Step::UpstreamRoom(bytes) => {
                self.upstream.iter().for_each(|upstream| upstream.set_room(bytes));
            }
            Step::Refuse => self.welcome = Welcome::Refuse,
            Step::Ignore => self.welcome = Welcome::Ignore,
        }
        self.settle();
    }

    /// Lets all happen that can.
    fn settle(&mut self) {
        loop {
            self.simulation.settle();
            self.welcome_connections();
            self.seen.client.extend(self.client.received());
            for (wire, seen) in self.upstream.iter().zip(&mut self.seen.upstream) {
                seen.extend(wire.received());
            }
            if self.to_answer.is_some() || !self.answer() {
                return;
            }
        }
    }

    fn welcome_connections(&mut self) {
        while let Some(dialled) = self.simulation.dialled() {
            match std::mem::replace(&mut self.welcome, Welcome::Accept) {
                Welcome::Accept => {
                    self.upstream.push(dialled.accept());
                    self.seen.upstream.push(Vec::new());
                    self.answered.push(0);
                }
                Welcome::Refuse => dialled.refuse(),
                Welcome::Ignore => {}
            }
            self.simulation.settle();
        }
    }

    /// Answers what has come whole since the last time, and says whether there was anything.
    fn answer(&mut self) -> bool {
        let mut any = false;
        for (at, wire) in self.upstream.iter().enumerate() {
            let requests = forwarded(&self.seen.upstream[at]).whole;
            for request in &requests[self.answered[at]..] {
                wire.send(&answer_to(request));
                any = true;
            }
            self.answered[at] = requests.len();
        }
        any
    }

    /// Checks that the gateway is left with nothing in hand, however slow its peers are.
    fn expect_rest(&mut self) {
        let mut ticks = 0;
        while self.simulation.held().connections > 0 {
            assert!(ticks < TICKS_TO_THE_END, "the connection stays: {:?}", self.simulation.held());
            self.simulation.pass(1);
            self.settle();
            ticks += 1;
        }
        self.seen.client_end = self.client.ended();
        // Connections that wait in the pool end now.
        self.upstream.iter().for_each(|upstream| upstream.end(End::Finished));
        self.simulation.pass(2);
        let held = self.simulation.held();
        let nothing = [held.head_buffers, held.body_buffers, held.operations] == [0, 0, 0];
        assert!(nothing, "something is left: {held:?}");
    }
}
