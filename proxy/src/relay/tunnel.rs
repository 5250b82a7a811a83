//! A tunnel: bytes both ways between two connections until both sides are done, or until it is cut.
//!
//! Half-closing is passed on: the end of one direction shuts down the other side's sending and
//! leaves the other direction open. So is a reset. An idle tunnel holds no buffer and no pipe.
//!
//! ```text
//!          both ends                        cut, WebSocket: each direction goes on up to the end of
//! open ------------> Closed          open -----------> its frame, then a close frame, then what
//!   \--- failed: reset                                 still comes is thrown away --> Cut
//!    \-- idle: shut down                               (all that within CLOSE_GRACE)
//!     \- cut: shut down --> Cut
//! ```
//!
//! Bytes of a direction are moved in one of three ways, of those that [`Ways`] allows:
//!
//! ```text
//!        all that was received is read
//! copy ---------------------------------> kernel
//!  ^ |                                      | credit used up, or the end of the stream:
//!  | +-- large reads in a row --> pipe      | when all is handed over
//!  |                               |        v
//!  +------- it comes in drops -----+      copy, up to the end
//! ```
//!
//! * **Copy**: receive and send, with a buffer from the pools while there is something to move.
//! * **Pipe**: `splice(2)`, for what keeps coming. The worker still runs for each part, but does not
//!   touch the bytes.
//! * **Kernel**: the worker does not run at all while bytes come and go. It gives credit, looks
//!   after idleness and sees ends and resets. A flow that uses up its credit, because much comes at
//!   once or its reader sleeps, is back in the worker's hands for good, and is copied: `splice(2)`
//!   cannot read what an eBPF program has let pass. A socket that the kernel does not take (a Unix
//!   socket, one that is half-closed already, no room for one more flow) is moved from as if there
//!   were no splicing.
//!
//! A WebSocket that may be cut, because it ends with its token, is copied where its frames are
//! followed: a close frame may stand between two frames only, and these are seen in user space
//! alone. Its peers learn by status 1008 that it was the token. Where tunnels are to be spliced its
//! frames are not followed, and it is cut without a word, like other tunnels.

mod direction;
mod kernel;
mod pipe;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::Frames;
use super::splicer::Watched;
use super::{Pipes, Pools, Splicer};
use crate::uring::{self, Stream};
use direction::Direction;

/// How long a WebSocket that is cut may take to come to the end of its frames and to say goodbye.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// What a worker has to move a tunnel's bytes with.
#[derive(Debug, Clone, Copy)]
pub struct Ways<'a> {
    /// Buffers to copy with: always there. TLS is moved by nothing else.
    pub pools: Pools<'a>,
    /// Pipes for `splice(2)`.
    pub pipes: Option<&'a Rc<Pipes>>,
    /// The kernel's own way, by eBPF.
    pub splicer: Option<&'a Splicer>,
}

impl<'a> Ways<'a> {
    /// Only by copying.
    #[must_use]
    pub fn copy(pools: Pools<'a>) -> Self {
        Self { pools, pipes: None, splicer: None }
    }
}

/// The two connections and what bounds them.
pub struct Tunnel<'t> {
    /// The client's.
    pub client: &'t Stream,
    /// The upstream's.
    pub upstream: &'t Stream,
    /// What moves the bytes.
    pub ways: Ways<'t>,
    /// The longest time without one byte either way.
    pub idle: Duration,
    /// Bytes to the client.
    pub to_client: &'t Cell<u64>,
    /// Bytes to the upstream.
    pub to_upstream: &'t Cell<u64>,
    /// Where the frames are by now, if it is a WebSocket that may be cut.
    pub web_socket: Option<WebSocket>,
}

/// How far the frames of each direction have come.
#[derive(Debug, Default)]
pub struct WebSocket {
    /// Those of the upstream.
    pub to_client: Frames,
    /// Those of the client.
    pub to_upstream: Frames,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides said that they were done.
    Closed,
    /// Nothing moved for the idle time.
    Idle,
    /// One side failed.
    Failed,
    /// It was cut.
    Cut,
}

/// Moves bytes both ways until both sides are done, one fails, nothing moves for the idle time, or
/// `cut` is over; that says why, for the close frames of a WebSocket.
pub async fn tunnel(tunnel: Tunnel<'_>, cut: impl Future<Output = &'static str>) -> TunnelEnd {
    let Tunnel { client, upstream, mut ways, idle, to_client, to_upstream, web_socket } = tunnel;
    if web_socket.is_some() || client.is_secure() || upstream.is_secure() {
        ways = Ways::copy(ways.pools);
    }
    let state = &State::new();
    let is_web_socket = web_socket.is_some();
    let (down, up) = web_socket.map(|frames| (frames.to_client, frames.to_upstream)).unzip();
    let direction =
        |from, to, bytes, masked| Direction { from, to, bytes, masked, ways, idle, state };
    let mut upward = pin!(direction(client, upstream, to_upstream, true).run(up));
    let mut downward = pin!(direction(upstream, client, to_client, false).run(down));
    let mut quiet = pin!(quiet_for(idle, state));
    let mut over = pin!(async {
        let reason = cut.await;
        state.closing.set(Some(reason));
        if is_web_socket {
            // Whoever waits looks at `closing` again.
            client.cancel();
            upstream.cancel();
            uring::sleep(CLOSE_GRACE).await;
        }
    });
    let (mut upward_end, mut downward_end, mut ended) = (None, None, None);
    poll_fn(|context| {
        if upward_end.is_none()
            && let Poll::Ready(end) = upward.as_mut().poll(context)
        {
            upward_end = Some(end);
        }
        if downward_end.is_none()
            && let Poll::Ready(end) = downward.as_mut().poll(context)
        {
            downward_end = Some(end);
        }
        if ended.is_none() {
            let failed = [upward_end, downward_end].contains(&Some(TunnelEnd::Failed));
            ended = if failed {
                Some(TunnelEnd::Failed)
            } else if over.as_mut().poll(context).is_ready() {
                Some(TunnelEnd::Cut)
            } else {
                quiet.as_mut().poll(context).is_ready().then_some(TunnelEnd::Idle)
            };
            // Whatever a direction does or does next, ends at once.
            match ended {
                Some(TunnelEnd::Failed) => [client, upstream].map(Stream::reset),
                Some(_) => [client, upstream].map(Stream::shutdown),
                None => [(), ()],
            };
        }
        match (upward_end, downward_end) {
            (Some(_), Some(_)) if state.closing.get().is_some() => Poll::Ready(TunnelEnd::Cut),
            (Some(_), Some(_)) => Poll::Ready(ended.unwrap_or(TunnelEnd::Closed)),
            _ => Poll::Pending,
        }
    })
    .await
}

/// What both directions know of each other.
struct State {
    /// When something last moved.
    moved: Cell<Instant>,
    /// Sends in flight: each has a deadline of its own and may be making progress unseen.
    sending: Cell<u8>,
    /// Receives in flight.
    receiving: Cell<u8>,
    /// Whether a direction has come to its end, and one side was told so.
    is_half_closed: Cell<bool>,
    /// The kernel's flows.
    flows: RefCell<Vec<Weak<Watched>>>,
    /// Why the tunnel is cut, once it is.
    closing: Cell<Option<&'static str>>,
}

impl State {
    fn new() -> Self {
        Self {
            moved: Cell::new(Instant::now()),
            sending: Cell::new(0),
            receiving: Cell::new(0),
            is_half_closed: Cell::new(false),
            flows: RefCell::default(),
            closing: Cell::new(None),
        }
    }

    fn has_moved(&self) {
        self.moved.set(Instant::now());
    }

    /// When something last moved, as far as can be told.
    fn last_moved(&self) -> Instant {
        let flows = self.flows.borrow();
        let kernel = flows.iter().filter_map(Weak::upgrade).filter(|flow| flow.has_moved()).count();
        if kernel > 0 || self.sending.get() > 0 {
            self.has_moved();
        }
        self.moved.get()
    }
}

/// Ends once nothing has moved for `idle`.
async fn quiet_for(idle: Duration, state: &State) {
    loop {
        let quiet = state.last_moved().elapsed();
        let Some(left) = idle.checked_sub(quiet).filter(|left| !left.is_zero()) else {
            return;
        };
        uring::sleep(left).await;
    }
}
