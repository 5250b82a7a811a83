//! Sockets of the kernel, and what is asked of them without an operation of the ring.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use io_uring::types;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// A descriptor shared by its stream and the operations in flight on it; closed by the last.
#[derive(Debug, Clone)]
pub struct SharedFd(Rc<OwnedFd>);

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        Self(Rc::new(fd))
    }
}

impl SharedFd {
    pub(in crate::uring) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn target(&self) -> types::Fd {
        types::Fd(self.raw())
    }

    pub(in crate::uring) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(in crate::uring) fn is_dead(&self) -> bool {
        self.has(PollFlags::ERR | PollFlags::HUP)
    }

    pub(in crate::uring) fn has_failed(&self) -> bool {
        self.has(PollFlags::ERR)
    }

    fn has(&self, events: PollFlags) -> bool {
        let mut poll = [PollFd::new(&*self.0, PollFlags::empty())];
        let at_once = Timespec::default();
        let found = rustix::event::poll(&mut poll, Some(&at_once));
        found.is_ok() && poll[0].revents().intersects(events)
    }

    pub(in crate::uring) fn is_drained(&self) -> io::Result<bool> {
        match rustix::net::recv(&*self.0, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok(_) => Ok(false),
            Err(Errno::AGAIN) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::uring) fn set_nonblocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&*self.0, true)?)
    }

    /// Sends what the socket takes without waiting.
    pub(in crate::uring) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self.0, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    pub(in crate::uring) fn shutdown(&self) {
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Both);
    }

    pub(in crate::uring) fn shutdown_write(&self) {
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Write);
    }

    pub(in crate::uring) fn abort(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&*self.0, Some(Duration::ZERO));
    }

    pub(in crate::uring) fn reset(&self) {
        if rustix::net::connect_unspec(&*self.0).is_err() {
            // No TCP socket.
            self.shutdown();
        }
    }
}
