//! A token provider: whose tokens are believed, which algorithms, and what becomes of the claims.

use std::sync::Arc;
use std::time::Duration;

use super::claims_policy::ClaimPath;
use super::key_set::{Algorithm, KeySet};

/// One issuer and the rules for its tokens.
#[derive(Debug, Clone)]
pub struct Provider {
    /// As configured; the `provider` label of metrics and log lines.
    pub name: Box<str>,
    /// Whose `iss` it believes.
    pub issuer: Issuer,
    /// Which `aud` it believes.
    pub audiences: Audiences,
    /// The allow-list; never empty.
    pub algorithms: Vec<Algorithm>,
    /// Tolerance for `exp`, `nbf` and `iat`; at most 300 s.
    pub leeway: Duration,
    /// Refuse a token without `exp`.
    pub require_exp: bool,
    /// Refuse longer tokens before decoding them.
    pub token_bytes_max: usize,
    /// Keep the token in the forwarded request.
    pub forward_token: bool,
    /// Request fields set from claims.
    pub claim_headers: Vec<ClaimHeader>,
    /// Checks that are off unless asked for.
    pub checks: TokenChecks,
    /// Keys tried for one token, where it names none or several have the name that it does.
    pub key_tries_max: usize,
    /// How long a request waits while a key that its token names is looked for; none where there
    /// is nowhere to look.
    pub unknown_kid_wait: Option<Duration>,
    /// The keys, or none before the first load.
    pub keys: Option<Arc<KeySet>>,
}

impl Provider {
    /// What `key_tries_max` is where the configuration does not say: an issuer in the middle of a
    /// rotation has two or three keys of one kind.
    pub const KEY_TRIES_DEFAULT: usize = 4;
}

/// Checks of a token that are off unless the configuration asks for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenChecks {
    /// What `typ` must be one of, without an `application/` prefix; empty: anything or nothing.
    pub types: Vec<Box<str>>,
    /// Ask for every claim that RFC 9068 section 2.2 does.
    pub rfc9068: bool,
    /// Refuse a token whose header names no key.
    pub require_kid: bool,
    /// Refuse a token whose header brings its own key or says where to fetch one.
    pub reject_embedded_keys: bool,
    /// What is made of a token that is bound to a client's certificate.
    pub binding: Binding,
    /// Refuse a token issued longer ago, or that does not say when.
    pub max_age: Option<Duration>,
    /// Refuse a token that has longer to live, or that does not say how long.
    pub max_lifetime: Option<Duration>,
}

/// What is made of a token that is bound to a client's certificate (RFC 8705 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// Nothing.
    #[default]
    Ignored,
    /// It is refused where the client has not shown that certificate.
    Enforced,
    /// So is one that is bound to none.
    Required,
}

/// Whose `iss` is believed; compared code point by code point, never normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// Exactly this.
    Exact(Box<str>),
    /// Whoever holds the keys; the configuration says `"any"` in so many words.
    Any,
}

/// Which `aud` is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audiences {
    /// At least one of these; never empty.
    AnyOf(Vec<Box<str>>),
    /// All; the configuration says `"any"` in so many words.
    Any,
}

/// A request field set from a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// A valid field name, lower-case.
    pub name: Box<str>,
    /// Where its value comes from.
    pub claim: ClaimPath,
    /// How the value is written.
    pub encoding: ClaimEncoding,
}

/// How a claim is written into a request field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClaimEncoding {
    /// Scalars as text, arrays of them joined by commas; objects not at all.
    #[default]
    Text,
    /// As compact JSON of visible ASCII.
    Json,
    /// As that JSON in base64url without padding.
    Base64Url,
}
