//! Where a request may carry its token, and what a route makes of several.

/// Places that one route looks in.
pub const LOCATIONS_MAX: usize = 8;

/// Where the tokens of one route are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// 1 to [`LOCATIONS_MAX`], no two the same.
    pub locations: Vec<TokenLocation>,
    /// Tokens in several places: all are verified and the first counts. Otherwise they are refused
    /// (RFC 6750 section 2 asks for one).
    pub all_must_verify: bool,
}

impl Default for Credentials {
    fn default() -> Self {
        let bearer =
            TokenLocation::Header { name: "authorization".into(), prefix: "Bearer".into() };
        Self { locations: vec![bearer], all_must_verify: false }
    }
}

/// One place of a token in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// A field.
    Header {
        /// Its name, lower-case.
        name: Box<str>,
        /// A word before the token, compared without case; empty: the value is the token.
        prefix: Box<str>,
    },
    /// The cookie of this name.
    Cookie(Box<str>),
    /// The query parameter of this name: letters, digits and `-._~`.
    Query(Box<str>),
}
