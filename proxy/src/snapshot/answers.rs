//! How the refusals of a route are told.

/// What a refused client learns beside the status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// Leave out the phrase that says what is wrong with the token.
    pub strip_details: bool,
    /// What a request gets whose provider never had keys.
    pub no_keys: NoKeys,
    /// Where the metadata of the protected resource is (RFC 9728 section 5.1), already valid inside
    /// a quoted-string.
    pub resource_metadata: Option<Box<str>>,
    /// Origins of web pages that may read a refusal, as a browser writes them.
    pub allowed_origins: Vec<Box<str>>,
}

/// What a request gets whose provider never had keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoKeys {
    /// 503: it is not the client's fault.
    #[default]
    Unavailable,
    /// 401, for clients that take a 503 for an outage of the service behind.
    Unauthorized,
}
