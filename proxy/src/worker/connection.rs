//! One client connection: request after request until one side wants no more.
//!
//! ```text
//!          first byte        head whole             response sent
//! idle ------------> head ------------> exchange ------------------+
//!  ^ |                 |                   |                        |
//!  | +-- idle time ----+-- head time ------+-- client gone --> closed
//!  |     drain         |   refused: answer, linger --------------^  |
//!  +----------------------------------------------------------------+
//! ```
//!
//! An idle connection keeps its buffer and the memory of its last request's future for a moment, as
//! the next request mostly follows at once, and then waits without either: many thousands may.

mod deferred;
mod ends;
mod lifetime;
pub(super) mod place;
mod security;

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use self::place::Registered;
use super::bounds::chunk_limits;
use super::client::is_welcome;
use super::core::{Core, Live};
use super::exchange::{Exchange, Input, Next};
use super::facts::Facts;
use super::judge::{self, Answer, Verdict, judge};
use super::listener::ListenerState;
use super::pacing::Standing;
use super::parking::Attempt;
use super::reason::{Gate, Reason};
use super::tcp::{self, TcpConnection};
use crate::http1::{BodyLength, RequestError, head_end};
use crate::relay::Source;
use crate::snapshot::Service;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::peers::source_of;
use crate::tls::ClientCertificate;
use crate::uring::{Buffer, Recv, Stream};

/// How long an idle connection keeps its buffer. Every connection that falls silent holds one for
/// this time: of 10,000 in a second it is 1,000 buffers, as many as the pool keeps.
const BUFFER_HELD: Duration = Duration::from_millis(100);

/// How long and how much is read after a last answer, so that the client gets to read it: closing
/// with unread bytes would send a reset that overtakes the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Connections over the limit that are told so at once; more are closed without a word.
const TURNED_AWAY_MAX: usize = 64;

/// One client connection as the worker keeps track of it.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) stream: Stream,
    peer: Cell<SocketAddr>,
    pub(super) listener: Rc<ListenerState>,
    /// Requests answered on it.
    pub(super) served: Cell<u64>,
    /// By the last token that was presented on it.
    pub(super) standing: Cell<Standing>,
    idle: Cell<bool>,
    /// When it has been open for as long as it may, if there is a bound.
    ends: Option<Instant>,
    /// Its peer may not connect any more.
    barred: Cell<bool>,
    /// What its client has shown.
    certificate: OnceCell<ClientCertificate>,
}

impl ConnectionState {
    /// Whether it has no future once nothing is in hand: the worker drains, its listener is gone or
    /// speaks HTTP no more, its peer is denied or banned, or it has been open for long enough.
    pub(super) fn is_finishing(&self, core: &Core) -> bool {
        core.is_draining()
            || !self.listener.serves_http(self.stream.is_secure())
            || self.barred.get()
            || self.is_over_time()
    }

    /// The other end, or whose the connection is by a proxy that says so.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer.get()
    }

    /// Takes another's word for whose it is, for which it counts from now on.
    pub(super) fn set_peer(&self, core: &Core, peer: SocketAddr) {
        let before = source_of(self.peer.replace(peer).ip());
        for sources in [&core.sources, &self.listener.sources] {
            sources.leave(before);
            sources.enter(source_of(peer.ip()));
        }
    }

    /// Says whether it waits for a first byte.
    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.set(idle);
    }

    /// Whether it need not begin any more, whatever it is to speak.
    pub(super) fn is_unwanted(&self, core: &Core) -> bool {
        core.is_draining() || self.barred.get() || self.listener.id().is_none()
    }

    /// Ends it when nothing is in hand.
    pub(super) fn bar(&self) {
        self.barred.set(true);
        self.wake_if_idle();
    }

    /// Lets it look whether it may stay, if it waits for a request.
    pub(super) fn wake_if_idle(&self) {
        if self.idle.get() {
            self.stream.cancel();
        }
    }
}

/// Takes over an accepted connection, or turns it away where there are too many.
pub(super) fn start(
    core: &Rc<Core>,
    listener: &Rc<ListenerState>,
    stream: Stream,
    peer: SocketAddr,
) {
    let live = core.live();
    let Some(id) = listener.id() else { return };
    let of = &live.snapshot.listeners[id.index()];
    core.count(of.counters.connections);
    if !is_welcome(core, &live, of, peer.ip()) {
        return;
    }
    let state = Rc::new(ConnectionState {
        stream,
        peer: Cell::new(peer),
        listener: Rc::clone(listener),
        served: Cell::new(0),
        standing: Cell::new(Standing::Clean),
        idle: Cell::new(false),
        ends: of.bounds.connection.map(|limit| Instant::now() + limit),
        barred: Cell::new(false),
        certificate: OnceCell::new(),
    });
    let is_full = place::is_full(core, &live, listener, of);
    if let Some(gate) =
        is_full.or_else(|| place::is_source_full(core, &live, listener, of, peer.ip()))
    {
        core.count(of.counters.connections_refused);
        if let Service::Tcp(service) = of.service {
            return TcpConnection::new(core, &live, id, service, peer).turn_away(gate, &state);
        }
        // A TLS client would have to be let in to be told.
        if core.turning_away.get() >= TURNED_AWAY_MAX || of.tls.is_some() {
            return;
        }
        core.turning_away.set(core.turning_away.get() + 1);
        let client = Client { core: Rc::clone(core), state };
        tokio::task::spawn_local(client.turn_away(live, id, gate));
        return;
    }
    // Before its task first runs: the next one accepted must find it counted.
    let registered = Registered::new(core, &state, of.counters.connections_open);
    match of.service {
        Service::Http => {
            let client = Client { core: Rc::clone(core), state };
            let over_time = of.counters.connections_over_time;
            tokio::task::spawn_local(async move {
                let _registered = registered;
                client.serve().await;
                if client.state.is_over_time() {
                    client.core.count(over_time);
                }
            });
        }
        Service::Tcp(service) => {
            let core = Rc::clone(core);
            tokio::task::spawn_local(async move {
                let _registered = registered;
                Box::pin(tcp::serve(&core, &live, id, service, &state)).await;
            });
        }
    }
}

/// Puts a future where the last one of its kind was, or into memory of its own.
fn renew<F: Future>(place: &mut Option<Pin<Box<F>>>, future: F) -> Pin<&mut F> {
    match place {
        Some(old) => {
            old.set(future);
            old.as_mut()
        }
        None => place.insert(Box::pin(future)).as_mut(),
    }
}

/// How the wait for a request went.
enum First {
    /// Its first bytes are there.
    Bytes(Buffer),
    /// Nothing yet.
    Silent,
    /// There will not be one.
    Closed,
}

/// A connection being served.
struct Client {
    core: Rc<Core>,
    state: Rc<ConnectionState>,
}

impl Client {
    async fn serve(&self) {
        let Some(mut input) = self.beginning().await else { return };
        let mut limit = self.until(|bounds| bounds.head);
        // The future of a request is most of what a connection holds: it lives in memory of its
        // own, which the next request uses again and a long silence gives back.
        let mut running = None;
        loop {
            let buffer = match self.first_bytes(input, limit).await {
                First::Bytes(buffer) => buffer,
                First::Closed => return,
                First::Silent => {
                    running = None;
                    match self.later_bytes(limit).await {
                        Some(buffer) => buffer,
                        None => return,
                    }
                }
            };
            self.state.idle.set(false);
            self.state.stream.disarm();
            match renew(&mut running, self.request(buffer)).await {
                Next::Continue(next) => input = next,
                Next::Close => return self.count_if_used_up(),
                Next::Linger => {
                    self.count_if_used_up();
                    return Box::pin(self.linger()).await;
                }
            }
            self.state.served.set(self.state.served.get() + 1);
            limit = self.until(|bounds| bounds.idle);
        }
    }

    /// Waits a moment for the first bytes of a request, with a buffer for them.
    async fn first_bytes(&self, input: Input, limit: Duration) -> First {
        let stream = &self.state.stream;
        let receiving = match input {
            Input::Buffered(buffer) => return First::Bytes(buffer),
            Input::Receiving(receiving) => receiving,
            Input::Empty => stream.recv(self.core.live().heads.take()),
        };
        self.state.idle.set(true);
        stream.arm(limit.min(BUFFER_HELD));
        self.received(receiving).await
    }

    /// Waits for the first bytes of a request without a buffer; none where there will not be one.
    async fn later_bytes(&self, limit: Duration) -> Option<Buffer> {
        while self.until_readable(limit).await {
            let receiving = self.state.stream.recv(self.core.live().heads.take());
            match self.received(receiving).await {
                First::Bytes(buffer) => return Some(buffer),
                First::Silent => {}
                First::Closed => return None,
            }
        }
        None
    }

    async fn received(&self, mut receiving: Recv) -> First {
        let stream = &self.state.stream;
        loop {
            let (result, buffer) = receiving.await;
            return match result {
                Ok(0) => First::Closed,
                Ok(_) => First::Bytes(buffer),
                // Cancelled by the deadline, or to look whether it may stay.
                Err(_) if self.must_close() => First::Closed,
                Err(_) if stream.expired() => First::Silent,
                Err(error) if stream.is_bystander(&error) => {
                    receiving = stream.recv(buffer);
                    continue;
                }
                Err(_) => First::Closed,
            };
        }
    }

    /// Waits without a buffer, at most for what `limit` leaves after the buffer was held.
    async fn until_readable(&self, limit: Duration) -> bool {
        let stream = &self.state.stream;
        let Some(left) = limit.checked_sub(BUFFER_HELD).filter(|left| !left.is_zero()) else {
            self.count_idle();
            return false;
        };
        stream.arm(left);
        loop {
            match stream.readable().await {
                Ok(()) => return true,
                Err(_) if self.must_close() => return false,
                Err(_) if stream.expired() => {
                    self.count_idle();
                    return false;
                }
                Err(error) if error.raw_os_error() != Some(libc::ECANCELED) => return false,
                Err(_) => {}
            }
        }
    }

    fn must_close(&self) -> bool {
        self.state.is_finishing(&self.core)
    }

    /// Serves the request that begins in `buffer`.
    async fn request(&self, mut buffer: Buffer) -> Next {
        let mut live = self.core.live();
        // A listener that a reload has taken out or made a tcp listener has no routes any more.
        let Some(listener) = self.state.listener.http_id() else { return Next::Close };
        if self.is_unasked_tls(&buffer) {
            return Box::pin(self.decline_tls(&live, listener, buffer)).await;
        }
        let verdict = match self.read_head(&live, listener, &buffer, Attempt::first()) {
            Verdict::Incomplete => {
                let (verdict, whole) = Box::pin(self.slow_head(&live, listener, buffer)).await;
                buffer = whole;
                verdict
            }
            verdict => verdict,
        };
        let verdict = match verdict {
            Verdict::Park(_) | Verdict::Queue(_) => {
                let settled = Box::pin(self.settle(verdict, &buffer)).await;
                live = settled.1;
                settled.0
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Incomplete | Verdict::Park(_) | Verdict::Queue(_) => Next::Close,
            Verdict::Answer(answer) => Box::pin(self.answer(live, buffer, answer)).await,
            Verdict::Forward(forward) => {
                buffer.consume(forward.facts.head_bytes);
                Exchange::run(&self.core, &live, &self.state, buffer, forward).await
            }
        }
    }

    /// Judges what is in the buffer.
    fn read_head(
        &self,
        live: &Live,
        listener: ListenerId,
        buffer: &Buffer,
        attempt: Attempt<'_>,
    ) -> Verdict {
        judge(&self.core, live, &self.state, listener, buffer.filled(), attempt)
    }

    /// Receives until the head is whole. `Incomplete` where the client left instead.
    async fn slow_head(
        &self,
        live: &Live,
        listener: ListenerId,
        mut buffer: Buffer,
    ) -> (Verdict, Buffer) {
        let stream = &self.state.stream;
        let bounds = &live.snapshot.listeners[listener.index()].bounds;
        stream.arm(bounds.head);
        loop {
            let seen = buffer.len();
            buffer.compact();
            if buffer.receivable() == 0 {
                // Of a pool from before a reload that allowed longer heads.
                let mut larger = live.heads.take();
                let fits = larger.append(buffer.filled()) && larger.receivable() > 0;
                if !fits {
                    let reason = Reason::Request(RequestError::HeadTooLong);
                    return (self.refuse_unparsed(live, listener, &buffer, reason), buffer);
                }
                buffer = larger;
            }
            let (result, returned) = stream.recv(buffer).await;
            buffer = returned;
            let is_last = stream.expired() || !matches!(result, Ok(received) if received > 0);
            if is_last && judge::is_refused(live, bounds, buffer.filled()) {
                // As it would have been at once, had it come at once.
                stream.disarm();
                return (self.read_head(live, listener, &buffer, Attempt::first()), buffer);
            }
            match result {
                // Whatever came with it: a client that always has one more byte is late as well.
                _ if stream.expired() => {
                    let reason = Reason::Gate(Gate::HeadTimeout);
                    return (self.refuse_unparsed(live, listener, &buffer, reason), buffer);
                }
                Ok(received) if received > 0 => {}
                _ => {
                    self.core.count(self.core.cells.refusal(Reason::Gate(Gate::ClientLeft)));
                    return (Verdict::Incomplete, buffer);
                }
            }
            let full = buffer.len() >= bounds.head_bytes;
            if full || head_end(buffer.filled(), seen) {
                match self.read_head(live, listener, &buffer, Attempt::first()) {
                    Verdict::Incomplete => {}
                    verdict => {
                        stream.disarm();
                        return (verdict, buffer);
                    }
                }
            }
        }
    }

    fn refuse_unparsed(
        &self,
        live: &Live,
        listener: ListenerId,
        buffer: &Buffer,
        reason: Reason,
    ) -> Verdict {
        let part = buffer.filled();
        Verdict::Answer(judge::refuse_unparsed(&self.core, live, listener, part, reason))
    }

    /// Sends an answer of the gateway's own and decides how the connection goes on.
    async fn answer(&self, live: Rc<Live>, mut buffer: Buffer, mut answer: Answer) -> Next {
        let limit = answer.body_progress(&live);
        let (mut sent, _) = self.state.stream.send_all(answer.out, limit).await;
        if let (Ok(()), Some((route, at))) = (&sent, answer.rest) {
            let body = live.snapshot.routes.route(route).fixed_body();
            sent = self.send_pieces(&live, &body[at..], limit).await;
            answer.record.sent.set(body.len() as u64);
        }
        if sent.is_err() {
            answer.record.reason = Some(Reason::Gate(Gate::ClientLost));
        }
        answer.record.finish(&self.core, &live, &self.state);
        let Some(facts) = answer.facts.filter(|_| sent.is_ok()) else {
            return if sent.is_ok() { Next::Linger } else { Next::Close };
        };
        buffer.consume(facts.head_bytes);
        if !facts.keep_alive {
            let unread = facts.client_stays || facts.body != BodyLength::None || !buffer.is_empty();
            return if unread { Next::Linger } else { Next::Close };
        }
        self.discard_body(&live, facts, buffer).await
    }

    /// Sends what does not fit one buffer.
    async fn send_pieces(&self, live: &Live, bytes: &[u8], limit: Duration) -> std::io::Result<()> {
        let mut out = live.heads.take();
        let size = out.capacity();
        for piece in bytes.chunks(size) {
            out.clear();
            let fits = out.append(piece);
            debug_assert!(fits, "cut to what fits");
            let (result, returned) = self.state.stream.send_all(out, limit).await;
            result?;
            out = returned;
        }
        Ok(())
    }

    /// Reads and throws away a short body that nobody wants.
    async fn discard_body(&self, live: &Live, facts: Facts, mut buffer: Buffer) -> Next {
        let mut source =
            Source::new(facts.body, chunk_limits(&live.snapshot.limits, &facts.bounds));
        let stream = &self.state.stream;
        stream.arm(facts.bounds.body_progress);
        loop {
            // Only bodies of a known length are discarded: those cannot be malformed.
            let Ok(step) = source.step(&mut buffer) else { return Next::Close };
            if step.done {
                stream.disarm();
                return Next::Continue(step.leftover.map_or(Input::Empty, Input::Buffered));
            }
            buffer.clear();
            let (result, returned) = stream.recv(buffer).await;
            buffer = returned;
            if stream.expired() || !matches!(result, Ok(received) if received > 0) {
                return Next::Close;
            }
        }
    }
}
