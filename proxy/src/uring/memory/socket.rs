//! A socket in memory and the other end of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::OnceLock;

use super::network;

/// How one direction of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: all that was sent arrives before it.
    Finished,
    /// It was reset: what has not been read yet is lost.
    Reset,
}

/// What both ends share.
#[derive(Debug)]
pub(super) struct Link {
    /// On the way to the socket.
    pub(super) inbound: VecDeque<u8>,
    pub(super) inbound_end: Option<End>,
    /// Sent by the socket.
    outbound: Vec<u8>,
    pub(super) outbound_end: Option<End>,
    /// How much more of what the socket sends is taken.
    room: usize,
    pub(super) connection: Connection,
    /// Whether closing the socket resets the connection.
    is_aborted: bool,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Waiting,
    Refused,
    Made,
}

impl Link {
    fn new(connection: Connection) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            inbound: VecDeque::new(),
            inbound_end: None,
            outbound: Vec::new(),
            outbound_end: None,
            room: usize::MAX,
            connection,
            is_aborted: false,
        }))
    }

    /// Whether a receive would complete.
    pub(super) fn is_readable(&self) -> bool {
        !self.inbound.is_empty() || self.inbound_end.is_some()
    }

    pub(super) fn is_reset(&self) -> bool {
        self.inbound_end == Some(End::Reset) || self.outbound_end == Some(End::Reset)
    }

    /// Takes what is sent, as much as there is room for.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room);
        self.outbound.extend_from_slice(&bytes[..taken]);
        self.room -= taken;
        taken
    }

    /// Ends both directions.
    fn end(&mut self, how: End) {
        if how == End::Reset {
            self.inbound.clear();
        }
        self.inbound_end.get_or_insert(how);
        self.outbound_end.get_or_insert(how);
    }
}

/// The socket's end; closed with the last reference, which an operation in flight may hold.
#[derive(Debug, Clone)]
pub struct SharedFd(Rc<Socket>);

#[derive(Debug)]
struct Socket {
    number: RawFd,
    link: Rc<RefCell<Link>>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut link = self.link.borrow_mut();
        // As TCP does it: closing with bytes unread resets the connection.
        let is_reset = link.is_aborted || !link.inbound.is_empty();
        link.end(if is_reset { End::Reset } else { End::Finished });
        if is_reset {
            link.outbound_end = Some(End::Reset);
        }
    }
}

/// The other end of a socket: what its peer does.
#[derive(Debug)]
pub struct Wire(Rc<RefCell<Link>>);

/// A socket and its other end, connected.
#[must_use]
pub fn wire() -> (SharedFd, Wire) {
    pair(Connection::Made)
}

pub(super) fn pair(connection: Connection) -> (SharedFd, Wire) {
    let link = Link::new(connection);
    let socket = Socket { number: network::number(), link: Rc::clone(&link) };
    (SharedFd(Rc::new(socket)), Wire(link))
}

impl Wire {
    /// Lets bytes arrive.
    pub fn send(&self, bytes: &[u8]) {
        let mut link = self.0.borrow_mut();
        if link.inbound_end.is_none() {
            link.inbound.extend(bytes);
        }
    }

    /// Sends no more, and may go on reading; or ends both directions as a failure.
    pub fn end(&self, how: End) {
        let mut link = self.0.borrow_mut();
        match how {
            End::Finished => {
                link.inbound_end.get_or_insert(End::Finished);
            }
            End::Reset => {
                link.inbound.clear();
                link.inbound_end = Some(End::Reset);
                link.outbound_end.get_or_insert(End::Reset);
            }
        }
    }

    /// How much more is taken of what the socket sends; at first all of it is.
    pub fn set_room(&self, bytes: usize) {
        self.0.borrow_mut().room = bytes;
    }

    /// What the socket has sent since this was last asked.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().outbound)
    }

    /// How the socket has ended its direction, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.0.borrow().outbound_end
    }

    pub(super) fn decide(&self, connection: Connection) {
        self.0.borrow_mut().connection = connection;
    }
}

/// A kernel's socket has no place here: what becomes of it is as if its peer had gone.
impl From<OwnedFd> for SharedFd {
    fn from(_: OwnedFd) -> Self {
        let (socket, peer) = wire();
        peer.end(End::Reset);
        socket
    }
}

impl SharedFd {
    pub(super) fn link(&self) -> &RefCell<Link> {
        &self.0.link
    }

    pub(in crate::uring) fn raw(&self) -> RawFd {
        self.0.number
    }

    /// A descriptor that is no socket: options cannot be set on it.
    pub(in crate::uring) fn as_fd(&self) -> BorrowedFd<'_> {
        static NULL: OnceLock<File> = OnceLock::new();
        NULL.get_or_init(|| File::open("/dev/null").expect("every Linux has it")).as_fd()
    }

    pub(in crate::uring) fn is_dead(&self) -> bool {
        let link = self.link().borrow();
        link.is_reset() || (link.inbound_end.is_some() && link.outbound_end.is_some())
    }

    pub(in crate::uring) fn has_failed(&self) -> bool {
        self.link().borrow().is_reset()
    }

    pub(in crate::uring) fn is_drained(&self) -> io::Result<bool> {
        Ok(!self.link().borrow().is_readable())
    }

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "as a kernel's socket has it"
    )]
    pub(in crate::uring) fn set_nonblocking(&self) -> io::Result<()> {
        Ok(())
    }

    pub(in crate::uring) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut link = self.link().borrow_mut();
        match link.outbound_end {
            Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
            None => Ok(link.take(bytes)),
        }
    }

    pub(in crate::uring) fn shutdown(&self) {
        self.link().borrow_mut().end(End::Finished);
    }

    pub(in crate::uring) fn shutdown_write(&self) {
        self.link().borrow_mut().outbound_end.get_or_insert(End::Finished);
    }

    pub(in crate::uring) fn abort(&self) {
        self.link().borrow_mut().is_aborted = true;
    }

    pub(in crate::uring) fn reset(&self) {
        self.link().borrow_mut().end(End::Reset);
    }
}
