//! The authority of a request, `host[:port]`: its syntax, and when two of them are the same.

use std::net::Ipv6Addr;

/// Bytes of a DNS name with its final dot, and a little for what is not DNS.
const HOST_BYTES_MAX: usize = 255;

/// A host with an optional port, both checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'b> {
    pub(super) text: &'b str,
    host: &'b str,
    pub(super) port: Option<u16>,
}

/// Reads `host[:port]`, the host being a name, an IPv4 address or an IPv6 address in brackets.
///
/// Narrower than RFC 3986: no user information, no percent-encoding, no sub-delimiters, no empty
/// host, no empty port. Recipients differ on each of these, and no DNS name has them.
pub(super) fn parse(bytes: &[u8]) -> Option<Authority<'_>> {
    let host_end = if bytes.first() == Some(&b'[') {
        let close = memchr::memchr(b']', bytes)?;
        let address = std::str::from_utf8(&bytes[1..close]).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        close + 1
    } else {
        let end = bytes.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(bytes.len());
        if end == 0 || end > HOST_BYTES_MAX {
            return None;
        }
        end
    };
    let port = match bytes.get(host_end..)? {
        [] => None,
        [b':', digits @ ..] => Some(parse_port(digits)?),
        _ => return None,
    };
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Authority { text, host: &text[..host_end], port })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Authority<'_> {
    /// Whether both name one place, a missing port being `default_port`.
    pub(super) fn agrees_with(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// The host without its port, as it is spelt; brackets stay around an IPv6 address.
#[must_use]
pub fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // A colon inside brackets belongs to the address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_and_addresses_with_a_port() {
        let name = "a".repeat(HOST_BYTES_MAX);
        for (text, port) in [
            ("a", None),
            ("api.example.com", None),
            ("api.example.com.:443", Some(443)),
            ("my_service-1:0", Some(0)),
            ("127.0.0.1:65535", Some(65535)),
            ("[::1]", None),
            ("[2001:db8::7]:8080", Some(8080)),
            (name.as_str(), None),
        ] {
            let authority = parse(text.as_bytes()).expect(text);
            assert_eq!((authority.text, authority.port), (text, port));
        }
    }

    #[test]
    fn refuses_what_recipients_read_differently() {
        let long_name = "a".repeat(HOST_BYTES_MAX + 1);
        for text in [
            "",
            ":80",
            "a:",
            "a:65536",
            "a:000080",
            "a:+80",
            "a:8 0",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "u:p@b",
            "a\\b",
            "a%20b",
            "a:80:80",
            "a#",
            "a?",
            "[::1",
            "[]",
            "[::1]x",
            "[::1%25eth0]",
            "[v1.x]",
            "::1",
            "é.example",
            "a\0",
            &long_name,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn agrees_by_host_without_case_and_by_port_with_its_default() {
        let agree = |one: &'static str, other: &'static str| {
            let parsed = |text: &'static str| parse(text.as_bytes()).expect(text);
            parsed(one).agrees_with(&parsed(other), Some(80))
        };
        assert!(agree("a.example", "A.Example"));
        assert!(agree("a.example:80", "a.example"));
        assert!(!agree("a.example:81", "a.example"));
        assert!(!agree("a.example", "a.example."));
        assert!(!agree("a.example", "b.example"));
    }
}
