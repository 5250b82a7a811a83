//! What every fault happens in: one gateway with bounds of every kind, and an upstream that is good
//! until it is told how not to be.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::json;

use crate::harness::deadline::told;
use crate::harness::message::{Framing, WireError, read_body, read_request_head};
use crate::harness::upstream::{Refusing, Unanswering, ok};
use crate::harness::{Client, Config, Gateway, Issuer, Key, Peer, Upstream};

/// What the upstream does on one connection in place of serving.
pub type Script = fn(&mut Peer, &Turn);

/// The bytes of `/?big`: more than the kernel takes for a client that does not read.
pub const BIG: usize = 64 * 1024 * 1024;

/// Made once: it takes longer than some bounds allow on a machine that is busy.
static BIG_ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| ok(vec![b'b'; BIG]));

/// Longer than an upstream takes for its next byte on a machine that is not stalled.
const SHORT: &str = "1s";

/// Where a script and its test meet: the script says that its fault is on and waits until the test has
/// seen that others are served.
pub struct Turn {
    on: (Sender<()>, Mutex<Receiver<()>>),
    seen: (Sender<()>, Mutex<Receiver<()>>),
}

impl Turn {
    fn new() -> Self {
        let pair = || {
            let (sender, receiver) = channel();
            (sender, Mutex::new(receiver))
        };
        Self { on: pair(), seen: pair() }
    }

    /// Of a script: from here on its fault is on.
    pub fn fault_is_on(&self) {
        self.on.0.send(()).unwrap();
        told(&self.seen.1.lock().unwrap());
    }

    /// Of a test: waits until the fault is on.
    fn wait(&self) {
        told(&self.on.1.lock().unwrap());
    }

    /// Of a test: lets the script go on.
    fn go_on(&self) {
        self.seen.0.send(()).unwrap();
    }
}

/// The gateway and all around it.
pub struct Scene {
    pub gateway: Gateway,
    pub issuer: Issuer,
    pub upstream: Upstream,
    turn: Arc<Turn>,
    next: Arc<Mutex<Option<Script>>>,
    probes: Cell<usize>,
    _refusing: Refusing,
    _unanswering: Unanswering,
}

impl Scene {
    pub fn start() -> Self {
        LazyLock::force(&BIG_ANSWER);
        let (turn, next) = (Arc::new(Turn::new()), Arc::new(Mutex::new(None::<Script>)));
        let (its_turn, its_next) = (Arc::clone(&turn), Arc::clone(&next));
        let upstream = Upstream::scripted(move |_, mut peer| {
            let script = its_next.lock().unwrap().take();
            match script {
                Some(script) => script(&mut peer, &its_turn),
                None => serve(&mut peer, &its_turn),
            }
        });
        let (refusing, unanswering) = (Refusing::new(), Unanswering::new());
        let known_key = Key::p256("known");
        let issuer = Issuer::serving(&[&known_key]);
        let config = config(&upstream, &issuer, &refusing.endpoint(), &unanswering.endpoint());
        let gateway = Gateway::start(&config);
        Self {
            gateway,
            issuer,
            upstream,
            turn,
            next,
            probes: Cell::new(0),
            _refusing: refusing,
            _unanswering: unanswering,
        }
    }

    /// A connection on which these bytes have been sent.
    pub fn asking(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.gateway.client();
        client.send(bytes);
        client
    }

    /// A connection to the listener that waits for heads and requests only shortly.
    pub fn hasty(&self) -> Client {
        Client::connect(self.gateway.listener("hasty"))
    }

    /// Checks that others are served: by the gateway itself, and by the upstream.
    #[track_caller]
    pub fn probe(&self) {
        let mut other = self.gateway.client();
        assert_eq!(other.get("/alive").text(), "yes");
        assert_eq!(other.get("/?probe").text(), "probed");
        self.probes.set(self.probes.get() + 1);
    }

    /// How often that was seen.
    pub fn probes(&self) -> usize {
        self.probes.get()
    }

    /// Has the upstream do this on its next connection.
    pub fn misbehave_next(&self, script: Script) {
        *self.next.lock().unwrap() = Some(script);
    }

    /// Waits until the upstream's fault is on, and probes.
    #[track_caller]
    pub fn probe_in_turn(&self) {
        self.turn.wait();
        self.probe();
    }

    /// Lets the upstream go on behind its fault.
    pub fn let_go(&self) {
        self.turn.go_on();
    }
}

/// Good service, as the query asks for it.
fn serve(peer: &mut Peer, turn: &Turn) {
    loop {
        let mut head = match read_request_head(peer) {
            Ok(head) => head,
            Err(WireError::Malformed(what)) => panic!("a bad request came: {what}"),
            Err(_) => return,
        };
        let query = head.target().split_once('?').map_or("", |(_, query)| query).to_owned();
        let answer = match query.as_str() {
            "deaf" => return turn.fault_is_on(),
            "never" => return peer.wait_for_end(),
            "switch" => return echo_switched(peer),
            "big" => {
                let _ = peer.try_send(&*BIG_ANSWER);
                return;
            }
            "probe" => ok("probed"),
            _ if head.framing == Framing::None => ok("echo"),
            _ => match read_body(peer, &mut head) {
                Ok(()) => ok(&head.body),
                // A cut request is cut here, too.
                Err(WireError::Malformed(what)) => panic!("a bad body came: {what}"),
                Err(_) => return,
            },
        };
        if peer.try_send(answer).is_err() {
            return;
        }
    }
}

fn echo_switched(peer: &mut Peer) {
    peer.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    while let Ok(bytes) = peer.read_some() {
        if peer.try_send(bytes).is_err() {
            return;
        }
    }
}

fn config(upstream: &Upstream, issuer: &Issuer, refusing: &str, unanswering: &str) -> Config {
    let short = json!({ "response": SHORT, "body_progress": SHORT });
    let to = |path: &str, more: serde_json::Value| {
        let mut route = json!({ "match": { "path": path }, "upstream": "main" });
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    };
    let rate =
        |bytes: &str| json!({ "limits": { "body_rate": { "bytes": bytes, "within": SHORT } } });
    let small = json!({ "request_body_bytes": "16B", "chunk_overhead_bytes": "64B" });
    let strict = json!({ "jwt": { "mode": "strict", "providers": ["tests"] } });
    Config::new()
        .set(
            "listeners",
            json!([
                { "name": "public", "address": "127.0.0.1:0" },
                {
                    "name": "hasty", "address": "127.0.0.2:0",
                    "timeouts": { "head": SHORT, "idle": SHORT },
                },
            ]),
        )
        .set("timeouts.connect", SHORT)
        .set("timeouts.tunnel_idle", SHORT)
        .endpoints("main", &[upstream.endpoint()])
        .set("upstreams.main.idle_connections", 0)
        .endpoints("pooled", &[upstream.endpoint()])
        .set("upstreams.pooled.idle_timeout", "100ms")
        .set("upstreams.pooled.ejection", json!({ "consecutive_failures": 0 }))
        .endpoints("refusing", &[refusing])
        .endpoints("unanswering", &[unanswering])
        .set("upstreams.main.ejection", json!({ "consecutive_failures": 0 }))
        .provider("tests", crate::harness::token::ISSUER, json!({}))
        .set("jwt.providers.tests.jwks", json!({ "url": issuer.url(), "refresh_interval": "1h" }))
        .route(json!({ "match": {}, "upstream": "main" }))
        .route(to("/impatient", json!({ "timeouts": short })))
        .route(to("/rated", rate("1KiB")))
        .route(to("/fast", rate("1GiB")))
        .route(to("/small", json!({ "limits": small })))
        .route(to("/guarded", strict))
        .route(to("/pooled", json!({ "upstream": "pooled" })))
        .route(to("/refused", json!({ "upstream": "refusing" })))
        .route(to("/unanswered", json!({ "upstream": "unanswering" })))
        .respond(json!({ "path": "/alive" }), "yes")
}

/// Whether the connection was over, one way or the other.
pub fn is_cut(error: &WireError) -> bool {
    matches!(error, WireError::Ended | WireError::Truncated(_) | WireError::Reset)
}
