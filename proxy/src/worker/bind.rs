//! Listening sockets: one for each worker on the same address, the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, on each worker; the kernel cuts it to
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel takes for a client beyond what it can put on its way: without a bound it
/// takes up to `net.ipv4.tcp_wmem` (4 MiB) for each that does not read, and a thousand of them that
/// ask for much keep a worker busy with nothing but filling it.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// One listening socket for each of `workers` on `address`. Port 0 becomes the same free port for
/// all of them.
///
/// # Errors
/// As the kernel has them; `AddrInUse` also where another process shares its port with
/// `SO_REUSEPORT`, which would split the traffic between the two.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    assert!(workers > 0, "a gateway has at least one worker");
    if address.port() != 0 {
        // Without SO_REUSEPORT this fails whoever has the port, and however.
        drop(socket(address, false)?);
    }
    let first = socket(address, true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(socket(bound, true)?);
    }
    for socket in &sockets {
        rustix::net::listen(socket, BACKLOG)?;
    }
    Ok(sockets)
}

/// A bound socket that does not listen yet.
fn socket(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    // A restart need not wait for old connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    // Accepted connections inherit both.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    if address.is_ipv6() {
        // "[::]" is IPv6 only on every host, whatever net.ipv6.bindv6only says there.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_a_socket_on_one_free_port() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert_ne!(ports[0], 0);
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn accepted_connections_have_the_options_of_their_listener() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let _client = std::net::TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
        let accepted = sockets[0].accept().unwrap().0;
        let accepted = socket2::SockRef::from(&accepted);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
        assert!(accepted.tcp_nodelay().unwrap());
    }

    #[test]
    fn a_port_in_use_is_an_error_even_when_it_is_shared() {
        let theirs = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = bind(theirs[0].local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
