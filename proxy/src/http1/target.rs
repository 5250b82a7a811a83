//! The request target (RFC 9112 section 3.2): its four forms, and the bytes and paths it may have.

use super::RequestError;
use super::authority::{self, Authority};

/// What a request asks for, in the form it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`
    Origin {
        /// Begins with `/`.
        path: &'b str,
        /// What follows the `?`.
        query: Option<&'b str>,
    },
    /// `http://authority/path?query`
    Absolute {
        /// `http` or `https`, as sent.
        scheme: &'b str,
        /// Host and port, checked, and in agreement with the Host field.
        authority: &'b str,
        /// Begins with `/`; or `*`, which is what OPTIONS without a path asks for.
        path: &'b str,
        /// What follows the `?`.
        query: Option<&'b str>,
    },
    /// `host:port`, on CONNECT alone.
    Authority(&'b str),
    /// `*`, on OPTIONS alone.
    Asterisk,
}

impl<'b> Target<'b> {
    /// The path to route by and to send on: never empty, but for [`Target::Authority`].
    #[must_use]
    pub fn path(&self) -> &'b str {
        match *self {
            Self::Origin { path, .. } | Self::Absolute { path, .. } => path,
            Self::Authority(_) => "",
            Self::Asterisk => "*",
        }
    }

    /// What follows the `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&'b str> {
        match *self {
            Self::Origin { query, .. } | Self::Absolute { query, .. } => query,
            Self::Authority(_) | Self::Asterisk => None,
        }
    }
}

/// A target with the authority it names, if it does, and the port its scheme implies.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParsedTarget<'b> {
    pub(super) target: Target<'b>,
    pub(super) authority: Option<Authority<'b>>,
    pub(super) default_port: Option<u16>,
}

/// Reads a target in the form that `method` asks for.
pub(super) fn parse<'b>(method: &str, text: &'b str) -> Result<ParsedTarget<'b>, RequestError> {
    let without_authority =
        |target| Ok(ParsedTarget { target, authority: None, default_port: None });
    if method == "CONNECT" {
        let authority = authority::parse(text.as_bytes())
            .filter(|authority| authority.port.is_some())
            .ok_or(RequestError::TargetForm)?;
        let target = Target::Authority(text);
        return Ok(ParsedTarget { target, authority: Some(authority), default_port: None });
    }
    if text.starts_with('/') {
        let (path, query) = split_path(text)?;
        return without_authority(Target::Origin { path, query });
    }
    if text == "*" {
        return if method == "OPTIONS" {
            without_authority(Target::Asterisk)
        } else {
            Err(RequestError::TargetForm)
        };
    }
    parse_absolute(method, text)
}

fn parse_absolute<'b>(method: &str, text: &'b str) -> Result<ParsedTarget<'b>, RequestError> {
    let (scheme, rest) = text.split_once("://").ok_or(RequestError::TargetForm)?;
    let default_port = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => 80,
        _ if scheme.eq_ignore_ascii_case("https") => 443,
        _ => return Err(RequestError::TargetScheme),
    };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_end);
    let authority = authority::parse(authority.as_bytes()).ok_or(RequestError::HostSyntax)?;
    let (path, query) = split_path(path_and_query)?;
    // RFC 9112 sections 3.2.1 and 3.2.4: an empty path is sent on as `/`, and as `*` on OPTIONS.
    let path = match (path, query, method) {
        ("", None, "OPTIONS") => "*",
        ("", _, _) => "/",
        _ => path,
    };
    let target = Target::Absolute { scheme, authority: authority.text, path, query };
    Ok(ParsedTarget { target, authority: Some(authority), default_port: Some(default_port) })
}

/// No path and no query may have it.
const NEVER: u8 = 1;
/// A query may have it, a path not.
const NOT_IN_PATH: u8 = 2;
/// A path with it is looked at again: it may begin a dot segment or an encoding.
const LOOK_AGAIN: u8 = 4;

/// What each byte means in a target.
///
/// Beside what RFC 3986 lets through raw are `[ ] ^ { | }` and the grave accent, which browsers send
/// and all recipients read alike. Out are control bytes, the space, what is not ASCII, and `" # < >`;
/// in a path also `\`, which some recipients take for `/`.
static MEANING: [u8; 256] = {
    let mut meaning = [NEVER; 256];
    let mut byte = 0x21_u8;
    while byte < 0x7f {
        meaning[byte as usize] = match byte {
            b'"' | b'#' | b'<' | b'>' => NEVER,
            b'\\' => NOT_IN_PATH,
            b'.' | b'%' => LOOK_AGAIN,
            _ => 0,
        };
        byte += 1;
    }
    meaning
};

/// Splits at the first `?` and checks both parts.
fn split_path(text: &str) -> Result<(&str, Option<&str>), RequestError> {
    let (path, query) = match memchr::memchr(b'?', text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let path_meaning = meaning(path);
    if path_meaning & (NEVER | NOT_IN_PATH) != 0
        || query.is_some_and(|query| meaning(query) & NEVER != 0)
    {
        return Err(RequestError::TargetByte);
    }
    if path_meaning & LOOK_AGAIN != 0 {
        check_segments(path.as_bytes())?;
    }
    Ok((path, query))
}

fn meaning(text: &str) -> u8 {
    text.bytes().fold(0, |seen, byte| seen | MEANING[usize::from(byte)])
}

/// Refuses a path that means another one to whoever decodes it or resolves its dots: a route that
/// is open at `/public/` must not lead to `/public/../admin`, however that is spelled.
fn check_segments(path: &[u8]) -> Result<(), RequestError> {
    let mut dots = 0;
    let mut others = 0;
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let decoded = hex_pair(*high, *low).filter(|&byte| byte != 0);
                (decoded.ok_or(RequestError::TargetEncoding)?, after)
            }
            (b'%', _) => return Err(RequestError::TargetEncoding),
            (&byte, after) => (byte, after),
        };
        match byte {
            b'/' | b'\\' if is_dot_segment(dots, others) => {
                return Err(RequestError::TargetDotSegment);
            }
            b'/' | b'\\' => (dots, others) = (0, 0),
            b'.' => dots += 1,
            _ => others += 1,
        }
        rest = after;
    }
    if is_dot_segment(dots, others) { Err(RequestError::TargetDotSegment) } else { Ok(()) }
}

/// Whether a segment of so many dots and other bytes is `.` or `..`.
fn is_dot_segment(dots: usize, others: usize) -> bool {
    others == 0 && (dots == 1 || dots == 2)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_form() {
        let parse = |method, text| parse(method, text).map(|parsed| parsed.target);
        let origin = |path, query| Ok(Target::Origin { path, query });
        let absolute = |scheme, authority, path, query| {
            Ok(Target::Absolute { scheme, authority, path, query })
        };
        assert_eq!(parse("GET", "/"), origin("/", None));
        assert_eq!(parse("GET", "/a/b?"), origin("/a/b", Some("")));
        assert_eq!(parse("GET", "/a?b?c=/../"), origin("/a", Some("b?c=/../")));
        assert_eq!(parse("GET", "//a"), origin("//a", None));
        assert_eq!(parse("OPTIONS", "*"), Ok(Target::Asterisk));
        assert_eq!(parse("GET", "http://a"), absolute("http", "a", "/", None));
        assert_eq!(parse("GET", "HTTPS://a:1?q"), absolute("HTTPS", "a:1", "/", Some("q")));
        assert_eq!(parse("GET", "http://a/b?c"), absolute("http", "a", "/b", Some("c")));
        assert_eq!(parse("OPTIONS", "http://a"), absolute("http", "a", "*", None));
        assert_eq!(parse("OPTIONS", "http://a/"), absolute("http", "a", "/", None));
        assert_eq!(parse("CONNECT", "a:443"), Ok(Target::Authority("a:443")));
    }

    #[test]
    fn refuses_a_form_that_does_not_fit_the_method() {
        for (method, text, error) in [
            ("GET", "*", RequestError::TargetForm),
            ("OPTIONS", "**", RequestError::TargetForm),
            ("GET", "a:443", RequestError::TargetForm),
            ("GET", "a/b", RequestError::TargetForm),
            ("GET", "?q", RequestError::TargetForm),
            ("CONNECT", "/", RequestError::TargetForm),
            ("CONNECT", "a", RequestError::TargetForm),
            ("CONNECT", "http://a:443", RequestError::TargetForm),
            ("GET", "ftp://a/", RequestError::TargetScheme),
            ("GET", "://a/", RequestError::TargetScheme),
            ("GET", "http:///b", RequestError::HostSyntax),
            ("GET", "http://u@a/", RequestError::HostSyntax),
            ("GET", "http://a\\@b/", RequestError::HostSyntax),
        ] {
            assert_eq!(parse(method, text).map(|_| ()), Err(error), "{method} {text}");
        }
    }

    #[test]
    fn refuses_bytes_that_no_target_has() {
        for byte in 0..=0x7f_u8 {
            let byte = char::from(byte);
            let refused_in_query = byte <= ' ' || "\"#<>\x7f".contains(byte);
            let refused_in_path = refused_in_query || byte == '\\' || byte == '%';
            assert_eq!(split_path(&format!("/a?{byte}")).is_err(), refused_in_query, "{byte:?}");
            assert_eq!(split_path(&format!("/a{byte}")).is_err(), refused_in_path, "{byte:?}");
        }
        assert_eq!(split_path("/é"), Err(RequestError::TargetByte));
        assert_eq!(split_path("/a?é"), Err(RequestError::TargetByte));
    }

    #[test]
    fn refuses_dot_segments_in_any_spelling() {
        for path in [
            "/.",
            "/..",
            "/./a",
            "/a/../b",
            "/a/..",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/",
            "/a%2f..%2Fb",
            "/a%5c..",
            "/a/%2e%2e%5cb",
        ] {
            assert_eq!(split_path(path), Err(RequestError::TargetDotSegment), "{path}");
        }
        for path in
            ["/...", "/.a", "/a.", "/..a/b", "/a%2fb", "/.well-known/x", "/a.b/c..d", "/%2e%2e%2e"]
        {
            assert_eq!(split_path(path), Ok((path, None)));
        }
        for path in ["/%", "/%2", "/%zz", "/%+1", "/a%00b"] {
            assert_eq!(split_path(path), Err(RequestError::TargetEncoding), "{path}");
        }
    }
}
