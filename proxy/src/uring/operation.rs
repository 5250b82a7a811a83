//! Receives and sends in flight, of whichever kind of stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::backend;
use super::buffer::Buffer;
use super::secure::{Deliver, Receive};

/// When the first byte of a receive is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It may be there already.
    Any,
    /// Hardly before the operation is made: the kernel need not look before it waits.
    Later,
}

/// A receive in flight. It gives back the buffer, longer by what arrived; 0 is the end of stream.
pub struct Recv(Receiving);

enum Receiving {
    Plain(backend::Recv),
    /// Apart, so that plain streams need no room for it.
    Secure(Box<Receive>),
}

impl Recv {
    pub(super) fn plain(raw: backend::Recv) -> Self {
        Self(Receiving::Plain(raw))
    }

    pub(super) fn secure(receive: Receive) -> Self {
        Self(Receiving::Secure(Box::new(receive)))
    }

    /// Whether it has completed, without waiting: for a connection that should be silent.
    pub fn completed(&mut self) -> Option<(io::Result<usize>, Buffer)> {
        match Pin::new(self).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }
}

impl fmt::Debug for Recv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv(in flight)")
    }
}

impl Future for Recv {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Receiving::Plain(raw) => Pin::new(raw).poll(context),
            Receiving::Secure(receive) => Pin::new(receive).poll(context),
        }
    }
}

/// A send in flight. It gives back the buffer, shorter in front by what was taken.
pub struct Send(Sending);

enum Sending {
    Plain(backend::Send),
    /// Apart, so that plain streams need no room for it.
    Secure(Box<Deliver>),
}

impl Send {
    pub(super) fn plain(raw: backend::Send) -> Self {
        Self(Sending::Plain(raw))
    }

    pub(super) fn secure(deliver: Deliver) -> Self {
        Self(Sending::Secure(Box::new(deliver)))
    }
}

impl Future for Send {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Sending::Plain(raw) => Pin::new(raw).poll(context),
            Sending::Secure(deliver) => Pin::new(deliver).poll(context),
        }
    }
}
