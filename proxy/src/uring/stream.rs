//! A connected stream socket with the deadline of whatever is going on on it.

use std::cell::{Cell, OnceCell, Ref};
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use super::backend::{Recv as RawRecv, Send as RawSend, SharedFd, cancel_all, poll};
use super::operation::Arrival;
use super::records::RecordPools;
use super::secure::{Deliver, Receive, Secure};
use super::wheel::{Deadline, Wheel};
use super::{Buffer, Recv, Send};
use crate::tls::Session;

/// A connected stream socket. Operations on it take and give back their buffers.
///
/// It carries bytes as they are, or, once it is made [secure](Self::secure), those of a TLS session:
/// what is received and sent is plaintext then, the end of the stream is the one that the peer has
/// put its name to, and to say that nothing more will be sent is part of the session.
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
    secure: OnceCell<Rc<Secure>>,
}

impl Stream {
    /// Takes over a connected socket.
    #[must_use]
    pub fn new(socket: impl Into<SharedFd>, wheel: &Rc<Wheel>) -> Self {
        let fd = socket.into();
        let receiving = Wheel::deadline(wheel, fd.raw());
        let sending = Wheel::deadline(wheel, fd.raw());
        Self { fd, receiving, sending, stopped: Cell::new(false), secure: OnceCell::new() }
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
        self.recv_at_most(buffer, usize::MAX)
    }

    /// Queues a receive of at most `limit` bytes, which must not be 0: where what follows them
    /// belongs to somebody else.
    #[must_use]
    pub fn recv_at_most(&self, buffer: Buffer, limit: usize) -> Recv {
        self.receive(buffer, limit, Arrival::Any)
    }

    /// As [`Self::recv`], where nothing is expected yet: for what the peer sends when it has read what
    /// is being sent to it now.
    #[must_use]
    pub fn recv_later(&self, buffer: Buffer) -> Recv {
        self.receive(buffer, usize::MAX, Arrival::Later)
    }

    fn receive(&self, buffer: Buffer, limit: usize, arrival: Arrival) -> Recv {
        match self.secure.get() {
            None => Recv::plain(RawRecv::submit(&self.fd, buffer, limit, arrival)),
            Some(secure) => Recv::secure(Receive::submit(secure, buffer, limit, arrival)),
        }
    }

    /// Queues a send of the filled part of `buffer`; the kernel may take less.
    #[must_use]
    pub fn send(&self, buffer: Buffer) -> Send {
        match self.secure.get() {
            None => Send::plain(RawSend::submit(&self.fd, buffer)),
            Some(secure) => Send::secure(Deliver::submit(secure, buffer)),
        }
    }

    /// Carries a session's records from now on, the first of which are in `received`, if any have come.
    /// Nothing may be in flight. Once only.
    pub fn secure(&self, session: Session, pools: &Rc<RecordPools>, received: Option<Buffer>) {
        let secure = Secure::new(&self.fd, self.receiving.watch(), session, pools, received);
        let is_first = self.secure.set(secure).is_ok();
        debug_assert!(is_first, "a session in a session");
    }

    /// The session whose records it carries, if it does.
    #[must_use]
    pub fn session(&self) -> Option<Ref<'_, Session>> {
        self.secure.get().map(|secure| secure.session())
    }

    /// Whether it carries the records of a session.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure.get().is_some()
    }

    /// Goes on with the session's handshake by what has come, which may be much computation; says
    /// whether it is over. In any case [`Self::follow_up`] follows.
    ///
    /// # Errors
    /// `InvalidData` with the library's error.
    pub fn advance_handshake(&self) -> io::Result<bool> {
        self.secure.get().map_or(Ok(true), |secure| secure.advance())
    }

    /// Does what follows [`Self::advance_handshake`], which `advanced` has come of: sends what the
    /// session has to say, an alert too, and waits for more of the handshake unless it is over, which
    /// this says. All within the deadline of what receives.
    ///
    /// # Errors
    /// Those of `advanced`; as sends and receives have them; `InvalidData` with
    /// [`TooLarge`](super::TooLarge); `UnexpectedEof` when the peer leaves.
    pub async fn follow_up(&self, advanced: io::Result<bool>) -> io::Result<bool> {
        let Some(secure) = self.secure.get() else { return Ok(true) };
        let flushed = secure.flush().await;
        let is_over = advanced?;
        flushed?;
        if !is_over && secure.take_in().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(is_over)
    }

    /// Whether bytes that were sent wait for the next send to go out before it.
    fn has_unsent(&self) -> bool {
        self.secure.get().is_some_and(|secure| secure.has_unsent())
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
                Ok(_) if buffer.is_empty() && !self.has_unsent() => {
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
        match self.secure.get() {
            None => poll::readable(&self.fd).await.0.map(drop),
            Some(secure) => Box::pin(secure.readable()).await,
        }
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
        if let Some(secure) = self.secure.get() {
            secure.interrupt();
        }
        cancel_all(self.fd.raw());
    }

    /// Ends both directions for good: what is in flight ends, and whatever is tried later fails at
    /// once. Bytes already sent still arrive.
    pub fn shutdown(&self) {
        self.cut();
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
        self.cut();
        self.fd.abort();
    }

    /// Ends both directions as a failure: the peer gets a reset, what is in flight ends, and
    /// whatever is tried later fails at once. Bytes already sent may be lost.
    pub fn reset(&self) {
        self.cut();
        self.fd.reset();
    }

    /// Says that nothing more will be sent. The peer may be gone already; that is no error here.
    pub fn shutdown_write(&self) {
        if let Some(secure) = self.secure.get() {
            secure.say_goodbye();
        }
        self.fd.shutdown_write();
    }

    /// Lets the end be none that a TLS peer could take for the whole.
    fn cut(&self) {
        if let Some(secure) = self.secure.get() {
            secure.cut();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(secure) = self.secure.get() {
            secure.say_goodbye();
        }
    }
}
