//! Connect: a new stream to an address or a Unix socket.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use io_uring::opcode;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::submit;
use crate::uring::wheel::Wheel;
use crate::uring::{Peer, Stream};

/// Connects within `limit`.
///
/// # Errors
/// As the kernel has them; `TimedOut` after `limit`.
pub async fn connect(peer: Peer<'_>, wheel: &Rc<Wheel>, limit: Duration) -> io::Result<Stream> {
    let (socket, address) = match peer {
        Peer::Tcp(address) => {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            (socket, SockAddr::from(address))
        }
        Peer::Unix(path) => {
            (Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?, SockAddr::unix(path)?)
        }
    };
    let stream = Stream::new(OwnedFd::from(socket), wheel);
    stream.arm(limit);
    // Boxed: the kernel reads the address after this frame may have moved.
    let address = Box::new(address);
    let entry =
        opcode::Connect::new(stream.fd().target(), address.as_ptr().cast(), address.len()).build();
    // SAFETY: the kernel reads the address, which the operation owns in its box.
    let connecting = unsafe { submit((address, stream.fd().clone()), entry) };
    let (result, _owned) = connecting.await;
    match result {
        Ok(_) => {
            stream.disarm();
            Ok(stream)
        }
        Err(_) if stream.expired() => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
    }
}
