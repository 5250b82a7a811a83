//! Which requests a route takes: patterns for the host, the path and the method, valid as built.

use super::ids::ListenerId;
use super::route_condition::Condition;

/// The longest path segment a pattern may have; a request's longer segment equals none.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// The longest host name there is (RFC 1035 section 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Requests of which kind a route takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Takes {
    /// All but CONNECT.
    #[default]
    Requests,
    /// CONNECT, whose target has no path, and nothing else.
    Connects,
}

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Of which kind.
    pub takes: Takes,
    /// Only requests received on this listener, or on any.
    pub listener: Option<ListenerId>,
    /// Which `Host`.
    pub host: HostPattern,
    /// Which path.
    pub path: PathPattern,
    /// Only these methods; empty: any.
    pub methods: Vec<Method>,
    /// What else is asked of the request, in order, each subject once; all must hold.
    pub conditions: Vec<Condition>,
}

/// Which `Host` a route takes. Names are lower-case and have no port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host, and requests without one.
    Any,
    /// Every name below this one, at any depth, but not the name itself: `*.` is left out here.
    Below(Box<str>),
    /// This name or address alone.
    Exact(Box<str>),
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing to match.
    #[error("is empty")]
    Empty,
    /// Over [`HOST_BYTES_MAX`].
    #[error("is longer than the 253 bytes of a host name")]
    TooLong,
    /// `example.com:80`.
    #[error("has a port; routes are matched without it")]
    Port,
    /// A `*` anywhere but in a leading `*.`.
    #[error("has a * that is not a whole first label")]
    Wildcard,
    /// `a..b`, or a dot at the end.
    #[error("has an empty label")]
    EmptyLabel,
    /// Anything but letters, digits, `-` and `_`; international names are written as `xn--`.
    #[error("has a character that no host name has")]
    Character,
}

impl HostPattern {
    /// Reads `api.example.com`, `*.example.com`, `127.0.0.1`, `[::1]` or `*`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "" => return Err(HostPatternError::Empty),
            "*" => return Ok(Self::Any),
            _ if text.len() > HOST_BYTES_MAX => return Err(HostPatternError::TooLong),
            _ => {}
        }
        if let Some(literal) = text.strip_prefix('[') {
            let (address, rest) = literal.split_once(']').ok_or(HostPatternError::Character)?;
            if rest.starts_with(':') {
                return Err(HostPatternError::Port);
            }
            let valid = rest.is_empty() && address.parse::<std::net::Ipv6Addr>().is_ok();
            return if valid {
                Ok(Self::Exact(text.into()))
            } else {
                Err(HostPatternError::Character)
            };
        }
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        if name.contains(':') {
            return Err(HostPatternError::Port);
        }
        if name.split('.').any(str::is_empty) {
            return Err(HostPatternError::EmptyLabel);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !name.bytes().all(plain) {
            return Err(HostPatternError::Character);
        }
        Ok(if below { Self::Below(name.into()) } else { Self::Exact(name.into()) })
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

/// Whether a path pattern is the whole path or its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// The whole path.
    Exact,
    /// The path, or its beginning up to a segment boundary: `/orders` takes `/orders` and
    /// `/orders/x`, not `/ordersx`; `/orders/` takes what is below `/orders/` and that itself.
    Prefix,
}

/// A path as segments with their percent-escapes decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    kind: PathKind,
    segments: Vec<Box<[u8]>>,
    trailing_slash: bool,
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// Does not begin with `/`.
    #[error("does not begin with /")]
    NoSlash,
    /// `//`.
    #[error("has an empty segment (//)")]
    EmptySegment,
    /// `.` or `..` as a segment, escaped or not.
    #[error("has a dot segment (. or ..), which no request is routed by")]
    DotSegment,
    /// `?` or `#`.
    #[error("has a ? or #; only the path is matched")]
    NotPath,
    /// `;`: parameters of a segment are left out of the comparison.
    #[error("has a ;, and what follows one in a segment is not matched")]
    Parameter,
    /// `%` without two hexadecimal digits, or an escaped slash, backslash or NUL.
    #[error("has a percent-escape that is broken or hides a separator")]
    Escape,
    /// A byte that a path spells as a percent-escape.
    #[error("has a character that a path needs percent-encoded")]
    Character,
    /// Over [`SEGMENT_BYTES_MAX`].
    #[error("has a segment of more than 255 bytes")]
    SegmentTooLong,
}

impl PathPattern {
    /// Reads a path as typed in the configuration.
    ///
    /// # Errors
    /// When no request's path could match it, or when it does not say clearly which would.
    pub fn parse(text: &str, kind: PathKind) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').ok_or(PathPatternError::NoSlash)?;
        if rest.contains(['?', '#']) {
            return Err(PathPatternError::NotPath);
        }
        if rest.contains(';') {
            return Err(PathPatternError::Parameter);
        }
        let path_char = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@%/".contains(&b);
        if !rest.bytes().all(path_char) {
            return Err(PathPatternError::Character);
        }
        let mut pieces: Vec<&str> = rest.split('/').collect();
        let trailing_slash = pieces.last().is_some_and(|last| last.is_empty());
        if trailing_slash {
            pieces.pop();
        }
        let mut segments = Vec::with_capacity(pieces.len());
        let mut buffer = [0; SEGMENT_BYTES_MAX];
        for piece in pieces {
            let segment = match decode_segment(piece.as_bytes(), &mut buffer) {
                Segment::Plain(bytes) if memchr::memchr2(b'/', b'\\', bytes).is_some() => {
                    return Err(PathPatternError::Escape);
                }
                Segment::Plain(bytes) => bytes,
                Segment::Empty => return Err(PathPatternError::EmptySegment),
                Segment::Dots => return Err(PathPatternError::DotSegment),
                Segment::Malformed => return Err(PathPatternError::Escape),
                Segment::TooLong => return Err(PathPatternError::SegmentTooLong),
            };
            segments.push(Box::from(segment));
        }
        Ok(Self { kind, segments, trailing_slash })
    }

    /// The whole path or its beginning.
    #[must_use]
    pub fn kind(&self) -> PathKind {
        self.kind
    }

    /// The segments between the slashes, decoded.
    #[must_use]
    pub fn segments(&self) -> &[Box<[u8]>] {
        &self.segments
    }

    /// Whether the pattern ends with `/`.
    #[must_use]
    pub fn trailing_slash(&self) -> bool {
        self.trailing_slash
    }
}

/// One segment of a path as it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// The decoded bytes, without parameters.
    Plain(&'a [u8]),
    /// Nothing between two slashes.
    Empty,
    /// `.` or `..`.
    Dots,
    /// A broken escape, or one of NUL; or a bare backslash.
    Malformed,
    /// More bytes than any pattern's segment.
    TooLong,
}

/// The segments of a path that begins with `/`.
pub(super) fn segments(path: &str, reading: Reading) -> impl Iterator<Item = &[u8]> {
    let mut rest = path.as_bytes().strip_prefix(b"/");
    std::iter::from_fn(move || {
        let left = rest?;
        let Some((at, length)) = separator(left, reading) else { return rest.take() };
        rest = Some(&left[at + length..]);
        Some(&left[..at])
    })
}

/// Whether a slash or backslash is percent-encoded.
pub(super) fn has_encoded_separator(path: &str) -> bool {
    encoded_separators(path.as_bytes()).next().is_some()
}

/// What separates segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A slash.
    AsSpelled,
    /// An encoded slash or backslash as well, as for recipients that decode before they split.
    Decoded,
}

/// Where the first separator is, and how long.
fn separator(bytes: &[u8], reading: Reading) -> Option<(usize, usize)> {
    let slash = memchr::memchr(b'/', bytes);
    if reading == Reading::Decoded
        && let Some(at) = encoded_separators(&bytes[..slash.unwrap_or(bytes.len())]).next()
    {
        return Some((at, 3));
    }
    slash.map(|at| (at, 1))
}

fn encoded_separators(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'%', bytes).filter(|at| {
        let octet = bytes.get(at + 1..at + 3).and_then(hex_octet);
        matches!(octet, Some(b'/' | b'\\'))
    })
}

/// Decodes one segment. Upstreams differ in what they make of escapes, parameters, empty and dot
/// segments; a route is found by what the most lenient of them would see.
pub(super) fn decode_segment<'a>(
    raw: &'a [u8],
    buffer: &'a mut [u8; SEGMENT_BYTES_MAX],
) -> Segment<'a> {
    let raw = raw.split(|b| *b == b';').next().unwrap_or_default();
    if raw.contains(&b'\\') {
        return Segment::Malformed;
    }
    let mut too_long = false;
    let decoded = if raw.contains(&b'%') {
        let (mut read, mut written) = (0, 0);
        while let Some(&byte) = raw.get(read) {
            let (octet, used) = match byte {
                b'%' => match raw.get(read + 1..read + 3).and_then(hex_octet) {
                    None | Some(0) => return Segment::Malformed,
                    Some(octet) => (octet, 3),
                },
                other => (other, 1),
            };
            match buffer.get_mut(written) {
                Some(slot) => *slot = octet,
                None => too_long = true,
            }
            written = SEGMENT_BYTES_MAX.min(written + 1);
            read += used;
        }
        &buffer[..written]
    } else {
        raw
    };
    match decoded {
        b"" => Segment::Empty,
        b"." | b".." => Segment::Dots,
        _ if too_long || decoded.len() > SEGMENT_BYTES_MAX => Segment::TooLong,
        _ => Segment::Plain(decoded),
    }
}

/// The octet that two hexadecimal digits spell.
pub(crate) fn hex_octet(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match digits {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

/// A request method: upper-case, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Method(Box<str>);

impl Method {
    /// Reads a method, or none where the text is not one in upper case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= 32
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
        valid.then(|| Self(text.into()))
    }

    /// As sent on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
