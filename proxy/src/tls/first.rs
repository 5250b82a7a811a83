//! What the first bytes of a connection are, where TLS is expected or is not.

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// A TLS record with a handshake message.
    Handshake,
    /// A request in plain text.
    Http,
    /// Neither.
    Other,
}

/// The alert `handshake_failure` (RFC 8446 section 6.2), for a client that expects TLS where there is
/// none.
pub const DECLINED: &[u8] = &[21, 3, 1, 0, 2, 2, 40];

/// A TLS record of type handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What these bytes, at least one, begin.
#[must_use]
pub fn first(bytes: &[u8]) -> First {
    match bytes {
        // By this byte alone, which begins no request: the answer is the same in whatever parts it comes.
        [HANDSHAKE, ..] => First::Handshake,
        // A method, or an empty line before it: the record types of TLS are no letters.
        [byte, ..] if byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n') => First::Http,
        _ => First::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_tls_from_http() {
        assert_eq!(first(b"\x16\x03\x01\x02\x00"), First::Handshake);
        assert_eq!(first(b"\x16"), First::Handshake);
        assert_eq!(first(b"GET / HTTP/1.1\r\n"), First::Http);
        assert_eq!(first(b"\r\nGET /"), First::Http);
        assert_eq!(first(b"\x16\x07\x01"), First::Handshake);
        assert_eq!(first(b"\x15\x03\x03\x00\x02"), First::Other);
        assert_eq!(first(b""), First::Other);
    }
}
