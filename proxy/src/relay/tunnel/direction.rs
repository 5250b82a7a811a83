//! One direction of a tunnel: by which way its bytes go, and copying them.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use crate::crypto::rand::{SecureRandom, SystemRandom};

use super::kernel::KernelPart;
use super::{State, TunnelEnd, Ways};
use crate::relay::frames::{Frames, close_frame};
use crate::uring::{self, Buffer, Stream};

/// What a read brings where a pipe is worth its system calls, and how many of them in a row. Less
/// is copied as fast.
pub(super) const LARGE_READ: usize = 64 * 1024;
const LARGE_READS: u32 = 4;

/// Before the next try where a socket is readable and yet gives nothing.
const NOT_YET: Duration = Duration::from_millis(1);

/// Before the next try where the stream ends and yet is not whole.
const NOT_WHOLE: Duration = Duration::from_millis(10);

/// One direction.
pub(super) struct Direction<'t> {
    pub(super) from: &'t Stream,
    pub(super) to: &'t Stream,
    pub(super) bytes: &'t Cell<u64>,
    /// Whether frames in this direction are masked.
    pub(super) masked: bool,
    pub(super) ways: Ways<'t>,
    pub(super) idle: Duration,
    pub(super) state: &'t State,
}

/// What came of receiving.
enum Received {
    Bytes(Buffer),
    /// Cancelled, for a reason that is none of this direction's.
    Nothing,
    /// The end of the stream.
    End,
    Failed,
}

impl Direction<'_> {
    /// Until the end of the stream, which it passes on, or, cut, until the end of a frame.
    pub(super) async fn run(self, mut frames: Option<Frames>) -> TunnelEnd {
        let mut part = KernelPart::new(self.ways.splicer);
        let mut full = false;
        let mut large_reads = 0;
        loop {
            if let (Some(frames), Some(reason)) = (&frames, self.state.closing.get())
                && frames.is_at_boundary()
            {
                return self.say_goodbye((!frames.is_closed()).then_some(reason)).await;
            }
            if self.let_kernel(&mut part).await.is_err() {
                return TunnelEnd::Failed;
            }
            if large_reads >= LARGE_READS {
                large_reads = 0;
                if let Some(end) = self.pipe().await {
                    return end;
                }
            }
            let mut buffer = match self.receive(&mut full).await {
                Received::Bytes(buffer) => buffer,
                Received::Nothing | Received::End if part.is_broken() => return TunnelEnd::Failed,
                Received::Nothing => continue,
                Received::End if !self.is_whole(&part) => {
                    uring::sleep(NOT_WHOLE).await;
                    continue;
                }
                Received::End => return self.end(),
                Received::Failed => return TunnelEnd::Failed,
            };
            large_reads = match buffer.len() {
                large if large >= LARGE_READ => large_reads + 1,
                // As much as a small buffer takes: the next one is large.
                _ if full => large_reads,
                _ => 0,
            };
            if let Some(frames) = &mut frames {
                self.follow(frames, &mut buffer);
            }
            if !buffer.is_empty() && self.pass(buffer).await.is_err() {
                return TunnelEnd::Failed;
            }
        }
    }

    /// Waits for bytes without a buffer, unless the last one was `full`.
    async fn receive(&self, full: &mut bool) -> Received {
        if !*full && let Err(error) = self.from.readable().await {
            return self.refused(&error);
        }
        let buffer = self.ways.pools.take(*full);
        let room = buffer.receivable();
        self.state.receiving.set(self.state.receiving.get() + 1);
        let (result, buffer) = self.from.recv(buffer).await;
        self.state.receiving.set(self.state.receiving.get() - 1);
        match result {
            Ok(0) => Received::End,
            Ok(received) => {
                *full = received == room;
                Received::Bytes(buffer)
            }
            // Of a source that the kernel has given back, while it lets the program see more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                uring::sleep(NOT_YET).await;
                Received::Nothing
            }
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &io::Error) -> Received {
        if self.from.is_bystander(error) { Received::Nothing } else { Received::Failed }
    }

    /// Passes on the end of the stream.
    pub(super) fn end(&self) -> TunnelEnd {
        if self.is_broken() {
            return TunnelEnd::Failed;
        }
        self.finish_sending();
        TunnelEnd::Closed
    }

    fn finish_sending(&self) {
        self.state.is_half_closed.set(true);
        self.to.shutdown_write();
    }

    /// Whether what looks like the end of the stream is none. A reset is told once: where the other
    /// direction's send has heard of it, a receive finds a stream that has ended.
    pub(super) fn is_broken(&self) -> bool {
        self.from.has_failed() || !self.state.is_half_closed.get() && self.from.is_dead()
    }

    /// Cut, what comes behind the end of the frame stays here.
    fn follow(&self, frames: &mut Frames, buffer: &mut Buffer) {
        if self.state.closing.get().is_some() {
            let passed = frames.advance_to_boundary(buffer.filled());
            buffer.truncate(passed);
        } else {
            frames.advance(buffer.filled());
        }
    }

    /// Sends on what was received.
    pub(super) async fn pass(&self, buffer: Buffer) -> io::Result<()> {
        let length = buffer.len() as u64;
        self.send(buffer).await?;
        self.count(length);
        Ok(())
    }

    async fn send(&self, buffer: Buffer) -> io::Result<()> {
        self.state.sending.set(self.state.sending.get() + 1);
        let (sent, _) = self.to.send_all(buffer, self.idle).await;
        self.state.sending.set(self.state.sending.get() - 1);
        self.state.has_moved();
        sent
    }

    pub(super) fn count(&self, passed: u64) {
        self.bytes.set(self.bytes.get() + passed);
    }

    /// Sends a close frame, unless one has passed, and the end of the stream; then reads on and
    /// throws away, so that what was sent to this side is not lost in a reset.
    async fn say_goodbye(&self, reason: Option<&str>) -> TunnelEnd {
        if let Some(reason) = reason {
            let mut buffer = self.ways.pools.take(false);
            let fits = buffer.append(&close_frame(reason, self.masked.then(new_mask)));
            debug_assert!(fits, "a head buffer holds more");
            // A side that does not read it is gone all the same.
            let _ = self.send(buffer).await;
        }
        self.finish_sending();
        loop {
            let buffer = self.ways.pools.take(false);
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
