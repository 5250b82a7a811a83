//! An upstream that costs less than any proxy in front of it: one thread, epoll, fixed answers.
//!
//! Prints its address and serves until it is killed. `GET /1m` is answered with 1 MiB, all else
//! with 128 bytes, once the body of a POST has come, which has a length. It trusts its clients, which
//! are the proxies under test.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::Result;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use slab::Slab;

const LISTENER: u64 = u64::MAX;
const SMALL_BODY: usize = 128;
const LARGE_BODY: usize = 1024 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const EVENTS_MAX: usize = 256;

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let answers = Answers { small: answer(SMALL_BODY), large: answer(LARGE_BODY) };
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data.u64();
            if data == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let key = usize::try_from(data)?;
            let Some(connection) = connections.get_mut(key) else { continue };
            if connection.advance(&answers).is_err() {
                connections.remove(key);
            }
        }
    }
}

/// Takes all connections that wait. Edge-triggered for both directions: no later change.
fn accept(
    listener: &TcpListener,
    poll: &impl std::os::fd::AsFd,
    connections: &mut Slab<Connection>,
) -> Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let data = EventData::new_u64(u64::try_from(entry.key())?);
        epoll::add(poll, &stream, data, EventFlags::IN | EventFlags::OUT | EventFlags::ET)?;
        entry.insert(Connection { stream, head: Vec::new(), body: 0, pending: None });
    }
}

struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
}

fn answer(body: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + body, b'x');
    bytes
}

struct Connection {
    stream: TcpStream,
    /// What came of a request head so far.
    head: Vec<u8>,
    /// Bytes of a request body that are still to come before the answer.
    body: u64,
    /// The answer being sent, and how much of it is.
    pending: Option<(bool, usize)>,
}

impl Connection {
    /// Reads and writes until the socket blocks; an error when the connection is over.
    fn advance(&mut self, answers: &Answers) -> io::Result<()> {
        loop {
            if self.body > 0 {
                if !self.discard_body()? {
                    return Ok(());
                }
            } else if let Some((large, sent)) = self.pending {
                let bytes = if large { &answers.large } else { &answers.small };
                match self.stream.write(&bytes[sent..]) {
                    Ok(n) if sent + n == bytes.len() => self.pending = None,
                    Ok(n) => self.pending = Some((large, sent + n)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            } else if !self.take_request()? && !self.receive()? {
                return Ok(());
            }
        }
    }

    /// Starts the answer to the first request in the buffer, if all of its head is there.
    fn take_request(&mut self) -> io::Result<bool> {
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(false);
        };
        if self.head.starts_with(b"POST ") {
            self.body = content_length(&self.head[..end])?;
        }
        self.pending = Some((self.head.starts_with(b"GET /1m "), 0));
        self.head.drain(..end + 4);
        Ok(true)
    }

    /// Reads on in the body; false when nothing is there to be read.
    fn discard_body(&mut self) -> io::Result<bool> {
        if self.head.is_empty() && !self.receive()? {
            return Ok(false);
        }
        let here = usize::try_from(self.body).map_or(self.head.len(), |b| b.min(self.head.len()));
        self.head.drain(..here);
        self.body -= here as u64;
        Ok(true)
    }

    /// False when nothing is there to be read.
    fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.head.len() > HEAD_BYTES_MAX => Err(io::ErrorKind::InvalidData.into()),
            Ok(n) => {
                self.head.extend_from_slice(&chunk[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn content_length(head: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(Ok(0), |(_, value)| value.trim().parse().map_err(io::Error::other))
}
