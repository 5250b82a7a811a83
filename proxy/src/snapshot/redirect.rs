//! Where a client is sent that is to ask elsewhere, made of where it has asked.

use super::rewrite::PrefixRewrite;

/// A redirect whose target depends on the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// None: the client's.
    pub scheme: Option<Scheme>,
    /// With a port where it has one; none: the client's, without its port where the scheme is given.
    pub host: Option<Box<str>>,
    /// What becomes of the path.
    pub path: RedirectPath,
    /// Whether what follows the `?` goes along.
    pub keeps_query: bool,
}

/// How a client speaks to the gateway, or to whatever proxy is in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What becomes of the path of a redirected request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPath {
    /// It stays as it is.
    Keep,
    /// This one, in normal form.
    Fixed(Box<str>),
    /// Another beginning.
    Prefix(PrefixRewrite),
}
