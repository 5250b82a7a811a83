//! The trailer section of a chunked body: checked like a head, and freed of what no trailer may say.

use super::connection::is_token_byte;
use super::fields::{FieldSlots, ends_in_crlf, names_alike};
use super::{ChunkedError, HeadLimits};

/// Fields that mean nothing, or too much, after the body (RFC 9110 section 6.5.1): a recipient that
/// merges trailers into the head would frame, route, authenticate or interpret the message by them.
/// Names are compared as [`names_alike`] does.
const REFUSED: [&str; 42] = [
    "accept-ranges",
    "age",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-http-method-override",
    "x-real-ip",
];

/// Families of such fields.
const REFUSED_PREFIXES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// Reads a whole section, its empty line included, and writes the lines that may be forwarded.
pub(super) fn forwardable(section: &[u8], limits: HeadLimits) -> Result<Vec<u8>, ChunkedError> {
    // `parse_headers` takes initialised slots only; they are filled at most once a body.
    let mut table = [httparse::EMPTY_HEADER; FieldSlots::LEN];
    let slots = &mut table[..limits.head_fields.min(FieldSlots::LEN)];
    let fields = match httparse::parse_headers(section, slots) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(ChunkedError::TooManyTrailers),
        Ok(httparse::Status::Partial) | Err(_) => return Err(ChunkedError::Trailer),
    };
    let mut lines = Vec::with_capacity(section.len());
    for field in fields {
        if !ends_in_crlf(section, field.value) {
            return Err(ChunkedError::LineEnd);
        }
        if is_forwardable(field.name) {
            for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
    }
    Ok(lines)
}

fn is_forwardable(name: &str) -> bool {
    let begins_with = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|beginning| names_alike(beginning, prefix))
    };
    !REFUSED.iter().any(|refused| names_alike(name, refused))
        && !REFUSED_PREFIXES.into_iter().any(begins_with)
}

/// Drops from encoded field lines, as [`super::ChunkedDecoder::take_trailers`] gives them, those
/// whose name `keep` does not want: for fields that only a configuration knows to be the gateway's.
pub fn retain_trailers(lines: &mut Vec<u8>, mut keep: impl FnMut(&str) -> bool) {
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let name_end = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
        if std::str::from_utf8(&line[..name_end]).is_ok_and(&mut keep) {
            kept.extend_from_slice(line);
        }
    }
    *lines = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 1024, head_fields: 2, target_bytes: 0 };

    #[test]
    fn re_encodes_what_may_be_forwarded() {
        let lines = |section: &str| forwardable(section.as_bytes(), LIMITS);
        assert_eq!(
            lines("X-Sum:  1 \r\nGrpc-Status:0\r\n\r\n"),
            Ok(b"X-Sum: 1\r\nGrpc-Status: 0\r\n".to_vec())
        );
        assert_eq!(lines("A: 1\r\nB: 2\r\nC: 3\r\n\r\n"), Err(ChunkedError::TooManyTrailers));
        assert_eq!(lines("A: 1\n\r\n"), Err(ChunkedError::LineEnd));
        assert_eq!(lines("A : 1\r\n\r\n"), Err(ChunkedError::Trailer));
        assert_eq!(lines("A: 1\r\n b\r\n\r\n"), Err(ChunkedError::Trailer));
    }

    #[test]
    fn drops_what_frames_routes_or_authenticates() {
        for name in REFUSED.into_iter().chain([
            "Content-Length",
            "TRANSFER_ENCODING",
            "X-Forwarded-For",
            "proxy-x",
        ]) {
            assert_eq!(
                forwardable(format!("{name}: 1\r\n\r\n").as_bytes(), LIMITS),
                Ok(Vec::new()),
                "{name}"
            );
        }
    }

    #[test]
    fn retains_by_name() {
        let mut lines = b"X-User: a\r\nX-Sum: 1\r\nX-Use: x-user: b\r\n".to_vec();
        retain_trailers(&mut lines, |name| !names_alike(name, "x_user"));
        assert_eq!(lines, b"X-Sum: 1\r\nX-Use: x-user: b\r\n");
    }
}
