//! The upstream of the corpus: does what the path says, and keeps the bytes that reached it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::fixture::Fixture;
use crate::harness::message::{Message, read_body, read_request_head};
use crate::harness::upstream::ok;
use crate::harness::{Peer, Upstream, wait_until};

/// Answers by name, and whether the connection ends after it.
pub const ANSWERS: &[(&str, &str, bool)] = &[
    ("hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", false),
    (
        "dated",
        "HTTP/1.1 200 Fine\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
        false,
    ),
    ("until-close", "HTTP/1.1 200 OK\r\n\r\nup to the end", true),
    ("old", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold", true),
    ("made", "HTTP/1.1 201 Made\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc", false),
    ("no-content", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", false),
    (
        "not-modified",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n",
        false,
    ),
    ("missing", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", false),
    ("broken", "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", false),
    ("last", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast", true),
    (
        "hints",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        false,
    ),
    (
        "hops",
        "HTTP/1.1 200 OK\r\nConnection: x-mine\r\nX-Mine: secret\r\nKeep-Alive: timeout=5\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
        false,
    ),
    ("cut-length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true),
    ("cut-chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true),
    ("cut-head", "HTTP/1.1 200 OK\r\nContent-Le", true),
];

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: ";

/// The bytes of requests, in the order in which they came, by their host.
pub type Received = BTreeMap<String, Vec<Vec<u8>>>;

/// The upstream and what it has received.
pub struct Witness {
    pub upstream: Upstream,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    serving: AtomicUsize,
}

impl Witness {
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let bad: BTreeMap<String, Vec<u8>> =
            Fixture::all("bad_responses").into_iter().map(|one| (one.name, one.bytes)).collect();
        let upstream = Upstream::scripted(move |_, mut peer| {
            serving.serving.fetch_add(1, Ordering::SeqCst);
            peer.recorded();
            while serving.answer(&mut peer, &bad) {}
            drop(peer);
            serving.serving.fetch_sub(1, Ordering::SeqCst);
        });
        Self { upstream, shared }
    }

    /// All that was received, when the gateway has gone.
    pub fn received(self) -> Received {
        wait_until("the end of all connections to the upstream", || {
            (self.shared.serving.load(Ordering::SeqCst) == 0).then_some(())
        });
        std::mem::take(&mut *self.shared.received.lock().unwrap())
    }
}

impl Shared {
    /// Answers one request; false when the connection is over.
    fn answer(&self, peer: &mut Peer, bad: &BTreeMap<String, Vec<u8>>) -> bool {
        let Ok(mut request) = read_request_head(peer) else { return false };
        let head = peer.recorded();
        let path = request.target().split('?').next().unwrap().to_owned();
        let does = path.splitn(3, '/').nth(2).unwrap_or_default();
        match does {
            "early" => {
                self.keep(&request, head);
                peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly");
                peer.wait_for_end();
                return false;
            }
            "continue" => peer.send("HTTP/1.1 100 Continue\r\n\r\n"),
            "tunnel" | "greets" | "leaves" if request.field("Upgrade").is_some() => {
                self.switch(peer, &request, head, does);
                return false;
            }
            _ => {}
        }
        if read_body(peer, &mut request).is_err() {
            // How much of it came before the cut is up to the network.
            self.keep(&request, [&head[..], b"<cut>"].concat());
            return false;
        }
        self.keep(&request, [head, peer.recorded()].concat());
        if let Some((_, answer, ends)) = ANSWERS.iter().find(|(name, ..)| *name == does) {
            peer.send(answer);
            return !ends;
        }
        if let Some(bytes) = does.strip_prefix("bad/").and_then(|name| bad.get(name)) {
            // The gateway may have had enough before the end of it.
            let _ = peer.try_send(bytes);
            peer.wait_for_end();
            return false;
        }
        match does {
            "closes" => return false,
            "big" => peer.send(ok("0123456789abcdef".repeat(20_000))),
            _ => peer.send(ok(&request.body)),
        }
        true
    }

    /// Sends back what comes, or greets, or leaves at once.
    fn switch(&self, peer: &mut Peer, request: &Message, head: Vec<u8>, does: &str) {
        let protocol = request.field("Upgrade").expect("it asks for a switch");
        peer.send(format!("{SWITCHING}{protocol}\r\n\r\n"));
        match does {
            "greets" => peer.send("\u{1}early bytes"),
            "leaves" => {
                self.keep(request, head);
                peer.send("bye");
                return;
            }
            _ => {}
        }
        while let Ok(byte) = peer.read_some() {
            // What is left of it goes by when the client goes.
            let _ = peer.try_send(byte);
        }
        self.keep(request, [head, peer.recorded()].concat());
    }

    fn keep(&self, request: &Message, bytes: Vec<u8>) {
        let host = request.field("Host").unwrap_or_default().to_owned();
        self.received.lock().unwrap().entry(host).or_default().push(bytes);
    }
}
