//! A socket with a read buffer: bytes out as told, bytes in up to a mark, never a silent hang.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::deadline::PATIENCE;
use super::message::WireError;

/// A TLS session over a socket, as a client.
type TlsStream = StreamOwned<ClientConnection, TcpStream>;
/// The same as a server.
pub type TlsServerStream = StreamOwned<ServerConnection, TcpStream>;

/// A stream socket of either family, one with TLS over it, or one that has ended.
enum Socket {
    Tcp(TcpStream),
    Tls(Box<RefCell<TlsStream>>),
    TlsServer(Box<RefCell<TlsServerStream>>),
    Unix(UnixStream),
    Ended,
}

impl Read for &Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&*stream).read(bytes),
            Socket::Tls(stream) => stream.borrow_mut().read(bytes),
            Socket::TlsServer(stream) => stream.borrow_mut().read(bytes),
            Socket::Unix(stream) => (&*stream).read(bytes),
            Socket::Ended => Ok(0),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => (&*stream).write(bytes),
            Socket::Tls(stream) => stream.borrow_mut().write(bytes),
            Socket::TlsServer(stream) => stream.borrow_mut().write(bytes),
            Socket::Unix(stream) => (&*stream).write(bytes),
            Socket::Ended => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(stream) => stream.borrow_mut().flush(),
            Socket::TlsServer(stream) => stream.borrow_mut().flush(),
            Socket::Tcp(_) | Socket::Unix(_) | Socket::Ended => Ok(()),
        }
    }
}

/// One end of a connection.
pub struct Wire {
    socket: Socket,
    buffer: Vec<u8>,
    /// What has been read off the buffer, once somebody wants to know.
    record: Option<Vec<u8>>,
}

impl Wire {
    /// Connects over TCP.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::tcp(stream)
    }

    /// Takes over a TCP connection.
    pub fn tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { socket: Socket::Tcp(stream), buffer: Vec::new(), record: None }
    }

    /// Takes over a TLS connection whose handshake is over.
    pub fn tls(stream: TlsStream) -> Self {
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
        let socket = Socket::Tls(Box::new(RefCell::new(stream)));
        Self { socket, buffer: Vec::new(), record: None }
    }

    /// Does something with the TLS session.
    pub fn with_tls<T>(&self, what: impl FnOnce(&mut TlsStream) -> T) -> T {
        let Socket::Tls(stream) = &self.socket else { panic!("TLS only") };
        what(&mut stream.borrow_mut())
    }

    /// As [`Self::tls`], on the server's side, where these bytes have come before.
    pub fn tls_server(stream: TlsServerStream, buffer: Vec<u8>) -> Self {
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
        let socket = Socket::TlsServer(Box::new(RefCell::new(stream)));
        Self { socket, buffer, record: None }
    }

    /// Does something with the TLS session of the server's side.
    pub fn with_tls_server<T>(&self, what: impl FnOnce(&mut TlsServerStream) -> T) -> T {
        let Socket::TlsServer(stream) = &self.socket else { panic!("a TLS server only") };
        what(&mut stream.borrow_mut())
    }

    /// Takes over a Unix connection.
    pub fn unix(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket: Socket::Unix(stream), buffer: Vec::new(), record: None }
    }

    /// Gives up reading after so long.
    pub fn set_patience(&self, patience: std::time::Duration) {
        let Socket::Tcp(stream) = &self.socket else { panic!("TCP only") };
        stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// Bytes that have arrived, and the end behind them.
    pub fn ended(bytes: &[u8]) -> Self {
        Self { socket: Socket::Ended, buffer: bytes.to_vec(), record: None }
    }

    /// The local address, for a TCP connection.
    pub fn local_address(&self) -> SocketAddr {
        match &self.socket {
            Socket::Tcp(stream) => stream.local_addr().unwrap(),
            Socket::Tls(stream) => stream.borrow().sock.local_addr().unwrap(),
            Socket::TlsServer(stream) => stream.borrow().sock.local_addr().unwrap(),
            Socket::Unix(_) | Socket::Ended => panic!("only TCP has an address"),
        }
    }

    /// Sends all of it, if the peer takes it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), WireError> {
        (&self.socket).write_all(bytes.as_ref())?;
        Ok((&self.socket).flush()?)
    }

    /// Sends what the kernel takes within `patience` and says how much that was: a peer that does
    /// not read makes it less than all.
    pub fn send_some(&mut self, bytes: &[u8], patience: std::time::Duration) -> usize {
        let Socket::Tcp(stream) = &self.socket else { panic!("TCP only") };
        stream.set_write_timeout(Some(patience)).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match (&*stream).write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// No more will be sent; the peer sees the end of the stream.
    pub fn finish_sending(&self) {
        // It fails where the peer has reset the connection: the reads will tell.
        let _ = match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tls(stream) => {
                let mut stream = stream.borrow_mut();
                stream.conn.send_close_notify();
                stream.flush().and_then(|()| stream.sock.shutdown(Shutdown::Write))
            }
            Socket::TlsServer(stream) => {
                let mut stream = stream.borrow_mut();
                stream.conn.send_close_notify();
                stream.flush().and_then(|()| stream.sock.shutdown(Shutdown::Write))
            }
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Ended => Ok(()),
        };
    }

    /// What has been read since this was last called, byte for byte; nothing the first time.
    pub fn recorded(&mut self) -> Vec<u8> {
        self.record.replace(Vec::new()).unwrap_or_default()
    }

    /// Takes bytes off the front of the buffer.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        let taken = std::mem::replace(&mut self.buffer, rest);
        if let Some(record) = &mut self.record {
            record.extend_from_slice(&taken);
        }
        taken
    }

    /// Closes with a TCP reset instead of a FIN.
    pub fn reset(self) {
        self.reset_at_close();
    }

    /// From here on a close is a reset.
    pub fn reset_at_close(&self) {
        let Socket::Tcp(stream) = &self.socket else { panic!("only TCP has a reset") };
        socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Makes the kernel's buffers small, so that back-pressure shows after little data.
    pub fn shrink_buffers(&self) {
        let Socket::Tcp(stream) = &self.socket else { panic!("TCP only") };
        let socket = socket2::SockRef::from(stream);
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.set_send_buffer_size(8 * 1024).unwrap();
    }

    /// Reads more into the buffer; 0 at the end of the stream.
    fn fill(&mut self) -> Result<usize, WireError> {
        let mut bytes = [0; 64 * 1024];
        loop {
            match (&self.socket).read(&mut bytes) {
                Ok(n) => {
                    self.buffer.extend_from_slice(&bytes[..n]);
                    return Ok(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Everything up to and with `mark`.
    pub fn read_through(&mut self, mark: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut from = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[from..], mark) {
                return Ok(self.take(from + at + mark.len()));
            }
            from = self.buffer.len().saturating_sub(mark.len() - 1);
            if self.fill()? == 0 {
                return Err(WireError::ended(&self.buffer));
            }
        }
    }

    /// Exactly this many bytes.
    pub fn read_exactly(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        while self.buffer.len() < count {
            if self.fill()? == 0 {
                return Err(WireError::ended(&self.buffer));
            }
        }
        Ok(self.take(count))
    }

    /// What has come, one byte at least.
    pub fn read_some(&mut self) -> Result<Vec<u8>, WireError> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Err(WireError::Ended);
        }
        Ok(self.take(self.buffer.len()))
    }

    /// Everything until the peer ends the stream.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>, WireError> {
        while self.fill()? > 0 {}
        Ok(self.take(self.buffer.len()))
    }

    /// Waits until the peer has ended or reset the stream; what it still sends is thrown away.
    pub fn wait_for_end(&mut self) {
        loop {
            self.buffer.clear();
            match self.fill() {
                Ok(0) | Err(WireError::Reset) => return,
                Ok(_) => {}
                Err(error) => panic!("the peer keeps the connection open: {error:?}"),
            }
        }
    }

    /// Checks that the peer ends the stream without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        match self.fill() {
            Ok(0) if self.buffer.is_empty() => {}
            // A close with our bytes unread is a reset; either way the connection is over.
            Err(WireError::Reset) if self.buffer.is_empty() => {}
            Ok(_) => panic!("expected the end of the stream, got {:?}", lossy(&self.buffer)),
            Err(error) => panic!("expected the end of the stream: {error:?}"),
        }
    }

    /// Whether nothing has arrived and the stream is open: a look, not a wait.
    pub fn is_silent(&mut self) -> bool {
        let Socket::Tcp(stream) = &self.socket else { panic!("TCP only") };
        stream.set_nonblocking(true).unwrap();
        let got = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        self.buffer.is_empty() && matches!(got, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// Bytes as text for a failure message.
pub fn lossy(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    String::from_utf8_lossy(shown).into_owned()
}
