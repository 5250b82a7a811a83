//! What a route asks of a token: who may have issued it and what it must claim.

use super::answers::Answers;
use super::credentials::Credentials;
use super::ids::ProviderId;

/// The token rules of one route.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthPolicy {
    /// What happens to a request without a good token.
    pub mode: Mode,
    /// Who may have issued the token; never empty, no two with the same issuer. With an
    /// [`super::provider::Issuer::Any`] provider there is exactly one.
    pub providers: Vec<ProviderId>,
    /// Where the token is found in a request.
    pub credentials: Credentials,
    /// A CORS preflight without a token passes: browsers never send one with it.
    pub bypass_preflight: bool,
    /// All of these must hold.
    pub require: Vec<Requirement>,
    /// The `realm` of challenges, already valid inside a quoted-string.
    pub realm: Box<str>,
    /// How refusals are told.
    pub answers: Answers,
}

/// What happens to a request without a good token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Missing or bad: refused.
    #[default]
    Strict,
    /// Missing passes, bad is refused.
    Optional,
    /// Never refused; a bad token is stripped and `x-jwt-status` says why.
    Permissive,
}

/// One rule: it holds when any of its alternatives does. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// At least one.
    pub any_of: Vec<Condition>,
}

/// A claim and what it must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Which claim.
    pub claim: ClaimPath,
    /// What it must be. A claim of another type than the matcher expects does not match.
    pub matcher: Matcher,
}

/// Where a claim is found in the claims set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPath {
    /// A name as typed. The literal top-level member wins; `segments` (the name split by the
    /// provider-independent delimiter of the configuration) is tried after it, when there are two
    /// or more.
    Name {
        /// The whole name.
        literal: Box<str>,
        /// The name split at the delimiter, or empty where no delimiter is set.
        segments: Vec<Box<str>>,
    },
    /// An array of names or a JSON Pointer: steps only, no literal look-up. Never empty.
    Steps(Vec<Box<str>>),
}

impl ClaimPath {
    /// The first or only name, for messages and for deciding what kind of claim this is.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Name { literal, .. } => literal,
            Self::Steps(steps) => steps.first().map_or("", |step| step),
        }
    }
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Matcher {
    /// Present, whatever its value but `null`.
    Exists,
    /// Exactly this scalar.
    Equals(Scalar),
    /// One of these scalars; for `scope` and `scp`, a word of the set is one of them.
    OneOf(Vec<Scalar>),
    /// An array with this member. `scope` and `scp` are one set of words, each written as an array
    /// or as a space-separated string, and contain this word.
    Contains(Scalar),
    /// A string that begins with this.
    Prefix(Box<str>),
}

/// A scalar of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    String(Box<str>),
    /// A number in any JSON spelling; compared by its exact decimal value, so `1e3` is `1000`.
    Number(Box<str>),
    /// A boolean.
    Bool(bool),
}
