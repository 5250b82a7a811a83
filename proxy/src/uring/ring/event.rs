//! A wake-up from another thread: an eventfd that the worker waits on like on any socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

use super::{SharedFd, poll};

/// The end that the worker waits on.
#[derive(Debug)]
pub struct Event(SharedFd);

/// The end that any thread rings.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// Both ends.
///
/// # Errors
/// When descriptors have run out.
pub fn event() -> io::Result<(Bell, OwnedFd)> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok((Bell(fd.try_clone()?), fd))
}

impl Event {
    /// The end that the worker waits on, made from the descriptor on the worker's own thread.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(SharedFd::from(fd))
    }

    /// Waits until the bell has been rung since the last wait.
    ///
    /// # Errors
    /// When the descriptor cannot be polled or read.
    pub async fn wait(&self) -> io::Result<()> {
        poll::readable(&self.0).await.0?;
        let mut count = [0_u8; 8];
        match rustix::io::read(self.0.as_fd(), &mut count) {
            // EAGAIN: rung and taken between the poll and the read; as good as awake.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Bell {
    /// Wakes the worker. Ringing twice before it looks is one wake-up.
    pub fn ring(&self) {
        // It can only fail with EAGAIN, when the count is at its limit: the worker is awake then.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}
