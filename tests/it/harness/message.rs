//! A strict little reader of HTTP/1.1 messages (RFC 9112): it takes nothing that is not exact.

use std::io::ErrorKind;

use super::wire::{Wire, lossy};

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// The stream ended before the first byte of a message.
    Ended,
    /// The stream ended inside a message.
    Truncated(String),
    /// The peer reset the connection.
    Reset,
    /// Nothing came for as long as a test waits.
    Silent,
    /// Bytes that the grammar does not allow.
    Malformed(String),
}

impl WireError {
    /// The stream is over with these bytes unread.
    pub fn ended(left: &[u8]) -> Self {
        if left.is_empty() { Self::Ended } else { Self::Truncated(lossy(left)) }
    }
}

impl From<std::io::Error> for WireError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // A TLS stream that ends without the alert that says so has been cut as well.
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                Self::Reset
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silent,
            _ => Self::Malformed(error.to_string()),
        }
    }
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By Content-Length.
    Length(usize),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// A request or response as it was on the wire.
#[derive(Debug, Clone)]
pub struct Message {
    /// Without its CRLF.
    pub start_line: String,
    /// In order, names as sent.
    pub fields: Vec<(String, String)>,
    /// How the body was framed.
    pub framing: Framing,
    /// Decoded.
    pub body: Vec<u8>,
    /// After the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The status of a response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let code = self.start_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        code.and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("not a status line of HTTP/1.1: {:?}", self.start_line))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap()
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a field, or none.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} is there {} times: {values:?}", values.len());
        values.first().copied()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("body {:?} is not JSON: {error}", lossy(&self.body)))
    }
}

/// Reads one request.
pub fn read_request(wire: &mut Wire) -> Result<Message, WireError> {
    let mut message = read_request_head(wire)?;
    read_body(wire, &mut message)?;
    Ok(message)
}

/// Reads a request head; its body is still on the wire.
pub fn read_request_head(wire: &mut Wire) -> Result<Message, WireError> {
    let (start_line, fields) = read_head(wire)?;
    let parts: Vec<&str> = start_line.split(' ').collect();
    if parts.len() != 3 || !parts[2].starts_with("HTTP/1.") || parts[1].is_empty() {
        return Err(WireError::Malformed(start_line));
    }
    let framing = declared_framing(&fields)?.unwrap_or(Framing::None);
    Ok(Message { start_line, fields, framing, body: Vec::new(), trailers: Vec::new() })
}

/// Reads one response, 1xx ones too, to a request with this method.
pub fn read_response(wire: &mut Wire, method: &str) -> Result<Message, WireError> {
    let mut message = read_response_head(wire, method)?;
    read_body(wire, &mut message)?;
    Ok(message)
}

/// Reads a response head; its body is still on the wire.
pub fn read_response_head(wire: &mut Wire, method: &str) -> Result<Message, WireError> {
    let (start_line, fields) = read_head(wire)?;
    let code = start_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
    let status = code.filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok());
    // RFC 9112 section 4: the space after the status is there even without a reason.
    let Some(status) = status.filter(|_| start_line.len() >= "HTTP/1.1 200 ".len()) else {
        return Err(WireError::Malformed(start_line));
    };
    let declared = declared_framing(&fields)?;
    let framing = if status < 200 || status == 204 {
        // RFC 9110 section 8.6, RFC 9112 section 6.1: neither field may be there.
        if declared.is_some() {
            return Err(WireError::Malformed(format!("{status} with framing: {fields:?}")));
        }
        Framing::None
    } else if method == "HEAD" || status == 304 {
        Framing::None
    } else {
        declared.unwrap_or(Framing::UntilClose)
    };
    Ok(Message { start_line, fields, framing, body: Vec::new(), trailers: Vec::new() })
}

/// Reads the body that a head announced.
pub fn read_body(wire: &mut Wire, message: &mut Message) -> Result<(), WireError> {
    match message.framing {
        Framing::None => {}
        Framing::Length(length) => message.body = wire.read_exactly(length).map_err(cut)?,
        Framing::UntilClose => message.body = wire.read_to_end()?,
        Framing::Chunked => {
            while let Some(mut data) = read_chunk(wire).map_err(cut)? {
                message.body.append(&mut data);
            }
            message.trailers = read_field_lines(wire).map_err(cut)?;
        }
    }
    Ok(())
}

/// Reads one chunk; none for the last one, whose trailer section is still on the wire.
pub fn read_chunk(wire: &mut Wire) -> Result<Option<Vec<u8>>, WireError> {
    let line = read_line(wire)?;
    let digits = line.split(';').next().unwrap();
    let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let size = hex.then(|| usize::from_str_radix(digits, 16).ok()).flatten();
    match size {
        None => Err(WireError::Malformed(format!("chunk size {line:?}"))),
        Some(0) => Ok(None),
        Some(size) => {
            let mut data = wire.read_exactly(size + 2)?;
            if data.split_off(size) != b"\r\n" {
                return Err(WireError::Malformed("a chunk without its CRLF".into()));
            }
            Ok(Some(data))
        }
    }
}

/// An end of stream inside a body is a cut, whatever was read before.
fn cut(error: WireError) -> WireError {
    if error == WireError::Ended { WireError::Truncated(String::new()) } else { error }
}

/// The framing that the fields tell, both at once being an error.
fn declared_framing(fields: &[(String, String)]) -> Result<Option<Framing>, WireError> {
    let all = |wanted: &str| -> Vec<&String> {
        fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(wanted)).map(|(_, v)| v).collect()
    };
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
            let length = length.parse().map_err(|_| WireError::Malformed((*length).clone()))?;
            Ok(Some(Framing::Length(length)))
        }
        _ => Err(WireError::Malformed(format!("framing {lengths:?} {codings:?}"))),
    }
}

/// A start line and its fields.
fn read_head(wire: &mut Wire) -> Result<(String, Vec<(String, String)>), WireError> {
    let start_line = read_line(wire)?;
    let fields = read_field_lines(wire).map_err(cut)?;
    Ok((start_line, fields))
}

/// One line without its CRLF; a bare CR or LF in it is malformed.
fn read_line(wire: &mut Wire) -> Result<String, WireError> {
    let mut line = wire.read_through(b"\n")?;
    if !line.ends_with(b"\r\n") {
        return Err(WireError::Malformed(format!("bare LF after {:?}", lossy(&line))));
    }
    line.truncate(line.len() - 2);
    if line.iter().any(|b| *b != b'\t' && b.is_ascii_control()) {
        return Err(WireError::Malformed(format!("control byte in {:?}", lossy(&line))));
    }
    // Obs-text (RFC 9110 section 5.5) is bytes without a meaning: each one a char.
    Ok(String::from_utf8(line)
        .unwrap_or_else(|line| line.as_bytes().iter().copied().map(char::from).collect()))
}

/// Field lines up to the empty one.
fn read_field_lines(wire: &mut Wire) -> Result<Vec<(String, String)>, WireError> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(wire)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && name.bytes().all(token) => {
                fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
            }
            _ => return Err(WireError::Malformed(format!("field line {line:?}"))),
        }
    }
}
