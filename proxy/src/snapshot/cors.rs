//! Which pages of other origins may use a route (Fetch standard, section 3.3).

/// The rules of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may.
    pub origins: Origins,
    /// With which methods, as the field has them.
    pub methods: Box<str>,
    /// With which request fields, as the field has them; empty: only those that need no leave.
    pub headers: Box<str>,
    /// Which response fields their scripts may read, as the field has them; may be empty.
    pub expose_headers: Box<str>,
    /// Whether they may send cookies and the like.
    pub credentials: bool,
    /// Seconds for which a browser need not ask again.
    pub max_age: u64,
    /// Whether preflights are answered here, before anything else is asked of them. Else they are
    /// requests like others.
    pub answers_preflight: bool,
}

/// A set of origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// Those that a pattern takes.
    Listed(Vec<OriginPattern>),
}

impl Origins {
    /// Whether an origin, as a browser sends it, is one of them.
    #[must_use]
    pub fn take(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.takes(origin)),
        }
    }
}

/// One origin, or those of all names below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `https://app.example.com`.
    Exact(Box<str>),
    /// `https://*.example.com`.
    Below {
        /// `https://`.
        scheme: Box<str>,
        /// `.example.com`, with the port if there is one.
        suffix: Box<str>,
    },
}

impl OriginPattern {
    /// Reads a pattern: an origin as browsers send it (RFC 6454 section 6.2), in lower case, without
    /// a path; a first label `*` stands for one label or more.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_host = |byte: u8| is_scheme(byte) || b"-.:[]".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let below = authority.strip_prefix("*.");
        let rest = below.unwrap_or(authority);
        if rest.is_empty() || rest.starts_with('.') || !rest.bytes().all(is_host) {
            return None;
        }
        Some(match below {
            None => Self::Exact(text.into()),
            Some(name) => Self::Below {
                scheme: format!("{scheme}://").into(),
                suffix: format!(".{name}").into(),
            },
        })
    }

    fn takes(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *origin,
            Self::Below { scheme, suffix } => {
                let label = origin.strip_prefix(&**scheme).and_then(|o| o.strip_suffix(&**suffix));
                label.is_some_and(|label| {
                    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
                    !label.is_empty() && !label.starts_with('.') && label.bytes().all(is_name)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_origins_whole() {
        let takes =
            |pattern: &str, origin: &str| OriginPattern::parse(pattern).unwrap().takes(origin);
        assert!(takes("https://app.example.com", "https://app.example.com"));
        assert!(takes("http://[::1]:3000", "http://[::1]:3000"));
        assert!(takes("https://*.example.com", "https://a.example.com"));
        assert!(takes("https://*.example.com", "https://a.b.example.com"));
        assert!(takes("https://*.example.com:8443", "https://a.example.com:8443"));
        for (pattern, origin) in [
            ("https://app.example.com", "http://app.example.com"),
            ("https://app.example.com", "https://app.example.com:443"),
            ("https://app.example.com", "https://app.example.com.evil.test"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://evil.test/.example.com"),
            ("https://*.example.com", "https://a@evil.test#.example.com"),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("https://*.example.com", "http://a.example.com"),
            ("https://*.example.com", "null"),
        ] {
            assert!(!takes(pattern, origin), "{pattern} {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_no_pattern() {
        for text in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://a/",
            "https://A.example.com",
            "https://a.*.com",
            "HTTPS://a",
            "https://a b",
            "://a",
        ] {
            assert_eq!(OriginPattern::parse(text), None, "{text}");
        }
    }
}
