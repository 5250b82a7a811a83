//! A direction through a pipe, while much keeps coming.

use std::io;

use super::TunnelEnd;
use super::direction::{Direction, LARGE_READ};
use crate::relay::pipes::Pipe;

/// So many small parts in a row are a trickle, which is copied.
const SMALL_PARTS: u32 = 4;

impl Direction<'_> {
    /// Moves bytes through a pipe until it is not worth one any more. Gives the end of the
    /// direction, if it has come to it.
    pub(super) async fn pipe(&self) -> Option<TunnelEnd> {
        // What a program has let pass is not in the queue that splice(2) reads.
        if !self.state.flows.borrow().is_empty() {
            return None;
        }
        let mut pipe = self.ways.pipes?.take()?;
        self.from.set_nonblocking().and_then(|()| self.to.set_nonblocking()).ok()?;
        let mut small_parts = 0;
        while small_parts < SMALL_PARTS {
            // One part a turn of the event loop: others get theirs.
            match self.from.readable().await {
                Ok(()) => {}
                Err(error) if self.from.is_bystander(&error) => continue,
                Err(_) => return Some(TunnelEnd::Failed),
            }
            match pipe.fill(self.from.as_fd()) {
                Ok(0) => return Some(self.end()),
                Ok(part) if part < LARGE_READ => small_parts += 1,
                Ok(_) => small_parts = 0,
                // Copying knows what to make of that.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(TunnelEnd::Failed),
            }
            if self.empty(&mut pipe).await.is_err() {
                return Some(TunnelEnd::Failed);
            }
        }
        None
    }

    /// Gives what is in the pipe to the other side.
    async fn empty(&self, pipe: &mut Pipe) -> io::Result<()> {
        while pipe.filled() > 0 {
            match pipe.drain(self.to.as_fd()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(part) => {
                    self.state.has_moved();
                    self.count(part as u64);
                }
                // Its send queue is full. Copying a little waits until there is room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut buffer = self.ways.pools.take(false);
                    pipe.read(&mut buffer)?;
                    self.pass(buffer).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
