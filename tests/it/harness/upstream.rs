//! An upstream of raw bytes: a thread for each connection, and a closure that says what it does.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::deadline::PATIENCE;
use super::message::{self, Message, WireError};
use super::tls::TlsServer;
use super::wire::Wire;

/// What a connection does, given its number from 0.
type Script = dyn Fn(usize, Peer) + Send + Sync;

/// The upstream. Dropping it closes its listening socket and fails the test if a script failed.
pub struct Upstream {
    address: Option<SocketAddr>,
    endpoint: String,
    requests: Receiver<Message>,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    requests: Sender<Message>,
    connections: AtomicUsize,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Upstream {
    /// Runs the script on each connection.
    pub fn scripted(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> Self {
        Self::listening(|stream| Some(Wire::tcp(stream)), script)
    }

    /// As [`Self::scripted`], behind TLS. A connection whose handshake fails has no script.
    pub fn scripted_over_tls(
        server: TlsServer,
        script: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Self {
        Self::listening(move |stream| server.accept(stream).ok(), script)
    }

    /// Runs the script on each connection that can be made ready for it.
    fn listening(
        ready: impl Fn(TcpStream) -> Option<Wire> + Send + Sync + 'static,
        script: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Self {
        let ready = Arc::new(ready);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, requests) = Shared::new(script);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stop.load(Ordering::SeqCst) {
                    return;
                }
                let ready = Arc::clone(&ready);
                accepting.serve_once(move || ready(stream));
            }
        });
        Self { address: Some(address), endpoint: address.to_string(), requests, shared }
    }

    /// As [`Self::saying`], behind TLS.
    pub fn saying_over_tls(server: TlsServer, body: &str) -> Self {
        let response = ok(body);
        Self::scripted_over_tls(server, move |_, mut peer| peer.answer_all(|_| response.clone()))
    }

    /// As [`Self::scripted`], on a Unix socket at `path`. Its accepting thread lives as long as
    /// the test binary.
    pub fn scripted_unix(
        path: &Path,
        script: impl Fn(usize, Peer) + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (shared, requests) = Shared::new(script);
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                accepting.serve(Wire::unix(stream));
            }
        });
        Self { address: None, endpoint: format!("unix:{}", path.display()), requests, shared }
    }

    /// Answers each request of each connection with what the closure makes of it.
    pub fn with(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::scripted(move |_, mut peer| peer.answer_all(&answer))
    }

    /// Answers each request of each connection with the same bytes.
    pub fn answering(response: impl AsRef<[u8]>) -> Self {
        let response = response.as_ref().to_vec();
        Self::with(move |_| response.clone())
    }

    /// Answers each request with 200 and `body`.
    pub fn saying(body: &str) -> Self {
        Self::answering(ok(body))
    }

    /// As an `endpoints` entry of the configuration.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next request that arrived.
    #[track_caller]
    pub fn request(&self) -> Message {
        self.requests.recv_timeout(PATIENCE).expect("the upstream gets a request")
    }

    /// Checks that no request has arrived that was not asked for with [`Self::request`].
    #[track_caller]
    pub fn expect_no_request(&self) {
        if let Ok(request) = self.requests.try_recv() {
            panic!("a request reached the upstream: {request:?}");
        }
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(address) = self.address {
            // Wakes the accepting thread, which then lets its socket go.
            let _ = TcpStream::connect(address);
        }
        if !std::thread::panicking() {
            let failures = self.shared.failures.lock().unwrap();
            assert!(failures.is_empty(), "an upstream script failed: {failures:?}");
        }
    }
}

impl Shared {
    fn new(script: impl Fn(usize, Peer) + Send + Sync + 'static) -> (Arc<Self>, Receiver<Message>) {
        let (sender, requests) = channel();
        let shared = Self {
            script: Box::new(script),
            requests: sender,
            connections: AtomicUsize::new(0),
            failures: Mutex::default(),
            stop: AtomicBool::new(false),
        };
        (Arc::new(shared), requests)
    }

    /// Runs the script on a thread of its own and keeps what made it panic.
    fn serve(self: &Arc<Self>, wire: Wire) {
        self.serve_once(move || Some(wire));
    }

    /// As [`Self::serve`], once the thread has made the connection ready.
    fn serve_once(self: &Arc<Self>, ready: impl FnOnce() -> Option<Wire> + Send + 'static) {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            let Some(wire) = ready() else { return };
            let peer = Peer { wire, requests: shared.requests.clone() };
            let run = catch_unwind(AssertUnwindSafe(|| (shared.script)(number, peer)));
            if let Err(panic) = run {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                shared.failures.lock().unwrap().push(text.unwrap_or_default());
            }
        });
    }
}

/// The upstream's end of one connection; the [`Wire`] below it is open to every script.
pub struct Peer {
    wire: Wire,
    requests: Sender<Message>,
}

impl Peer {
    /// Reads a request, body and all, and shows it to [`Upstream::request`].
    #[track_caller]
    pub fn request(&mut self) -> Message {
        let request = message::read_request(&mut self.wire)
            .unwrap_or_else(|error| panic!("the upstream expected a request: {error:?}"));
        let _ = self.requests.send(request.clone());
        request
    }

    /// Reads a request head and shows it; the body is still on the wire.
    #[track_caller]
    pub fn request_head(&mut self) -> Message {
        let request = message::read_request_head(&mut self.wire)
            .unwrap_or_else(|error| panic!("the upstream expected a request head: {error:?}"));
        let _ = self.requests.send(request.clone());
        request
    }

    /// Reads the body that a head announced.
    #[track_caller]
    pub fn body(&mut self, head: &mut Message) {
        message::read_body(&mut self.wire, head)
            .unwrap_or_else(|error| panic!("the upstream expected a body: {error:?}"));
    }

    /// Sends bytes; the gateway must take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.try_send(bytes).expect("the gateway takes the upstream's bytes");
    }

    /// Answers requests until the gateway closes the connection.
    #[track_caller]
    pub fn answer_all(&mut self, answer: impl Fn(&Message) -> Vec<u8>) {
        loop {
            match message::read_request(&mut self.wire) {
                Ok(request) => {
                    let response = answer(&request);
                    let _ = self.requests.send(request);
                    if self.wire.try_send(response).is_err() {
                        return;
                    }
                }
                // A client's request that was cut is cut here too.
                Err(WireError::Ended | WireError::Reset | WireError::Truncated(_)) => return,
                // The gateway may keep an idle connection longer than a test waits.
                Err(WireError::Silent) => return,
                Err(error) => panic!("the gateway sent a bad request: {error:?}"),
            }
        }
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }
}

impl Deref for Peer {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

/// A 200 with this body and its Content-Length.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An address whose port is taken and where nobody listens, while this lives: connects are refused.
pub struct Refusing {
    socket: socket2::Socket,
}

impl Refusing {
    /// Takes a port.
    pub fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        Self { socket }
    }

    /// As an `endpoints` entry of the configuration.
    pub fn endpoint(&self) -> String {
        self.socket.local_addr().unwrap().as_socket().unwrap().to_string()
    }
}

/// An address where connects neither succeed nor fail, while this lives: the accept queue is full,
/// so the kernel drops each SYN.
pub struct Unanswering {
    listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Unanswering {
    /// Listens and fills its own queue.
    pub fn new() -> Self {
        let stream =
            || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = stream();
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        // The queue holds backlog + 1; the rest wait in SYN_SENT, as the gateway's will.
        let queued = (0..4).map(|_| {
            let socket = stream();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        });
        Self { _queued: queued.collect(), listener }
    }

    /// As an `endpoints` entry of the configuration.
    pub fn endpoint(&self) -> String {
        self.listener.local_addr().unwrap().as_socket().unwrap().to_string()
    }
}
