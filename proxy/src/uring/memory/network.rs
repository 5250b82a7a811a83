//! What the ring and the kernel behind it would do: completing operations, and connecting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::operation::{Operation, Receiving, Sending, Slot, Waiting};
use super::socket::{Connection, SharedFd, Wire, pair};
use crate::uring::wheel::Wheel;
use crate::uring::{Peer, Stream};

/// An operation as the network sees it.
pub(super) enum Request {
    Recv(Receiving),
    Send(Sending),
    Readable(Waiting),
    HungUp(Waiting),
    Connect(Waiting),
    Nop(Rc<Slot<()>>),
    /// Ends all before it on a socket.
    Cancel(RawFd),
}

#[derive(Default)]
struct Network {
    sockets: Cell<RawFd>,
    requests: RefCell<Vec<Request>>,
    dialled: RefCell<VecDeque<Dialled>>,
}

thread_local! {
    static NETWORK: Network = Network::default();
}

/// A number that no other socket of this thread has had.
pub(super) fn number() -> RawFd {
    NETWORK.with(|network| {
        let number = network.sockets.get();
        network.sockets.set(number.wrapping_add(1));
        number
    })
}

pub(super) fn submit(request: Request) {
    NETWORK.with(|network| network.requests.borrow_mut().push(request));
}

pub(in crate::uring) fn cancel_all(fd: RawFd) {
    submit(Request::Cancel(fd));
}

/// Completes every operation that can be, in the order they were made, and says whether there was
/// any.
#[must_use]
pub fn turn_over() -> bool {
    let requests = NETWORK.with(|network| network.requests.take());
    expect_one_send_each(&requests);
    let mut waiting: Vec<Request> = Vec::with_capacity(requests.len());
    let before = requests.len();
    for request in requests {
        if let Request::Cancel(fd) = request {
            let of_fd = |one: &mut Request| one.fd().is_some_and(|it| it.raw() == fd);
            waiting.extract_if(.., of_fd).for_each(Request::cancel);
        } else {
            waiting.extend(request.attempt());
        }
    }
    let any = waiting.len() < before;
    // Completing wakes tasks but runs none: nothing was made meanwhile, but for what a buffer that
    // nobody wanted back may have closed.
    NETWORK.with(|network| {
        let mut requests = network.requests.borrow_mut();
        waiting.append(&mut requests);
        *requests = waiting;
    });
    any
}

/// Of two sends in flight on a socket, the kernel may mix the bytes. Not checked where they are made:
/// that is in a task, whose panics are caught.
fn expect_one_send_each(requests: &[Request]) {
    let is_send = |one: &&Request| matches!(one, Request::Send(_));
    let sends = requests.iter().filter(is_send).filter_map(Request::fd);
    let mut sockets: Vec<RawFd> = sends.map(SharedFd::raw).collect();
    sockets.sort_unstable();
    let is_two = sockets.array_windows().any(|[one, next]| one == next);
    assert!(!is_two, "two sends at once on a socket");
}

/// Forgets all that a run before has left: what now begins has a network of its own.
pub fn reset() {
    // What is dropped may close sockets, which makes nothing new here.
    let (requests, dialled) =
        NETWORK.with(|network| (network.requests.take(), network.dialled.take()));
    drop((requests, dialled));
}

/// How many operations wait.
#[must_use]
pub fn in_flight() -> usize {
    NETWORK.with(|network| network.requests.borrow().len())
}

/// Waits for so long, by a clock that the test turns.
pub use tokio::time::sleep;

/// Waits for the next turn.
pub async fn turn() {
    let _ = Operation::submit(Request::Nop).await;
}

/// A connection that is being made to somebody.
#[derive(Debug)]
pub struct Dialled(Wire);

impl Dialled {
    /// Lets it be made.
    #[must_use]
    pub fn accept(self) -> Wire {
        self.0.decide(Connection::Made);
        self.0
    }

    /// Refuses it.
    pub fn refuse(self) {
        self.0.decide(Connection::Refused);
    }
}

/// The first connection that is waited for.
#[must_use]
pub fn dialled() -> Option<Dialled> {
    NETWORK.with(|network| network.dialled.borrow_mut().pop_front())
}

/// Connects within `limit`, to whoever takes [`dialled`] connections.
///
/// # Errors
/// As it is refused; `TimedOut` after `limit`.
pub async fn connect(_: Peer<'_>, wheel: &Rc<Wheel>, limit: Duration) -> io::Result<Stream> {
    let (fd, wire) = pair(Connection::Waiting);
    NETWORK.with(|network| network.dialled.borrow_mut().push_back(Dialled(wire)));
    let connecting =
        Operation::submit(|slot| Request::Connect(Waiting { fd: SharedFd::clone(&fd), slot }));
    let stream = Stream::new(fd, wheel);
    stream.arm(limit);
    match connecting.await.0 {
        Ok(_) => {
            stream.disarm();
            Ok(stream)
        }
        Err(_) if stream.expired() => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
    }
}
