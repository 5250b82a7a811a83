//! TLS on a stream: its records, on their way between the session and the socket.
//!
//! ```text
//!          raw receive              open, in place                copied
//! socket --------------> incoming ------------------> session ------------> the caller's buffer
//!          raw send                 sealed
//! socket <-------------- outgoing <------------------ session <------------ the caller's buffer
//! ```
//!
//! * `incoming` is there while it holds something, or is being received into: an idle stream has no
//!   buffer.
//! * What was sealed is sent, whole and in order, whatever becomes of the send that it was sealed
//!   for: one that is interrupted leaves the rest in `outgoing`, and the next begins with it.
//! * One raw receive and one raw send are in flight at most. Where a receive finds that something is
//!   to be said (a key update to be answered, an alert), it says it by a call that does not wait, if
//!   no send is in flight; else it goes with what is sent next.
//! * All operations of one stream are polled by one task.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use super::backend::{Recv as RawRecv, Send as RawSend, SharedFd, poll};
use super::buffer::Buffer;
use super::operation::Arrival;
use super::records::RecordPools;
use super::wheel::Watch;
use crate::tls::{self, RECORD_BYTES, Session};

/// What a TLS stream has beside its socket.
pub(super) struct Secure {
    fd: SharedFd,
    session: RefCell<Session>,
    pools: Rc<RecordPools>,
    incoming: RefCell<Option<Buffer>>,
    outgoing: RefCell<Option<Buffer>>,
    is_sending: Cell<bool>,
    /// Whoever waits for the send in flight.
    next_sender: RefCell<Option<Waker>>,
    receiving: Watch,
    /// Somebody cancelled what receives: it is not to begin anew.
    interrupted: Cell<bool>,
    /// The end is none in order, and the peer is not to take it for one.
    is_cut: Cell<bool>,
}

impl Secure {
    pub(super) fn new(
        fd: &SharedFd,
        receiving: Watch,
        session: Session,
        pools: &Rc<RecordPools>,
        received: Option<Buffer>,
    ) -> Rc<Self> {
        Rc::new(Self {
            fd: fd.clone(),
            session: RefCell::new(session),
            pools: Rc::clone(pools),
            incoming: RefCell::new(received.filter(|received| !received.is_empty())),
            outgoing: RefCell::default(),
            is_sending: Cell::new(false),
            next_sender: RefCell::default(),
            receiving,
            interrupted: Cell::new(false),
            is_cut: Cell::new(false),
        })
    }

    pub(super) fn session(&self) -> std::cell::Ref<'_, Session> {
        self.session.borrow()
    }

    pub(super) fn interrupt(&self) {
        self.interrupted.set(true);
    }

    pub(super) fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Whether something sealed is to be sent before anything else.
    pub(super) fn has_unsent(&self) -> bool {
        self.outgoing.borrow().is_some()
    }

    /// Whether a receive may have something to give without waiting.
    fn may_open(&self) -> bool {
        let session = self.session.borrow();
        let incoming = self.incoming.borrow().as_ref().map_or(0, Buffer::len);
        session.has_plain()
            || session.has_ended()
            || session.failure().is_some()
            || session.is_behind(incoming)
    }

    /// Whether nothing that receives is to begin.
    fn is_interrupted(&self) -> bool {
        self.interrupted.get() || self.receiving.expired()
    }

    /// Queues a receive behind what has come and cannot be opened yet.
    fn receive(&self, room: usize, arrival: Arrival) -> io::Result<RawRecv> {
        let mut incoming = match self.incoming.take() {
            Some(incoming) => incoming,
            None => self.pools.to_receive(room),
        };
        incoming.compact();
        if incoming.receivable() == 0 {
            // A record fits, so that it is a message of a handshake over several.
            *self.incoming.borrow_mut() = Some(incoming);
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLarge));
        }
        Ok(RawRecv::submit(&self.fd, incoming, usize::MAX, arrival))
    }

    /// Takes back the buffer of a receive; says whether the peer has closed.
    fn received(&self, (result, buffer): (io::Result<usize>, Buffer)) -> io::Result<bool> {
        *self.incoming.borrow_mut() = Some(buffer).filter(|buffer| !buffer.is_empty());
        result.map(|received| received == 0)
    }

    /// Opens what there is into `buffer`, at most `limit` bytes; none where there is nothing.
    fn open(&self, buffer: &mut Buffer, limit: usize) -> io::Result<Option<usize>> {
        let room = buffer.receivable().min(limit);
        let opened = self.with_session(|session, incoming| {
            session.open(incoming, &mut buffer.spare_mut()[..room])
        });
        self.speak_up();
        let written = opened?;
        buffer.commit(written);
        let is_over = written == 0 && self.session.borrow().has_ended();
        Ok((written > 0 || is_over).then_some(written))
    }

    fn with_session(
        &self,
        open: impl FnOnce(&mut Session, &mut [u8]) -> Result<tls::Opened, rustls::Error>,
    ) -> io::Result<usize> {
        let mut incoming = self.incoming.borrow_mut();
        let bytes = incoming.as_mut().map_or(&mut [][..], Buffer::filled_mut);
        let opened = open(&mut self.session.borrow_mut(), bytes).map_err(invalid)?;
        if let Some(buffer) = incoming.as_mut() {
            buffer.consume(opened.consumed);
        }
        if incoming.as_ref().is_some_and(Buffer::is_empty) {
            *incoming = None;
        }
        Ok(opened.written)
    }

    /// Says what the session has to say, as far as that goes without waiting.
    fn speak_up(&self) {
        if self.is_sending.get() || self.has_unsent() || !self.session.borrow().has_control() {
            return;
        }
        let mut words = self.pools.take();
        let room = words.receivable();
        let spoken = self.session.borrow_mut().take_control(&mut words.spare_mut()[..room]);
        words.commit(spoken);
        self.send_now(words);
    }

    /// Sends without waiting; what the kernel does not take now goes with what is sent next.
    fn send_now(&self, mut words: Buffer) {
        if let Ok(sent) = self.fd.send_now(words.filled()) {
            words.consume(sent);
        }
        *self.outgoing.borrow_mut() = Some(words).filter(|words| !words.is_empty());
    }

    /// Tells the peer that no more data will come, unless the end is none in order.
    pub(super) fn say_goodbye(&self) {
        if self.is_cut.get() || self.is_sending.get() || self.has_unsent() {
            return;
        }
        let mut words = self.pools.take();
        let room = words.receivable();
        let mut incoming = self.incoming.borrow_mut();
        let bytes = incoming.as_mut().map_or(&mut [][..], Buffer::filled_mut);
        let closed = self.session.borrow_mut().close(bytes, &mut words.spare_mut()[..room]);
        if let Ok(written) = closed {
            words.commit(written);
            self.send_now(words);
        }
        self.is_cut.set(true);
    }

    /// Waits until a receive has something to give: plaintext, the end, or a failure. Lends the
    /// kernel no memory until there is something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.interrupted.set(false);
        while !self.may_open() {
            if self.is_interrupted() {
                return Err(io::Error::from_raw_os_error(libc::ECANCELED));
            }
            if self.take_in().await? {
                // The next receive says so.
                return Ok(());
            }
            // An error is told by the next receive, too.
            let _ = self.with_session(|session, incoming| session.open(incoming, &mut []));
            self.speak_up();
        }
        Ok(())
    }

    /// Waits for more without a buffer and takes it in; says whether the peer has closed instead.
    pub(super) async fn take_in(&self) -> io::Result<bool> {
        poll::readable(&self.fd).await.0?;
        if self.is_interrupted() {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
        let receiving = self.receive(RECORD_BYTES, Arrival::Any)?;
        self.received(receiving.await)
    }

    /// Goes on with the handshake by what has been taken in; says whether it is over.
    pub(super) fn advance(&self) -> io::Result<bool> {
        self.with_session(|session, incoming| {
            let consumed = session.advance(incoming)?;
            Ok(tls::Opened { consumed, written: 0 })
        })?;
        Ok(!self.session.borrow().is_handshaking())
    }

    /// Sends all that the session has to say.
    pub(super) async fn flush(&self) -> io::Result<()> {
        while self.session.borrow().has_control() {
            let mut words = self.pools.take();
            let room = words.receivable();
            let spoken = self.session.borrow_mut().take_control(&mut words.spare_mut()[..room]);
            words.commit(spoken);
            while !words.is_empty() {
                if self.is_interrupted() {
                    return Err(io::Error::from_raw_os_error(libc::ECANCELED));
                }
                let (sent, left) = RawSend::submit(&self.fd, words).await;
                words = left;
                if sent? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.borrow().fmt(f)
    }
}

/// A message of a handshake that no buffer holds.
#[derive(Debug, thiserror::Error)]
#[error("a message of the handshake is too large")]
pub struct TooLarge;

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A receive of plaintext.
pub(super) struct Receive {
    secure: Rc<Secure>,
    buffer: Option<Buffer>,
    limit: usize,
    raw: Option<RawRecv>,
    failed: Option<io::Error>,
}

impl Receive {
    pub(super) fn submit(
        secure: &Rc<Secure>,
        buffer: Buffer,
        limit: usize,
        arrival: Arrival,
    ) -> Self {
        let room = buffer.receivable().min(limit);
        debug_assert!(room > 0, "a receive into a full buffer would look like the end of stream");
        secure.interrupted.set(false);
        let mut receive = Self {
            secure: Rc::clone(secure),
            buffer: Some(buffer),
            limit,
            raw: None,
            failed: None,
        };
        if !secure.may_open() {
            receive.receive(room, arrival);
        }
        receive
    }

    fn receive(&mut self, room: usize, arrival: Arrival) {
        match self.secure.receive(room, arrival) {
            Ok(raw) => self.raw = Some(raw),
            Err(error) => self.failed = Some(error),
        }
    }

    /// What comes of it now: a result, or nothing yet.
    fn attempt(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if let Some(failed) = self.failed.take() {
                return Poll::Ready(Err(failed));
            }
            let mut has_closed = false;
            if let Some(raw) = &mut self.raw {
                let received = ready!(Pin::new(raw).poll(context));
                self.raw = None;
                has_closed = self.secure.received(received)?;
            }
            let Some(buffer) = &mut self.buffer else {
                return Poll::Ready(Err(io::ErrorKind::Other.into()));
            };
            if let Some(opened) = self.secure.open(buffer, self.limit)? {
                return Poll::Ready(Ok(opened));
            }
            if has_closed {
                // Without the alert that says so, it may be somebody else who ended it.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if self.secure.is_interrupted() {
                return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
            }
            let room = buffer.receivable().min(self.limit);
            self.receive(room, Arrival::Any);
        }
    }
}

impl Future for Receive {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.attempt(context));
        let buffer = self.buffer.take().expect("polled after its completion");
        Poll::Ready((result, buffer))
    }
}

/// A send of plaintext. It gives back the buffer, shorter in front by what was sealed; the result
/// counts the bytes that the kernel took.
pub(super) struct Deliver {
    secure: Rc<Secure>,
    buffer: Option<Buffer>,
    raw: Option<RawSend>,
    failed: Option<io::Error>,
}

impl Deliver {
    pub(super) fn submit(secure: &Rc<Secure>, buffer: Buffer) -> Self {
        let mut deliver =
            Self { secure: Rc::clone(secure), buffer: Some(buffer), raw: None, failed: None };
        if !secure.is_sending.get() {
            deliver.send();
        }
        deliver
    }

    /// Queues what was sealed before, or seals and queues what comes next.
    fn send(&mut self) {
        let secure = &self.secure;
        let Some(plain) = &mut self.buffer else { return };
        let records = match secure.outgoing.take() {
            Some(unsent) => unsent,
            None => {
                let mut records = secure.pools.to_send(plain.len());
                let room = records.receivable();
                let mut incoming = secure.incoming.borrow_mut();
                let bytes = incoming.as_mut().map_or(&mut [][..], Buffer::filled_mut);
                let out = &mut records.spare_mut()[..room];
                match secure.session.borrow_mut().seal(bytes, plain.filled(), out) {
                    Ok(sealed) => {
                        plain.consume(sealed.taken);
                        records.commit(sealed.written);
                    }
                    Err(error) => self.failed = Some(invalid(error)),
                }
                records
            }
        };
        if !records.is_empty() {
            secure.is_sending.set(true);
            self.raw = Some(RawSend::submit(&secure.fd, records));
        }
    }
}

impl Future for Deliver {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.raw.is_none() && self.failed.is_none() {
            if self.secure.is_sending.get() {
                *self.secure.next_sender.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            self.send();
        }
        let result = match &mut self.raw {
            Some(raw) => {
                let (result, records) = ready!(Pin::new(raw).poll(context));
                self.raw = None;
                let secure = &self.secure;
                secure.is_sending.set(false);
                *secure.outgoing.borrow_mut() = Some(records).filter(|left| !left.is_empty());
                if let Some(waker) = secure.next_sender.take() {
                    waker.wake();
                }
                result
            }
            None => self.failed.take().map_or(Ok(0), Err),
        };
        let buffer = self.buffer.take().expect("polled after its completion");
        Poll::Ready((result, buffer))
    }
}
