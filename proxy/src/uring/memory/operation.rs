//! Operations in flight on sockets in memory.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::network::{self, Request};
use super::socket::{Connection, End, SharedFd};
use crate::uring::Buffer;
use crate::uring::operation::Arrival;

/// Where an operation leaves its outcome.
pub(super) struct Slot<D>(RefCell<State<D>>);

enum State<D> {
    InFlight(Option<Waker>),
    Completed(io::Result<usize>, D),
    Taken,
}

impl<D> Slot<D> {
    fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new(State::InFlight(None))))
    }

    fn complete(&self, result: io::Result<usize>, owned: D) {
        if let State::InFlight(Some(waker)) = self.0.replace(State::Completed(result, owned)) {
            waker.wake();
        }
    }
}

/// An operation in flight that owns `D` and gives it back with its outcome.
pub(in crate::uring) struct Operation<D>(Rc<Slot<D>>);

impl<D> Operation<D> {
    pub(super) fn submit(request: impl FnOnce(Rc<Slot<D>>) -> Request) -> Self {
        let slot = Slot::new();
        network::submit(request(Rc::clone(&slot)));
        Self(slot)
    }
}

impl<D> Future for Operation<D> {
    type Output = (io::Result<usize>, D);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.0.borrow_mut();
        match std::mem::replace(&mut *state, State::Taken) {
            State::InFlight(_) => {
                *state = State::InFlight(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Completed(result, owned) => Poll::Ready((result, owned)),
            State::Taken => panic!("polled after its completion"),
        }
    }
}

/// A receive in flight. It gives back the buffer, longer by what arrived; 0 is the end of stream.
pub(in crate::uring) struct Recv(Operation<(Buffer, SharedFd)>);

impl Recv {
    pub(in crate::uring) fn submit(
        fd: &SharedFd,
        buffer: Buffer,
        at_most: usize,
        _: Arrival,
    ) -> Self {
        let room = buffer.receivable().min(at_most);
        assert!(room > 0, "a receive into a full buffer would look like the end of stream");
        let kind = |slot| Request::Recv(Receiving { fd: fd.clone(), buffer, room, slot });
        Self(Operation::submit(kind))
    }
}

impl Future for Recv {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|(result, (buffer, _fd))| (result, buffer))
    }
}

/// A send in flight. It gives back the buffer, shorter in front by what was taken.
pub(in crate::uring) struct Send(Operation<(Buffer, SharedFd)>);

impl Send {
    pub(in crate::uring) fn submit(fd: &SharedFd, buffer: Buffer) -> Self {
        Self(Operation::submit(|slot| {
            Request::Send(Sending { fd: fd.clone(), buffer, sent: 0, slot })
        }))
    }
}

impl Future for Send {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|(result, (buffer, _fd))| (result, buffer))
    }
}

/// The network's side of a receive.
pub(super) struct Receiving {
    fd: SharedFd,
    buffer: Buffer,
    room: usize,
    slot: Rc<Slot<(Buffer, SharedFd)>>,
}

impl Receiving {
    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let mut link = self.fd.link().borrow_mut();
        if link.inbound_end == Some(End::Reset) {
            // Told once; the end of the stream after that.
            link.inbound_end = Some(End::Finished);
            return Some(Err(failure(libc::ECONNRESET)));
        }
        if link.inbound.is_empty() {
            return link.inbound_end.map(|_| Ok(0));
        }
        let received = link.inbound.len().min(self.room);
        for (place, byte) in self.buffer.spare_mut().iter_mut().zip(link.inbound.drain(..received))
        {
            *place = byte;
        }
        self.buffer.commit(received);
        Some(Ok(received))
    }
}

/// The network's side of a send.
pub(super) struct Sending {
    fd: SharedFd,
    buffer: Buffer,
    sent: usize,
    slot: Rc<Slot<(Buffer, SharedFd)>>,
}

impl Sending {
    fn attempt(&mut self) -> Option<io::Result<usize>> {
        let mut link = self.fd.link().borrow_mut();
        if link.outbound_end.is_some() {
            return Some(if self.sent > 0 { Ok(self.sent) } else { Err(failure(libc::EPIPE)) });
        }
        let taken = link.take(self.buffer.filled());
        self.buffer.consume(taken);
        self.sent += taken;
        self.buffer.is_empty().then_some(Ok(self.sent))
    }
}

/// The network's side of an operation that has no memory.
pub(super) struct Waiting {
    pub(super) fd: SharedFd,
    pub(super) slot: Rc<Slot<SharedFd>>,
}

impl Waiting {
    fn complete(self, result: io::Result<usize>) {
        self.slot.complete(result, self.fd);
    }
}

fn failure(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Request {
    /// The socket that it works on.
    pub(super) fn fd(&self) -> Option<&SharedFd> {
        match self {
            Self::Recv(receiving) => Some(&receiving.fd),
            Self::Send(sending) => Some(&sending.fd),
            Self::Readable(waiting) | Self::HungUp(waiting) | Self::Connect(waiting) => {
                Some(&waiting.fd)
            }
            Self::Nop(_) | Self::Cancel(_) => None,
        }
    }

    /// Completes it if it can be; else it goes on.
    pub(super) fn attempt(mut self) -> Option<Self> {
        let outcome = match &mut self {
            Self::Recv(receiving) => receiving.attempt(),
            Self::Send(sending) => sending.attempt(),
            Self::Readable(waiting) => {
                let link = waiting.fd.link().borrow();
                (link.is_readable() || link.is_reset()).then_some(Ok(events(libc::POLLIN)))
            }
            Self::HungUp(waiting) => {
                let link = waiting.fd.link().borrow();
                match link.inbound_end {
                    _ if link.is_reset() => Some(Ok(events(libc::POLLERR | libc::POLLHUP))),
                    Some(_) if link.outbound_end.is_some() => Some(Ok(events(libc::POLLHUP))),
                    Some(_) => Some(Ok(events(libc::POLLRDHUP))),
                    None => None,
                }
            }
            Self::Connect(waiting) => match waiting.fd.link().borrow().connection {
                Connection::Waiting => None,
                Connection::Refused => Some(Err(failure(libc::ECONNREFUSED))),
                Connection::Made => Some(Ok(0)),
            },
            Self::Nop(_) | Self::Cancel(_) => Some(Ok(0)),
        };
        match outcome {
            Some(outcome) => {
                self.complete(outcome);
                None
            }
            None => Some(self),
        }
    }

    /// Ends it as a cancellation does: with what it has done, if that is anything.
    pub(super) fn cancel(self) {
        let done = match &self {
            Self::Send(sending) if sending.sent > 0 => Ok(sending.sent),
            _ => Err(failure(libc::ECANCELED)),
        };
        self.complete(done);
    }

    fn complete(self, result: io::Result<usize>) {
        match self {
            Self::Recv(done) => done.slot.complete(result, (done.buffer, done.fd)),
            Self::Send(done) => done.slot.complete(result, (done.buffer, done.fd)),
            Self::Readable(waiting) | Self::HungUp(waiting) | Self::Connect(waiting) => {
                waiting.complete(result);
            }
            Self::Nop(slot) => slot.complete(result, ()),
            Self::Cancel(_) => {}
        }
    }
}

fn events(events: libc::c_short) -> usize {
    usize::from(events.cast_unsigned())
}
