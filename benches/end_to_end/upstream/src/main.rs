//! An upstream that costs less than any proxy in front of it: one thread, epoll, fixed answers.
//!
//! Prints its address and serves until it is killed. `GET /1m` is answered with 1 MiB, `GET /bytes/N`
//! with N bytes, all else with 128, once the body of a POST has come, which has a length. On `GET
//! /echo` it switches, as if to WebSocket, and sends back what comes. It trusts its clients, which are
//! the proxies under test.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use anyhow::Result;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use slab::Slab;

const LISTENER: u64 = u64::MAX;
const SMALL_BODY: usize = 128;
const LARGE_BODY: usize = 1024 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What one read takes at most.
const SCRATCH_BYTES: usize = 64 * 1024;
const ECHO_BYTES_MAX: usize = 64 * 1024;
/// The answer to the one key that the load sends, the example of RFC 6455, section 1.3.
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const EVENTS_MAX: usize = 256;

fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let answers = Answers::new();
    let mut scratch = vec![0; SCRATCH_BYTES];
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
            if connection.advance(&answers, &mut scratch).is_err() {
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
        entry.insert(Connection {
            stream,
            head: Vec::new(),
            body: 0,
            pending: None,
            is_echo: false,
        });
    }
}

/// Answers made in advance.
struct Answers {
    small: Rc<[u8]>,
    large: Rc<[u8]>,
    switch: Rc<[u8]>,
    /// What bodies of other sizes are made of.
    filler: Rc<[u8]>,
}

impl Answers {
    fn new() -> Self {
        let whole = |body: usize| {
            let mut bytes = head(body as u64).into_bytes();
            bytes.resize(bytes.len() + body, b'x');
            bytes.into()
        };
        Self {
            small: whole(SMALL_BODY),
            large: whole(LARGE_BODY),
            switch: SWITCH.as_bytes().into(),
            filler: vec![b'x'; LARGE_BODY].into(),
        }
    }
}

fn head(body: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n")
}

/// An answer that is being sent.
struct Pending {
    bytes: Rc<[u8]>,
    sent: usize,
    /// Bytes of filler behind these.
    filler: u64,
}

impl Pending {
    fn whole(bytes: &Rc<[u8]>) -> Self {
        Self { bytes: Rc::clone(bytes), sent: 0, filler: 0 }
    }

    /// Goes on to the next piece of filler, if there is one.
    fn refill(&mut self, answers: &Answers) -> bool {
        let whole = answers.filler.len();
        let piece = usize::try_from(self.filler).map_or(whole, |left| left.min(whole));
        self.filler -= piece as u64;
        // The last piece may be a part: it begins late.
        (self.bytes, self.sent) = (Rc::clone(&answers.filler), whole - piece);
        piece > 0
    }
}

struct Connection {
    stream: TcpStream,
    /// What came of a request head so far, or is to be echoed.
    head: Vec<u8>,
    /// Bytes of a request body that are still to come before the answer.
    body: u64,
    pending: Option<Pending>,
    is_echo: bool,
}

impl Connection {
    /// Reads and writes until the socket blocks; an error when the connection is over.
    fn advance(&mut self, answers: &Answers, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            let goes_on = if self.body > 0 {
                self.discard_body(scratch)?
            } else if let Some(pending) = &mut self.pending {
                match self.stream.write(&pending.bytes[pending.sent..]) {
                    Ok(n) => {
                        pending.sent += n;
                        if pending.sent == pending.bytes.len() && !pending.refill(answers) {
                            self.pending = None;
                        }
                        true
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                    Err(error) => return Err(error),
                }
            } else if self.is_echo {
                self.echo(scratch)?
            } else {
                self.take_request(answers)? || self.receive(scratch)?
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Starts the answer to the first request in the buffer, if all of its head is there.
    fn take_request(&mut self, answers: &Answers) -> io::Result<bool> {
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(false);
        };
        if self.head.starts_with(b"POST ") {
            self.body = content_length(&self.head[..end])?;
        }
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        self.pending = Some(match line.strip_prefix(b"GET /") {
            Some(rest) if rest.starts_with(b"1m ") => Pending::whole(&answers.large),
            Some(rest) if rest.starts_with(b"bytes/") => sized(&rest[b"bytes/".len()..])?,
            Some(rest) if rest.starts_with(b"echo ") => {
                self.is_echo = true;
                Pending::whole(&answers.switch)
            }
            Some(_) | None => Pending::whole(&answers.small),
        });
        self.head.drain(..end + 4);
        Ok(true)
    }

    /// Sends back what is here, or receives; false when the socket blocks.
    fn echo(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        if self.head.is_empty() {
            return self.receive(scratch);
        }
        match self.stream.write(&self.head) {
            Ok(n) => {
                self.head.drain(..n);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads on in the body; false when nothing is there to be read.
    fn discard_body(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        if self.head.is_empty() && !self.receive(scratch)? {
            return Ok(false);
        }
        let here = usize::try_from(self.body).map_or(self.head.len(), |b| b.min(self.head.len()));
        self.head.drain(..here);
        self.body -= here as u64;
        Ok(true)
    }

    fn bytes_max(&self) -> usize {
        match (self.is_echo, self.body) {
            (false, 0) => HEAD_BYTES_MAX,
            (true, _) | (_, 1..) => ECHO_BYTES_MAX,
        }
    }

    /// False when nothing is there to be read.
    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        match self.stream.read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.head.len() > self.bytes_max() => Err(io::ErrorKind::InvalidData.into()),
            Ok(n) => {
                self.head.extend_from_slice(&scratch[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The answer to `/bytes/N`, of what follows `/bytes/` in the request line.
fn sized(rest: &[u8]) -> io::Result<Pending> {
    let number = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    let text = std::str::from_utf8(number).map_err(io::Error::other)?;
    let filler = text.parse().map_err(io::Error::other)?;
    Ok(Pending { bytes: head(filler).into_bytes().into(), sent: 0, filler })
}

fn content_length(head: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(Ok(0), |(_, value)| value.trim().parse().map_err(io::Error::other))
}
