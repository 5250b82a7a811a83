//! A connected stream socket with the deadline of whatever is going on on it.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use super::backend::{SharedFd, cancel_all, poll};
use super::wheel::{Deadline, Wheel};
use super::{Buffer, Recv, Send};

/// A connected stream socket. Operations on it take and give back their buffers.
///
/// It has two deadlines, because both directions may be busy at once: one for whatever receives or
/// waits, set by [`Self::arm`], and one for sends, set by [`Self::send_all`] itself. When either
/// passes, every operation in flight on the socket ends with `ECANCELED`. Whose deadline it was is
/// told by [`Self::expired`] and by the send's own error; the other direction's operation is then a
/// bystander and is to be made again: see [`Self::is_bystander`].
#[derive(Debug)]
pub struct Stream {
    fd: SharedFd,
    receiving: Deadline,
    sending: Deadline,
    stopped: Cell<bool>,
}

impl Stream {
    /// Takes over a connected socket.
    #[must_use]
    pub fn new(socket: impl Into<SharedFd>, wheel: &Rc<Wheel>) -> Self {
        let fd = socket.into();
        let receiving = Wheel::deadline(wheel, fd.raw());
        let sending = Wheel::deadline(wheel, fd.raw());
        Self { fd, receiving, sending, stopped: Cell::new(false) }
    }

    #[cfg(not(feature = "simulation"))]
    pub(super) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    /// For socket options.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its own end: where the peer has connected to.
    ///
    /// # Errors
    /// When it is no connection over IP.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let address = rustix::net::getsockname(self.fd.as_fd())?;
        SocketAddr::try_from(address).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    /// Queues a receive into the spare part of `buffer`.
    #[must_use]
    pub fn recv(&self, buffer: Buffer) -> Recv {
        Recv::submit(&self.fd, buffer, usize::MAX)
    }

    /// Queues a receive of at most `limit` bytes, which must not be 0: where what follows them
    /// belongs to somebody else.
    #[must_use]
    pub fn recv_at_most(&self, buffer: Buffer, limit: usize) -> Recv {
        Recv::submit(&self.fd, buffer, limit)
    }

    /// Queues a send of the filled part of `buffer`; the kernel may take less.
    #[must_use]
    pub fn send(&self, buffer: Buffer) -> Send {
        Send::submit(&self.fd, buffer)
    }

    /// Sends the whole filled part; `limit` is re-armed with every bit of progress and disarmed at
    /// the end.
    ///
    /// # Errors
    /// As the kernel has them; `TimedOut` when `limit` passes without progress.
    pub async fn send_all(&self, buffer: Buffer, limit: Duration) -> (io::Result<()>, Buffer) {
        let sending = self.send(buffer);
        self.finish_send(sending, limit).await
    }

    /// As [`Self::send_all`], for a send already queued.
    ///
    /// # Errors
    /// As [`Self::send_all`].
    pub async fn finish_send(&self, sending: Send, limit: Duration) -> (io::Result<()>, Buffer) {
        self.finish_send_while(sending, limit, |_| true).await
    }

    /// As [`Self::finish_send`], as long as `goes_on` agrees, which is told of every bit of progress.
    ///
    /// # Errors
    /// As [`Self::send_all`]; `TimedOut`, too, where `goes_on` does not agree.
    pub async fn finish_send_while(
        &self,
        mut sending: Send,
        limit: Duration,
        mut goes_on: impl FnMut(usize) -> bool,
    ) -> (io::Result<()>, Buffer) {
        loop {
            self.sending.arm(limit);
            let (result, buffer) = sending.await;
            match result {
                Err(_) if self.sending.expired() => {
                    return (Err(io::ErrorKind::TimedOut.into()), buffer);
                }
                Err(error) if self.is_bystander(&error) => sending = self.send(buffer),
                Err(error) => return (Err(error), buffer),
                Ok(0) if !buffer.is_empty() => {
                    return (Err(io::ErrorKind::WriteZero.into()), buffer);
                }
                Ok(sent) if !goes_on(sent) => {
                    self.sending.disarm();
                    return (Err(io::ErrorKind::TimedOut.into()), buffer);
                }
                Ok(_) if buffer.is_empty() => {
                    self.sending.disarm();
                    return (Ok(()), buffer);
                }
                Ok(_) => sending = self.send(buffer),
            }
        }
    }

    /// Waits until there is something to receive, the peer closed, or the socket failed; lends
    /// the kernel no memory meanwhile.
    ///
    /// # Errors
    /// `ECANCELED` when cancelled.
    pub async fn readable(&self) -> io::Result<()> {
        poll::readable(&self.fd).await.0.map(drop)
    }

    /// Waits until the peer has closed or the connection has failed, and says which: true where it
    /// was reset or failed, false where the peer only sends no more and may still read.
    ///
    /// # Errors
    /// `ECANCELED` when cancelled.
    pub async fn hung_up(&self) -> io::Result<bool> {
        let events = poll::hung_up(&self.fd).await.0?;
        Ok(poll::is_failure(events))
    }

    /// Whether the connection has failed, or can carry nothing any more either way.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.fd.is_dead()
    }

    /// Whether the connection has failed: it was reset, say.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.fd.has_failed()
    }

    /// Whether all that was received so far is read, and more may come. (FIONREAD does not tell for
    /// a socket that is in a sockmap: it leaves out the socket's own queue.)
    ///
    /// # Errors
    /// As a receive has them; a failure of the connection is told once.
    pub fn is_drained(&self) -> io::Result<bool> {
        self.fd.is_drained()
    }

    /// Lets system calls on the socket never wait. Operations are as before: they wait in the
    /// ring, not in a call.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.fd.set_nonblocking()
    }

    /// Lets the deadline of what receives or waits pass after `limit` from now.
    pub fn arm(&self, limit: Duration) {
        self.receiving.arm(limit);
    }

    /// Lets it never pass.
    pub fn disarm(&self) {
        self.receiving.disarm();
    }

    /// Whether it has passed since it was armed.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.receiving.expired()
    }

    /// Ends every operation in flight with `ECANCELED`.
    pub fn cancel(&self) {
        cancel_all(self.fd.raw());
    }

    /// Ends both directions for good: what is in flight ends, and whatever is tried later fails at
    /// once. Bytes already sent still arrive.
    pub fn shutdown(&self) {
        self.fd.shutdown();
    }

    /// Ends every operation in flight, and those made later by whoever asks
    /// [`Self::is_bystander`]: nobody wants their outcome any more.
    pub fn stop(&self) {
        self.stopped.set(true);
        self.cancel();
    }

    /// Whether [`Self::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Whether an operation that ended like this was cancelled only because the deadline of the
    /// other direction passed. Nothing is lost: it can be made again.
    #[must_use]
    pub fn is_bystander(&self, error: &io::Error) -> bool {
        error.raw_os_error() == Some(libc::ECANCELED) && !self.expired() && !self.stopped.get()
    }

    /// Makes the close that follows a reset: the peer is not to take what it has for the whole.
    pub fn abort(&self) {
        self.fd.abort();
    }

    /// Ends both directions as a failure: the peer gets a reset, what is in flight ends, and
    /// whatever is tried later fails at once. Bytes already sent may be lost.
    pub fn reset(&self) {
        self.fd.reset();
    }

    /// Says that nothing more will be sent. The peer may be gone already; that is no error here.
    pub fn shutdown_write(&self) {
        self.fd.shutdown_write();
    }
}
