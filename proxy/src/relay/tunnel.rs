//! A tunnel: bytes both ways between two connections until both sides are done, or until it is cut.
//!
//! Half-closing is passed on: the end of one direction shuts down the other side's sending and
//! leaves the other direction open. An idle tunnel holds no buffer.
//!
//! ```text
//!          both ends                        cut, WebSocket: each direction goes on up to the end of
//! open ------------> Closed          open -----------> its frame, then a close frame, then what
//!   \--- failed, idle: shut down                       still comes is thrown away --> Cut
//!    \-- cut: shut down --> Cut                        (all that within CLOSE_GRACE)
//! ```

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::Pools;
use super::frames::{Frames, close_frame};
use crate::uring::{Buffer, Stream};

/// How long a WebSocket that is cut may take to come to the end of its frames and to say goodbye.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The two connections and what bounds them.
pub struct Tunnel<'t> {
    /// The client's.
    pub client: &'t Stream,
    /// The upstream's.
    pub upstream: &'t Stream,
    /// Where buffers come from.
    pub pools: Pools<'t>,
    /// The longest time without one byte either way.
    pub idle: Duration,
    /// Bytes to the client.
    pub to_client: &'t Cell<u64>,
    /// Bytes to the upstream.
    pub to_upstream: &'t Cell<u64>,
    /// Where the frames are by now, if it is a WebSocket.
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

/// Copies both ways until both sides are done, one fails, nothing moves for the idle time, or `cut`
/// is over; that says why, for the close frames of a WebSocket.
pub async fn tunnel(tunnel: Tunnel<'_>, cut: impl Future<Output = &'static str>) -> TunnelEnd {
    let Tunnel { client, upstream, pools, idle, to_client, to_upstream, web_socket } = tunnel;
    let moved = &Moved { last: Cell::new(Instant::now()), sending: Cell::new(0) };
    let closing = &Cell::new(None);
    let is_web_socket = web_socket.is_some();
    let (down, up) = web_socket.map(|frames| (frames.to_client, frames.to_upstream)).unzip();
    let way =
        |from, to, bytes, masked| Way { from, to, bytes, masked, pools, idle, moved, closing };
    let mut upward = pin!(way(client, upstream, to_upstream, true).run(up));
    let mut downward = pin!(way(upstream, client, to_client, false).run(down));
    let mut quiet = pin!(quiet_for(idle, moved));
    let mut over = pin!(async {
        let reason = cut.await;
        closing.set(Some(reason));
        if is_web_socket {
            // Whoever waits looks at `closing` again.
            client.cancel();
            upstream.cancel();
            tokio::time::sleep(CLOSE_GRACE).await;
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
            if ended.is_some() {
                // Whatever a direction does or does next, ends at once.
                client.shutdown();
                upstream.shutdown();
            }
        }
        match (upward_end, downward_end) {
            (Some(_), Some(_)) if closing.get().is_some() => Poll::Ready(TunnelEnd::Cut),
            (Some(_), Some(_)) => Poll::Ready(ended.unwrap_or(TunnelEnd::Closed)),
            _ => Poll::Pending,
        }
    })
    .await
}

/// When something last moved.
struct Moved {
    last: Cell<Instant>,
    /// Sends in flight: each has a deadline of its own and may be making progress unseen.
    sending: Cell<u8>,
}

/// Ends once nothing has moved for `idle`.
async fn quiet_for(idle: Duration, moved: &Moved) {
    loop {
        if moved.sending.get() > 0 {
            moved.last.set(Instant::now());
        }
        let Some(left) =
            idle.checked_sub(moved.last.get().elapsed()).filter(|left| !left.is_zero())
        else {
            return;
        };
        tokio::time::sleep(left).await;
    }
}

/// One direction.
struct Way<'t> {
    from: &'t Stream,
    to: &'t Stream,
    bytes: &'t Cell<u64>,
    /// Whether frames in this direction are masked.
    masked: bool,
    pools: Pools<'t>,
    idle: Duration,
    moved: &'t Moved,
    /// Why the tunnel is cut, once it is.
    closing: &'t Cell<Option<&'static str>>,
}

impl Way<'_> {
    /// Until the end of the stream, which it passes on, or, cut, until the end of a frame.
    async fn run(self, mut frames: Option<Frames>) -> TunnelEnd {
        let mut full = false;
        loop {
            if let (Some(frames), Some(reason)) = (&frames, self.closing.get())
                && frames.is_at_boundary()
            {
                return self.say_goodbye((!frames.is_closed()).then_some(reason)).await;
            }
            if !full && let Err(error) = self.from.readable().await {
                if self.from.is_bystander(&error) {
                    continue;
                }
                return TunnelEnd::Failed;
            }
            let buffer = self.pools.take(full);
            let room = buffer.receivable();
            let (result, mut buffer) = self.from.recv(buffer).await;
            match result {
                Ok(0) => {
                    self.to.shutdown_write();
                    return TunnelEnd::Closed;
                }
                Ok(received) => full = received == room,
                Err(error) if self.from.is_bystander(&error) => continue,
                Err(_) => return TunnelEnd::Failed,
            }
            if let Some(frames) = &mut frames {
                self.follow(frames, &mut buffer);
            }
            let passed = buffer.len();
            if passed == 0 {
                continue;
            }
            if self.send(buffer).await.is_err() {
                return TunnelEnd::Failed;
            }
            self.bytes.set(self.bytes.get() + passed as u64);
        }
    }

    /// Cut, what comes behind the end of the frame stays here.
    fn follow(&self, frames: &mut Frames, buffer: &mut Buffer) {
        if self.closing.get().is_some() {
            let passed = frames.advance_to_boundary(buffer.filled());
            buffer.truncate(passed);
        } else {
            frames.advance(buffer.filled());
        }
    }

    async fn send(&self, buffer: Buffer) -> std::io::Result<()> {
        self.moved.sending.set(self.moved.sending.get() + 1);
        let (sent, _) = self.to.send_all(buffer, self.idle).await;
        self.moved.sending.set(self.moved.sending.get() - 1);
        self.moved.last.set(Instant::now());
        sent
    }

    /// Sends a close frame, unless one has passed, and the end of the stream; then reads on and
    /// throws away, so that what was sent to this side is not lost in a reset.
    async fn say_goodbye(&self, reason: Option<&str>) -> TunnelEnd {
        if let Some(reason) = reason {
            let mut buffer = self.pools.take(false);
            let fits = buffer.append(&close_frame(reason, self.masked.then(new_mask)));
            debug_assert!(fits, "a head buffer holds more");
            // A side that does not read it is gone all the same.
            let _ = self.send(buffer).await;
        }
        self.to.shutdown_write();
        loop {
            let buffer = self.pools.take(false);
            match self.from.recv(buffer).await.0 {
                Ok(0) => return TunnelEnd::Closed,
                Ok(_) => {}
                Err(error) if self.from.is_bystander(&error) => {}
                Err(_) => return TunnelEnd::Closed,
            }
        }
    }
}

/// RFC 6455 section 5.3 asks for one that cannot be foretold. Without random numbers it can, which
/// matters nothing here: the payload is no client's choice.
fn new_mask() -> [u8; 4] {
    let mut mask = [0; 4];
    let _ = SystemRandom::new().fill(&mut mask);
    mask
}
