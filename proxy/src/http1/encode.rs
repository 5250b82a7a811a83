//! Writes heads and chunk headers, in one spelling.

/// The head does not fit the buffer it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the head does not fit a buffer of {capacity} bytes")]
pub struct HeadOverflow {
    /// Bytes of the buffer.
    pub capacity: usize,
}

/// Writes one message head into a buffer.
///
/// What does not fit is not written, and [`Self::end`] says so: callers need no check in between.
/// What is written comes out of a parsed message or a checked configuration, so it holds no CR, LF
/// or NUL; debug builds assert it.
pub struct HeadWriter<'o> {
    out: &'o mut [u8],
    written: usize,
    overflowed: bool,
}

impl<'o> HeadWriter<'o> {
    /// A head that begins at the start of `out`.
    #[must_use]
    pub fn new(out: &'o mut [u8]) -> Self {
        Self { out, written: 0, overflowed: false }
    }

    /// `METHOD path?query HTTP/1.1`
    pub fn request_line(&mut self, method: &str, path: &str, query: Option<&str>) {
        let (mark, query) = match query {
            Some(query) => ("?", query),
            None => ("", ""),
        };
        debug_assert!([method, path, query].iter().all(|part| is_line_part(part.as_bytes())));
        self.put([method, " ", path, mark, query, " HTTP/1.1\r\n"].map(str::as_bytes));
    }

    /// `METHOD path?part&part HTTP/1.1`; without parts there is no `?`.
    pub fn request_line_of_parts<'p>(
        &mut self,
        method: &str,
        path: &str,
        parts: impl Iterator<Item = &'p str>,
    ) {
        self.put([method, " ", path].map(str::as_bytes));
        for (index, part) in parts.enumerate() {
            debug_assert!(is_line_part(part.as_bytes()));
            self.put([if index == 0 { "?" } else { "&" }, part].map(str::as_bytes));
        }
        self.put([b" HTTP/1.1\r\n"]);
    }

    /// `name: part;part`; without parts there is no field.
    pub fn field_of_parts<'p>(&mut self, name: &str, parts: impl Iterator<Item = &'p [u8]>) {
        let mut any = false;
        for part in parts {
            debug_assert!(is_line_part(part));
            if any {
                self.put([b";", part]);
            } else {
                self.put([name.as_bytes(), b": ", part]);
            }
            any = true;
        }
        if any {
            self.put([b"\r\n"]);
        }
    }

    /// `HTTP/1.1 status reason`
    pub fn status_line(&mut self, status: u16, reason: &str) {
        debug_assert!((100..=599).contains(&status) && is_line_part(reason.as_bytes()));
        let mut digits = itoa::Buffer::new();
        self.put(["HTTP/1.1 ", digits.format(status), " ", reason, "\r\n"].map(str::as_bytes));
    }

    /// `name: value`
    pub fn field(&mut self, name: &str, value: &[u8]) {
        debug_assert!(is_line_part(name.as_bytes()) && is_line_part(value));
        self.put([name.as_bytes(), b": ", value, b"\r\n"]);
    }

    /// `name: number`, in decimal.
    pub fn number_field(&mut self, name: &str, number: u64) {
        self.field(name, itoa::Buffer::new().format(number).as_bytes());
    }

    /// Lines that are field lines already, each with its CR LF.
    pub fn raw(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.put([lines]);
    }

    /// Ends the head with the empty line; gives its length.
    ///
    /// # Errors
    ///
    /// The head did not fit; what the buffer holds is not a head.
    pub fn end(mut self) -> Result<usize, HeadOverflow> {
        self.put([b"\r\n"]);
        if self.overflowed {
            Err(HeadOverflow { capacity: self.out.len() })
        } else {
            Ok(self.written)
        }
    }

    fn put<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if bytes > self.out.len() - self.written {
            self.overflowed = true;
            return;
        }
        for part in parts {
            self.out[self.written..self.written + part.len()].copy_from_slice(part);
            self.written += part.len();
        }
    }
}

fn is_line_part(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, bytes).is_none()
}

/// Bytes of the longest chunk header: 16 hexadecimal digits, CR, LF.
pub const CHUNK_HEADER_MAX: usize = 18;

/// The last chunk. Trailer lines may follow, then an empty line ends the body.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

/// Writes the header of a chunk of `len` bytes; gives the header's length. The caller sends the data
/// and CR LF after it. A length of zero would end the body, so there is no chunk of that length.
pub fn chunk_header(len: usize, out: &mut [u8; CHUNK_HEADER_MAX]) -> usize {
    debug_assert!(len > 0, "a chunk of no bytes is the last one");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1) as usize;
    for (place, digit) in out[..digits].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(len >> (4 * place)) & 0xf];
    }
    out[digits..digits + 2].copy_from_slice(b"\r\n");
    digits + 2
}

/// The reason phrase of a status that the gateway answers with itself (RFC 9110 section 15).
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        // RFC 9112 section 4: the phrase may be empty.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(out: &mut [u8]) -> Result<usize, HeadOverflow> {
        let mut head = HeadWriter::new(out);
        head.request_line("GET", "/a", Some("b"));
        head.field("Host", b"h");
        head.number_field("Content-Length", u64::MAX);
        head.raw(b"X-One: 1\r\nX-Two: 2\r\n");
        head.end()
    }

    const REQUEST: &[u8] =
        b"GET /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\
        X-One: 1\r\nX-Two: 2\r\n\r\n";

    #[test]
    fn writes_a_request_head_into_a_buffer_that_just_fits() {
        let mut out = [0; REQUEST.len()];
        assert_eq!(request(&mut out), Ok(REQUEST.len()));
        assert_eq!(out.as_slice(), REQUEST);
    }

    #[test]
    fn overflow_sticks_at_every_shorter_buffer() {
        for capacity in 0..REQUEST.len() {
            let mut out = vec![0; capacity];
            assert_eq!(request(&mut out), Err(HeadOverflow { capacity }));
        }
        let mut out = [0; 8];
        let mut head = HeadWriter::new(&mut out);
        head.field("too", b"long");
        head.field("a", b"b");
        assert_eq!(head.end(), Err(HeadOverflow { capacity: 8 }));
    }

    #[test]
    fn writes_a_status_line_with_and_without_reason() {
        for (status, reason, line) in
            [(200, "OK", "HTTP/1.1 200 OK\r\n\r\n"), (599, "", "HTTP/1.1 599 \r\n\r\n")]
        {
            let mut out = [0; 32];
            let mut head = HeadWriter::new(&mut out);
            head.status_line(status, reason);
            let len = head.end().expect("32 bytes are enough");
            assert_eq!(&out[..len], line.as_bytes());
        }
    }

    #[test]
    fn writes_chunk_sizes_without_leading_zeros() {
        for (len, line) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (0x1a2b, "1a2b\r\n"),
            (usize::MAX, "ffffffffffffffff\r\n"),
        ] {
            let mut out = [0; CHUNK_HEADER_MAX];
            let written = chunk_header(len, &mut out);
            assert_eq!(&out[..written], line.as_bytes());
        }
    }
}
