//! One request and its response on a connection.

use std::io;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dial::Io;

const BUFFER_BYTES: usize = 64 * 1024;
const FIELDS_MAX: usize = 64;

/// What the upstream's bodies are made of.
const FILLER: u8 = b'x';

/// A response, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// Whether the body is the upstream's, and nothing else; looked at where it is asked for.
    pub(crate) is_filler: bool,
}

/// Whether the bytes of a body are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Count,
    Compare,
}

/// A connection and what it has received.
pub(crate) struct Connection {
    pub(crate) io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// The bytes of a request; one with a body is a POST.
pub(crate) fn request(path: &str, fields: &str, body_bytes: usize) -> Vec<u8> {
    let method = if body_bytes > 0 { "POST" } else { "GET" };
    let length = match body_bytes {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: bench.example\r\n{fields}{length}\r\n");
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + body_bytes, b'u');
    bytes
}

impl Connection {
    pub(crate) fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.io.write_all(bytes).await.context("sending")?;
        self.io.flush().await.context("sending")
    }

    /// Sends a request, and reads the response that it must get.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u64> {
        self.send(request).await?;
        let response = self.receive(Body::Count).await?;
        if response.status != 200 {
            bail!("expected 200, found {}", response.status);
        }
        Ok(response.body_bytes)
    }

    /// Reads a response whose body has a length, or none.
    pub(crate) async fn receive(&mut self, body: Body) -> Result<Response> {
        let (status, head_bytes, body_bytes) = loop {
            if let Some(found) = parse(&self.buffer)? {
                break found;
            }
            if self.buffer.len() > BUFFER_BYTES {
                bail!("a response head without end");
            }
            self.fill().await.context("waiting for a response")?;
        };
        self.buffer.drain(..head_bytes);
        let (mut left, mut is_filler) = (body_bytes, true);
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await.context("waiting for a body")?;
            }
            let here =
                usize::try_from(left).map_or(self.buffer.len(), |l| l.min(self.buffer.len()));
            if body == Body::Compare {
                is_filler &= self.buffer[..here].iter().all(|byte| *byte == FILLER);
            }
            self.buffer.drain(..here);
            left -= here as u64;
        }
        Ok(Response { status, body_bytes, is_filler })
    }

    /// Until the other side closes. That of TLS may do so without its alert.
    pub(crate) async fn expect_end(&mut self) -> Result<()> {
        match self.io.read_u8().await {
            Ok(_) => bail!("more came behind the response"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error).context("waiting for the end"),
        }
    }

    pub(crate) async fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        let here = self.buffer.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(self.buffer.drain(..here)) {
            *to = from;
        }
        self.io.read_exact(&mut bytes[here..]).await.context("waiting for a message")?;
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER_BYTES);
        if self.io.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection ended");
        }
        Ok(())
    }
}

/// Status, bytes of the head and of the body, once the head is whole.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize, u64)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("a response has a status")?;
    let length = response.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let body_bytes = match length {
        Some(field) => std::str::from_utf8(field.value)?.parse()?,
        None if status == 101 => 0,
        None => bail!("a response without Content-Length"),
    };
    Ok(Some((status, head_bytes, body_bytes)))
}

#[cfg(test)]
mod tests {
    use super::{parse, request};

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(parse(&head[..10]).expect("a beginning"), None);
        assert_eq!(parse(head).expect("whole"), Some((200, head.len(), 7)));
    }

    #[test]
    fn a_response_without_a_length_is_refused_unless_it_switches() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        assert_eq!(parse(switch).expect("whole"), Some((101, switch.len(), 0)));
    }

    #[test]
    fn a_request_with_a_body_is_a_post() {
        let bytes = request("/", "", 2);
        let expected = b"POST / HTTP/1.1\r\nHost: bench.example\r\nContent-Length: 2\r\n\r\nuu";
        assert_eq!(bytes, expected);
        assert!(request("/a", "", 0).starts_with(b"GET /a HTTP/1.1\r\n"));
    }
}
