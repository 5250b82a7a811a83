//! Accept: connections from a listening socket, with the peer's address.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use io_uring::{opcode, types};
use rustix::net::SocketFlags;

use super::operation::{Lent, as_result};
use super::{cancel_all, submit};

/// A listening socket of this worker. It is closed with the last reference: operations in flight
/// hold one, the control thread only while it makes a call on it.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<TcpListener>,
}

/// The connection that an accept has answered with.
fn accepted(answer: i32) -> io::Result<OwnedFd> {
    let number: RawFd = as_result(answer)?.try_into().map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for this operation; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl Lent for Arc<TcpListener> {
    fn unclaimed(&self, answer: i32) {
        drop(accepted(answer));
    }
}

impl Listener {
    /// Takes over a socket that listens. What is set on it (`TCP_NODELAY`) its connections inherit.
    #[must_use]
    pub const fn new(socket: Arc<TcpListener>) -> Self {
        Self { socket }
    }

    /// The next connection and its peer.
    ///
    /// # Errors
    /// `ECANCELED` after [`Self::cancel`]; `EMFILE`, `ENFILE`, `ECONNABORTED` and the like as the
    /// kernel has them: the listener can be used again.
    pub async fn accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        // No address is asked for: it would be memory to own for the whole wait, while one
        // getpeername a connection needs none.
        let target = types::Fd(self.socket.as_raw_fd());
        let entry = opcode::Accept::new(target, ptr::null_mut(), ptr::null_mut())
            .flags(libc::SOCK_CLOEXEC)
            .build();
        // SAFETY: the entry points to nothing; the operation keeps its socket open.
        let mut accepting = unsafe { submit(Arc::clone(&self.socket), entry) };
        let (answer, _socket) = poll_fn(|context| accepting.poll_raw(context)).await;
        let fd = accepted(answer)?;
        let peer = rustix::net::getpeername(&fd)?.ok_or(io::ErrorKind::NotConnected)?;
        let peer = SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::AddrNotAvailable)?;
        Ok((fd, peer))
    }

    /// A connection that already waits to be accepted, or none; never waits itself.
    ///
    /// # Errors
    /// As the kernel has them, beside that nothing waits.
    pub fn accept_waiting(&self) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
        rustix::io::ioctl_fionbio(&*self.socket, true)?;
        match rustix::net::acceptfrom_with(&*self.socket, SocketFlags::CLOEXEC) {
            Ok((socket, Some(peer))) => {
                let peer =
                    SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::AddrNotAvailable)?;
                Ok(Some((socket, peer)))
            }
            Ok((_, None)) => Err(io::ErrorKind::NotConnected.into()),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a wait in [`Self::accept`]. Connections still in the backlog are reset when the last
    /// reference to the socket goes; see [`Self::accept_waiting`].
    pub fn cancel(&self) {
        cancel_all(self.socket.as_raw_fd());
    }
}
