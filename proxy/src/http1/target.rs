//! The request target (RFC 9112 section 3.2): its four forms, and the bytes and paths it may have.

use std::borrow::Cow;

use super::RequestError;
use super::authority::{self, Authority};
use super::path;
use crate::snapshot::path_normalization::PathNormalization;

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
    /// The path as it was sent: never empty, but for [`Target::Authority`].
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
#[derive(Debug, Clone)]
pub(super) struct ParsedTarget<'b> {
    pub(super) target: Target<'b>,
    /// [`Target::path`] in the form asked for.
    pub(super) path: Cow<'b, str>,
    pub(super) authority: Option<Authority<'b>>,
    pub(super) default_port: Option<u16>,
}

/// Reads a target in the form that `method` asks for.
pub(super) fn parse<'b>(
    method: &str,
    text: &'b str,
    asked: PathNormalization,
) -> Result<ParsedTarget<'b>, RequestError> {
    if method == "CONNECT" {
        let authority = authority::parse(text.as_bytes())
            .filter(|authority| authority.port.is_some())
            .ok_or(RequestError::TargetForm)?;
        return Ok(ParsedTarget {
            target: Target::Authority(text),
            path: Cow::Borrowed(""),
            authority: Some(authority),
            default_port: None,
        });
    }
    if text.starts_with('/') {
        let Split { path, normal, query } = split_path(text, asked)?;
        let target = Target::Origin { path, query };
        return Ok(ParsedTarget { target, path: normal, authority: None, default_port: None });
    }
    if text == "*" {
        return if method == "OPTIONS" {
            let (target, path) = (Target::Asterisk, Cow::Borrowed("*"));
            Ok(ParsedTarget { target, path, authority: None, default_port: None })
        } else {
            Err(RequestError::TargetForm)
        };
    }
    parse_absolute(method, text, asked)
}

fn parse_absolute<'b>(
    method: &str,
    text: &'b str,
    asked: PathNormalization,
) -> Result<ParsedTarget<'b>, RequestError> {
    let (scheme, rest) = text.split_once("://").ok_or(RequestError::TargetForm)?;
    let default_port = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => 80,
        _ if scheme.eq_ignore_ascii_case("https") => 443,
        _ => return Err(RequestError::TargetScheme),
    };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_end);
    let authority = authority::parse(authority.as_bytes()).ok_or(RequestError::HostSyntax)?;
    let Split { path, normal, query } = split_path(path_and_query, asked)?;
    // RFC 9112 sections 3.2.1 and 3.2.4: an empty path is sent on as `/`, and as `*` on OPTIONS.
    let (path, normal) = match (path, query, method) {
        ("", None, "OPTIONS") => ("*", Cow::Borrowed("*")),
        ("", _, _) => ("/", Cow::Borrowed("/")),
        _ => (path, normal),
    };
    let target = Target::Absolute { scheme, authority: authority.text, path, query };
    Ok(ParsedTarget {
        target,
        path: normal,
        authority: Some(authority),
        default_port: Some(default_port),
    })
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

/// A path and a query.
#[derive(Debug, PartialEq, Eq)]
struct Split<'b> {
    path: &'b str,
    normal: Cow<'b, str>,
    query: Option<&'b str>,
}

/// Whether a text is a path that a request could ask for, in the form asked for.
#[must_use]
pub fn is_normal_path(text: &str, asked: PathNormalization) -> bool {
    text.starts_with('/')
        && split_path(text, asked)
            .is_ok_and(|split| split.query.is_none() && matches!(split.normal, Cow::Borrowed(_)))
}

/// Splits at the first `?` and checks both parts.
fn split_path(text: &str, asked: PathNormalization) -> Result<Split<'_>, RequestError> {
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
    let normal = if path_meaning & LOOK_AGAIN != 0 || has_empty_segment(path) {
        path::normalize(path, asked)?
    } else {
        Cow::Borrowed(path)
    };
    Ok(Split { path, normal, query })
}

fn meaning(text: &str) -> u8 {
    text.bytes().fold(0, |seen, byte| seen | MEANING[usize::from(byte)])
}

fn has_empty_segment(path: &str) -> bool {
    path.as_bytes().windows(2).any(|pair| pair == b"//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_form() {
        let parse =
            |method, text| parse(method, text, PathNormalization::On).map(|parsed| parsed.target);
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
    fn a_normal_path_is_told_from_others() {
        for (text, on, off) in [
            ("/", true, true),
            ("/a%2Fb/", true, true),
            ("//a", false, true),
            ("/a/./b", false, false),
            ("/%61", false, true),
            ("/a?b", false, false),
            ("/a#b", false, false),
            ("/a b", false, false),
            ("/a%2", false, false),
            ("a", false, false),
            ("", false, false),
            ("*", false, false),
        ] {
            assert_eq!(is_normal_path(text, PathNormalization::On), on, "{text}");
            assert_eq!(is_normal_path(text, PathNormalization::Off), off, "{text}");
        }
        assert!(!is_normal_path("/a%2Fb", PathNormalization::RejectEncodedSlash));
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
            let parsed = parse(method, text, PathNormalization::On);
            assert_eq!(parsed.map(|_| ()), Err(error), "{method} {text}");
        }
    }

    #[test]
    fn refuses_bytes_that_no_target_has() {
        let refuses = |text: &str| split_path(text, PathNormalization::On).is_err();
        for byte in 0..=0x7f_u8 {
            let byte = char::from(byte);
            let refused_in_query = byte <= ' ' || "\"#<>\x7f".contains(byte);
            let refused_in_path = refused_in_query || byte == '\\' || byte == '%';
            assert_eq!(refuses(&format!("/a?{byte}")), refused_in_query, "{byte:?}");
            assert_eq!(refuses(&format!("/a{byte}")), refused_in_path, "{byte:?}");
        }
        for text in ["/é", "/a?é"] {
            let split = split_path(text, PathNormalization::On);
            assert_eq!(split, Err(RequestError::TargetByte), "{text}");
        }
    }

    #[test]
    fn a_path_has_its_normal_form_beside_it_and_a_query_has_none() {
        for (text, path, normal) in [
            ("/a?//../%61", "/a", "/a"),
            ("/a/../b?q", "/a/../b", "/b"),
            ("http://h//a/%62", "//a/%62", "/a/b"),
            ("http://h", "/", "/"),
        ] {
            let parsed = parse("GET", text, PathNormalization::On).unwrap();
            assert_eq!((parsed.target.path(), &*parsed.path), (path, normal), "{text}");
        }
        let asterisk = parse("OPTIONS", "http://h", PathNormalization::On).unwrap();
        assert_eq!(&*asterisk.path, "*");
    }
}
