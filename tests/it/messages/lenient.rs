//! Readers of messages that tolerate what they should not, each in one way of servers in the field.
//!
//! They are what may stand behind a gateway or in front of it. Whatever the gateway sends must mean
//! the same to all of them, most of all where it ends.

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To a server.
    Request,
    /// To a client that sent GET.
    Response,
    /// To a client that sent HEAD.
    ResponseToHead,
}

/// One way to read messages.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// What is lenient about it.
    pub name: &'static str,
    line: Line,
    /// A line of whitespace ends the head as an empty one does.
    blank_ends_head: bool,
    fold: Fold,
    /// A NUL ends a value, as in C.
    nul_ends_value: bool,
    field_name: Name,
    coding: Coding,
    /// Content-Length is believed where there is Transfer-Encoding too.
    length_wins: bool,
    lengths: Lengths,
    size: Size,
    chunk_end: ChunkEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    CrLf,
    Lf,
    Cr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Refused,
    Continues,
    Field,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Exact,
    Trimmed,
    Variable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Exact,
    Anywhere,
    LastListed,
    FirstField,
    LastField,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    One,
    First,
    Last,
    Prefix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Exact,
    Prefix,
    Bits32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkEnd {
    CrLf,
    AnyTwo,
    Line,
}

const STRICT: Reader = Reader {
    name: "none",
    line: Line::CrLf,
    blank_ends_head: false,
    fold: Fold::Refused,
    nul_ends_value: false,
    field_name: Name::Exact,
    coding: Coding::Exact,
    length_wins: false,
    lengths: Lengths::One,
    size: Size::Exact,
    chunk_end: ChunkEnd::CrLf,
};

/// A strict one, and the others.
pub const READERS: &[Reader] = &[
    STRICT,
    Reader { name: "LF ends a line", line: Line::Lf, chunk_end: ChunkEnd::Line, ..STRICT },
    Reader { name: "CR ends a line", line: Line::Cr, chunk_end: ChunkEnd::Line, ..STRICT },
    Reader { name: "whitespace ends a head", blank_ends_head: true, ..STRICT },
    Reader { name: "folded lines go on", fold: Fold::Continues, ..STRICT },
    Reader { name: "folded lines are fields", fold: Fold::Field, ..STRICT },
    Reader { name: "NUL ends a value", nul_ends_value: true, coding: Coding::Anywhere, ..STRICT },
    Reader { name: "names are trimmed", field_name: Name::Trimmed, ..STRICT },
    Reader { name: "names are variables", field_name: Name::Variable, ..STRICT },
    Reader { name: "chunked anywhere", coding: Coding::Anywhere, ..STRICT },
    Reader { name: "chunked listed last", coding: Coding::LastListed, ..STRICT },
    Reader { name: "the first coding field", coding: Coding::FirstField, ..STRICT },
    Reader { name: "the last coding field", coding: Coding::LastField, ..STRICT },
    Reader { name: "length before coding", length_wins: true, ..STRICT },
    Reader { name: "the first length", lengths: Lengths::First, ..STRICT },
    Reader { name: "the last length", lengths: Lengths::Last, ..STRICT },
    Reader { name: "lengths as strtol has them", lengths: Lengths::Prefix, ..STRICT },
    Reader { name: "sizes as strtol has them", size: Size::Prefix, ..STRICT },
    Reader { name: "sizes of 32 bits", size: Size::Bits32, ..STRICT },
    Reader { name: "any two bytes end a chunk", chunk_end: ChunkEnd::AnyTwo, ..STRICT },
    Reader {
        name: "everything at once",
        line: Line::Lf,
        blank_ends_head: true,
        fold: Fold::Continues,
        nul_ends_value: true,
        field_name: Name::Variable,
        coding: Coding::Anywhere,
        length_wins: false,
        lengths: Lengths::Prefix,
        size: Size::Prefix,
        chunk_end: ChunkEnd::Line,
    },
];

/// Where a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Behind so many bytes.
    At(usize),
    /// With the connection.
    Close,
}

/// Field lines: names in lower case, and values.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Reader {
    /// Where each message of a stream ends, and its body, as far as there are messages in it.
    pub fn ends(&self, stream: &[u8], side: Side) -> Vec<(End, Vec<u8>)> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some((end, body)) = self.read(&stream[at..], side) {
            match end {
                End::At(bytes) => at += bytes,
                End::Close => at = stream.len(),
            }
            found.push((if end == End::Close { end } else { End::At(at) }, body));
        }
        found
    }

    /// The first message of a stream.
    pub fn read(&self, stream: &[u8], side: Side) -> Option<(End, Vec<u8>)> {
        let mut at = 0;
        let start = loop {
            let (line, used) = self.line(&stream[at..])?;
            at += used;
            if !line.is_empty() {
                break line;
            }
        };
        let status = start.split(|b| *b == b' ').nth(1).filter(|_| start.starts_with(b"HTTP/"));
        let (fields, used) = self.fields(&stream[at..])?;
        at += used;
        let is_chunked = self.is_chunked(&fields);
        let length = self.length(&fields);
        let bodiless = side == Side::ResponseToHead
            || status.is_some_and(|s| s.starts_with(b"1") || matches!(s, b"204" | b"304"));
        if bodiless {
            return Some((End::At(at), Vec::new()));
        }
        match (is_chunked, length) {
            (true, Some(_)) if !self.length_wins && self.coding == Coding::Exact => None,
            (true, Some(length)) if self.length_wins => self.sized(stream, at, length?),
            (true, _) => {
                let (body, used) = self.chunks(&stream[at..])?;
                Some((End::At(at + used), body))
            }
            (false, Some(length)) => self.sized(stream, at, length?),
            (false, None) if side == Side::Request => Some((End::At(at), Vec::new())),
            (false, None) => Some((End::Close, stream[at..].to_vec())),
        }
    }

    fn sized(&self, stream: &[u8], at: usize, length: u64) -> Option<(End, Vec<u8>)> {
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        Some((End::At(end), stream.get(at..end)?.to_vec()))
    }

    /// A line without its end, and its bytes with it.
    fn line<'s>(&self, stream: &'s [u8]) -> Option<(&'s [u8], usize)> {
        let end = match self.line {
            Line::CrLf => memchr::memmem::find(stream, b"\r\n")?,
            Line::Lf => memchr::memchr(b'\n', stream)?,
            Line::Cr => memchr::memchr2(b'\r', b'\n', stream)?,
        };
        let (line, rest) = stream.split_at(end);
        Some(match self.line {
            Line::CrLf => (line, end + 2),
            Line::Lf => (line.strip_suffix(b"\r").unwrap_or(line), end + 1),
            Line::Cr => (line, end + if rest.starts_with(b"\r\n") { 2 } else { 1 }),
        })
    }

    fn fields(&self, stream: &[u8]) -> Option<(Fields, usize)> {
        let mut fields: Fields = Vec::new();
        let mut at = 0;
        loop {
            let (line, used) = self.line(&stream[at..])?;
            at += used;
            if line.is_empty() || (self.blank_ends_head && line.trim_ascii().is_empty()) {
                return Some((fields, at));
            }
            let is_folded = matches!(line[0], b' ' | b'\t');
            match self.fold {
                Fold::Refused if is_folded => return None,
                Fold::Continues if is_folded => {
                    let (_, value) = fields.last_mut()?;
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                    continue;
                }
                Fold::Refused | Fold::Continues | Fold::Field => {}
            }
            let line = if is_folded { line.trim_ascii() } else { line };
            // What is no field is skipped.
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            fields.push((self.name(&line[..colon]), self.value(&line[colon + 1..])));
        }
    }

    fn name(&self, name: &[u8]) -> Vec<u8> {
        let is_noise = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
        let name = name.to_ascii_lowercase();
        match self.field_name {
            Name::Exact => name,
            Name::Trimmed => name.into_iter().filter(|byte| !is_noise(byte)).collect(),
            Name::Variable => {
                let fold = |b: u8| if b.is_ascii_alphanumeric() { b } else { b'-' };
                name.into_iter().map(fold).collect()
            }
        }
    }

    fn value(&self, value: &[u8]) -> Vec<u8> {
        let mut value = value.trim_ascii();
        if self.nul_ends_value {
            value = value.split(|byte| *byte == 0).next().unwrap_or_default();
        }
        value.to_ascii_lowercase()
    }

    fn is_chunked(&self, fields: &Fields) -> bool {
        let values = values(fields, b"transfer-encoding");
        let is_chunked = |value: &&[u8]| **value == *b"chunked";
        match self.coding {
            Coding::Exact => values.len() == 1 && values.first().is_some_and(is_chunked),
            Coding::Anywhere => {
                values.iter().any(|value| memchr::memmem::find(value, b"chunked").is_some())
            }
            Coding::LastListed => values.last().is_some_and(|value| {
                value
                    .rsplit(|b| *b == b',')
                    .next()
                    .is_some_and(|last| last.trim_ascii() == b"chunked")
            }),
            Coding::FirstField => values.first().is_some_and(is_chunked),
            Coding::LastField => values.last().is_some_and(is_chunked),
        }
    }

    /// The length that is declared, if one is; within it none where it is not understood.
    fn length(&self, fields: &Fields) -> Option<Option<u64>> {
        let values = values(fields, b"content-length");
        let digits = |value: &[u8]| {
            let all = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            std::str::from_utf8(value).ok().filter(|_| all).and_then(|text| text.parse().ok())
        };
        let first = *values.first()?;
        Some(match self.lengths {
            Lengths::One if values.len() > 1 => None,
            Lengths::One | Lengths::First => digits(first),
            Lengths::Last => digits(values.last()?),
            Lengths::Prefix => {
                let text = first.trim_ascii_start();
                let text = text.strip_prefix(b"+").unwrap_or(text);
                let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
                Some(digits(&text[..end]).unwrap_or(0))
            }
        })
    }

    fn chunks(&self, stream: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut body = Vec::new();
        let mut at = 0;
        loop {
            let (line, used) = self.line(&stream[at..])?;
            at += used;
            let size = usize::try_from(self.chunk_size(line)?).ok()?;
            if size == 0 {
                let (_, used) = self.fields(&stream[at..])?;
                return Some((body, at + used));
            }
            body.extend_from_slice(stream.get(at..at.checked_add(size)?)?);
            at += size;
            let rest = &stream[at..];
            at += match self.chunk_end {
                ChunkEnd::CrLf if !rest.starts_with(b"\r\n") => return None,
                ChunkEnd::CrLf | ChunkEnd::AnyTwo => 2.min(rest.len()),
                ChunkEnd::Line => self.line(rest)?.1,
            };
        }
    }

    fn chunk_size(&self, line: &[u8]) -> Option<u64> {
        let size = line.split(|byte| *byte == b';').next()?;
        let parse = |digits: &[u8]| {
            let text = std::str::from_utf8(digits).ok()?;
            u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))
        };
        match self.size {
            Size::Exact => parse(size),
            Size::Bits32 => {
                let last = &size[size.len().saturating_sub(8)..];
                parse(last)
            }
            Size::Prefix => {
                let text = size.trim_ascii_start();
                let text = text.strip_prefix(b"+").unwrap_or(text);
                let text = text.strip_prefix(b"0x").unwrap_or(text);
                let end = text.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(text.len());
                Some(parse(&text[..end]).unwrap_or(0))
            }
        }
    }
}

fn values<'f>(fields: &'f Fields, name: &[u8]) -> Vec<&'f [u8]> {
    fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_slice()).collect()
}

/// Checks that all readers see one message in these bytes, the same body, and the next message
/// right behind it.
pub fn agree(message: &[u8], side: Side) -> Result<(), String> {
    let next: &[u8] = match side {
        Side::Request => b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
        Side::Response | Side::ResponseToHead => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    };
    let stream = [message, next].concat();
    let (strict, lenient) = READERS.split_first().expect("there are readers");
    let Some(expected) = strict.read(&stream, side) else { return Err("no message".into()) };
    if ![End::At(message.len()), End::Close].contains(&expected.0) {
        return Err(format!("the message of {} bytes ends at {:?}", message.len(), expected.0));
    }
    for reader in lenient {
        let seen = reader.read(&stream, side);
        if seen.as_ref() != Some(&expected) {
            return Err(format!("`{}`: {seen:?} instead of {expected:?}", reader.name));
        }
    }
    Ok(())
}

#[test]
fn readers_differ_where_they_should() {
    let reads = |name: &str, stream: &[u8]| {
        let reader = READERS.iter().find(|reader| reader.name == name).unwrap();
        reader.read(stream, Side::Request).map(|(end, _)| end)
    };
    let both =
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET";
    assert_eq!(reads("none", both), None);
    assert_eq!(reads("length before coding", both), Some(End::At(both.len() - 4)));
    assert_eq!(reads("chunked anywhere", both), Some(End::At(both.len() - 3)));
    let sizes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n";
    assert_eq!(reads("none", sizes), None);
    assert_eq!(reads("sizes as strtol has them", sizes), Some(End::At(sizes.len())));
    let lengths = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(reads("the first length", lengths), Some(End::At(lengths.len() - 1)));
    assert_eq!(reads("the last length", lengths), Some(End::At(lengths.len())));
    assert!(agree(both, Side::Request).is_err() && agree(lengths, Side::Request).is_err());
    let fine = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n";
    assert_eq!(agree(fine, Side::Request), Ok(()));
}
