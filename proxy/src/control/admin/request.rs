//! A request to the administration listener, read in two steps: the head, and its body once it is
//! known how much of one is wanted. Both within bounds and before one deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::answer::Answer;
use crate::http1::{
    BodyLength, ChunkLimits, ChunkedDecoder, Field, FieldSlots, HeadLimits, Progress, RequestError,
    parse_request,
};
use crate::snapshot::path_normalization::PathNormalization;

/// The most bytes of a head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const LIMITS: HeadLimits =
    HeadLimits { head_bytes: HEAD_BYTES_MAX, head_fields: 64, target_bytes: 1024 };
const CHUNK_LIMITS: ChunkLimits = ChunkLimits { overhead_bytes: HEAD_BYTES_MAX, trailers: LIMITS };

/// The head of a request, and what of its body came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: String,
    query: String,
    /// Host and port, checked; empty where HTTP/1.0 left it out.
    pub(super) host: String,
    /// The page that sent it, as a browser says.
    pub(super) origin: Option<String>,
    /// How that page relates to what it asks, as a browser says.
    pub(super) fetch_site: Option<String>,
    pub(super) body: BodyLength,
    /// Whether the head says how long the body is.
    pub(super) has_length: bool,
    expect_continue: bool,
    began: Vec<u8>,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Delete,
    Other,
}

impl Method {
    /// As a request line has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "",
        }
    }

    /// Whether it may change what runs.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Get | Self::Head => false,
            Self::Post | Self::Delete | Self::Other => true,
        }
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The client is to be told.
    Refused(Answer),
    /// It is gone.
    Gone(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Linux has WouldBlock for a read timeout.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Self::Refused(Answer::text(408, "the request did not arrive in time\n"))
            }
            _ => Self::Gone(error),
        }
    }
}

impl From<RequestError> for Unreadable {
    fn from(error: RequestError) -> Self {
        Self::Refused(Answer::text(error.status(), format!("{error}\n")))
    }
}

/// Reads a head.
pub(super) fn read_head(stream: &TcpStream, deadline: Instant) -> Result<Head, Unreadable> {
    let mut buffer = [0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        let count = read(stream, &mut buffer[filled..], deadline)?;
        filled += count;
        match parse(&buffer[..filled])? {
            Some(head) => return Ok(head),
            None if count > 0 => {}
            None => return Err(Unreadable::Gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn read(mut stream: &TcpStream, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(into)
}

/// The head, or nothing while it is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<Head>, RequestError> {
    let mut slots = FieldSlots::new();
    let Progress::Complete(head) =
        parse_request(bytes, &mut slots, LIMITS, PathNormalization::Off)?
    else {
        return Ok(None);
    };
    let method = match head.method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    };
    let text = |field: &Field<'_>| String::from_utf8_lossy(field.value).into_owned();
    let named = |name: &str| head.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    Ok(Some(Head {
        method,
        path: head.target.path().to_owned(),
        query: head.target.query().unwrap_or_default().to_owned(),
        host: head.host.to_owned(),
        origin: named("origin").map(text),
        fetch_site: named("sec-fetch-site").map(text),
        body: head.body,
        has_length: named("content-length").or_else(|| named("transfer-encoding")).is_some(),
        expect_continue: head.expect_continue,
        began: bytes[head.head_bytes..].to_vec(),
    }))
}

impl Head {
    /// The value of a query parameter, its percent-escapes decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| percent_decoded(value)).next()
    }

    /// Reads the body, of which at most `bytes_max` are wanted.
    pub(super) fn read_body(
        &mut self,
        stream: &TcpStream,
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Vec<u8>, Unreadable> {
        if self.expect_continue && self.began.is_empty() {
            (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let too_long = || {
            let what = format!("the body has more than {bytes_max} bytes\n");
            Unreadable::Refused(Answer::text(413, what))
        };
        let began = std::mem::take(&mut self.began);
        match self.body {
            // A request's body never lasts until the connection closes.
            BodyLength::None | BodyLength::UntilClose => Ok(Vec::new()),
            BodyLength::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
                read_length(stream, began, length.ok_or_else(too_long)?, deadline)
            }
            BodyLength::Chunked => {
                let body = read_chunked(stream, began, bytes_max, deadline)?;
                body.ok_or_else(too_long)
            }
        }
    }
}

fn read_length(
    stream: &TcpStream,
    mut body: Vec<u8>,
    length: usize,
    deadline: Instant,
) -> Result<Vec<u8>, Unreadable> {
    let mut filled = body.len().min(length);
    body.resize(length, 0);
    while filled < length {
        match read(stream, &mut body[filled..], deadline)? {
            0 => return Err(Unreadable::Gone(io::ErrorKind::UnexpectedEof.into())),
            count => filled += count,
        }
    }
    Ok(body)
}

/// Nothing where the body is too long.
fn read_chunked(
    stream: &TcpStream,
    began: Vec<u8>,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut decoder = ChunkedDecoder::new(CHUNK_LIMITS);
    let mut body = Vec::new();
    let mut piece = began;
    loop {
        let decoded = decoder
            .decode(&mut piece)
            .map_err(|error| Unreadable::Refused(Answer::text(400, format!("{error}\n"))))?;
        if body.len() + decoded.data > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&piece[..decoded.data]);
        if decoded.done {
            return Ok(Some(body));
        }
        piece.resize(HEAD_BYTES_MAX, 0);
        let count = read(stream, &mut piece, deadline)?;
        if count == 0 {
            return Err(Unreadable::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        piece.truncate(count);
    }
}

/// A form's spelling: `+` is a space. An escape that is none stands for itself.
fn percent_decoded(text: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let (byte, after) = match (first, escaped) {
            (_, Some((high, low))) => (u8::try_from(high * 16 + low).unwrap_or(b'%'), &after[2..]),
            (b'+', None) => (b' ', after),
            (byte, None) => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
impl Head {
    /// A request without a body, from this machine.
    pub(super) fn for_test(method: Method, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            host: "127.0.0.1:9901".to_owned(),
            origin: None,
            fetch_site: None,
            body: BodyLength::None,
            has_length: false,
            expect_continue: false,
            began: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::time::Duration;

    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let head = Head::for_test(Method::Get, "/jwks?x=1&provider=a%2Fb+c%zz&provider=d");
        assert_eq!(head.parameter("provider").as_deref(), Some("a/b c%zz"));
        assert_eq!(head.parameter("y"), None);
    }

    /// The body of a request that a client sends before it closes its side; or the status of the
    /// refusal, 0 where there is none.
    fn body(sent: &str, within: Duration) -> Result<Vec<u8>, u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        client.write_all(sent.as_bytes()).unwrap();
        if within > Duration::ZERO {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let deadline = Instant::now() + within.max(Duration::from_millis(1));
        let body =
            read_head(&stream, deadline).and_then(|mut head| head.read_body(&stream, 10, deadline));
        body.map_err(|error| match error {
            Unreadable::Refused(answer) => answer.status,
            Unreadable::Gone(_) => 0,
        })
    }

    fn post(rest: &str) -> Result<Vec<u8>, u16> {
        body(&format!("POST / HTTP/1.1\r\nHost: x\r\n{rest}"), Duration::from_secs(10))
    }

    #[test]
    fn bodies_come_by_length_and_in_chunks() {
        assert_eq!(post("\r\n").unwrap(), b"");
        assert_eq!(post("Content-Length: 10\r\n\r\n0123456789").unwrap(), b"0123456789");
        assert_eq!(post("Content-Length: 2\r\n\r\n0123456789").unwrap(), b"01");
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        let body = post(&format!("{chunked}4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n"));
        assert_eq!(body.unwrap(), b"0123456789");
    }

    #[test]
    fn bodies_are_bounded_and_must_be_whole() {
        assert_eq!(post("Content-Length: 11\r\n\r\n"), Err(413));
        assert_eq!(post("Content-Length: 99999999999999999\r\n\r\n"), Err(413));
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        assert_eq!(post(&format!("{chunked}b\r\n0123456789a\r\n0\r\n\r\n")), Err(413));
        assert_eq!(post(&format!("{chunked}x\r\n")), Err(400));
        assert_eq!(post("Content-Length: 5\r\n\r\n0123"), Err(0));
        assert_eq!(post(&format!("{chunked}4\r\n0123\r\n")), Err(0));
        assert_eq!(post("Content-Length: -1\r\n\r\n"), Err(400));
        assert_eq!(post("Transfer-Encoding: gzip, chunked\r\n\r\n"), Err(501));
    }

    #[test]
    fn a_request_that_does_not_arrive_in_time_is_told_so() {
        assert_eq!(body("POST / HTTP/1.1\r\n", Duration::ZERO), Err(408));
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n0123";
        assert_eq!(body(head, Duration::ZERO), Err(408));
    }
}
