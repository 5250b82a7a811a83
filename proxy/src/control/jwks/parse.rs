//! From the text of a JWK set (RFC 7517) to the keys that can be used and the reasons against the rest.
//!
//! One bad key never spoils the set (section 5): issuers publish encryption keys, new key types
//! and broken entries beside good keys. A set that yields no usable key is an error as a whole, so
//! that it never replaces one that did.

mod key;

use crate::auth::json::{Document, JsonError, Value};
use crate::snapshot::key_set::{KeySet, PublicKeyError, VerificationKey};

/// Bytes of a set; the largest of public issuers are below 20 KiB.
pub const SET_BYTES_MAX: usize = 512 * 1024;
/// Levels of objects and arrays in a set. Its keys need three, one more for each certificate chain.
const DEPTH_MAX: usize = 8;
/// Keys used of one set.
pub const KEYS_MAX: usize = 128;
/// Keys of which it is kept why they are not used; a set has room for 100,000 bad ones.
const REASONS_MAX: usize = 128;

/// What a set has.
#[derive(Debug)]
pub struct ParsedSet {
    /// The usable keys, at least one.
    pub keys: KeySet,
    /// The others, in the order of the set, the first ones of many.
    pub ignored: Vec<IgnoredKey>,
}

/// A key that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its position in the set.
    pub index: usize,
    /// Its name, where it has a valid one.
    pub kid: Option<Box<str>>,
    /// Why it is not used.
    pub reason: IgnoreReason,
}

impl std::fmt::Display for IgnoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index, kid, reason } = self;
        match kid {
            Some(kid) => write!(f, "keys[{index}] (kid {kid:?}): {reason}"),
            None => write!(f, "keys[{index}]: {reason}"),
        }
    }
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreReason {
    /// Something else than an object.
    #[error("not an object")]
    NotAnObject,
    /// A member that must be there, is none of its type, or is no canonical base64url.
    #[error("member {0} is missing or malformed")]
    Member(&'static str),
    /// A symmetric key: whoever reads the set can sign with it.
    #[error("symmetric key: everyone who can read this set can sign with it")]
    Symmetric,
    /// Private members: whoever reads the set can sign with it.
    #[error("private member {0}: everyone who can read this set can sign with this key")]
    Private(&'static str),
    /// A key type that is not known here.
    #[error("key type not supported")]
    KeyType,
    /// A curve that is not known here.
    #[error("curve not supported")]
    Curve,
    /// `use` or `key_ops` say that it is not for verifying, or contradict each other.
    #[error("not for verifying signatures by its {0}")]
    Usage(&'static str),
    /// `alg` is not known here or not of its type.
    #[error("algorithm not supported for this key type")]
    Algorithm,
    /// Numbers out of bounds.
    #[error(transparent)]
    Numbers(#[from] PublicKeyError),
    /// More keys before it than are used of one set.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
}

impl IgnoreReason {
    /// Every name that [`Self::code`] gives.
    pub const CODES: [&str; 10] = [
        "not_an_object",
        "member",
        "symmetric",
        "private",
        "key_type",
        "curve",
        "usage",
        "algorithm",
        "numbers",
        "too_many",
    ];

    /// The stable name in metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::Member(_) => "member",
            Self::Symmetric => "symmetric",
            Self::Private(_) => "private",
            Self::KeyType => "key_type",
            Self::Curve => "curve",
            Self::Usage(_) => "usage",
            Self::Algorithm => "algorithm",
            Self::Numbers(_) => "numbers",
            Self::TooMany => "too_many",
        }
    }

    /// Whether the issuer has published a secret: somebody must be told at once.
    #[must_use]
    pub fn is_alarm(self) -> bool {
        match self {
            Self::Symmetric | Self::Private(_) => true,
            Self::NotAnObject
            | Self::Member(_)
            | Self::KeyType
            | Self::Curve
            | Self::Usage(_)
            | Self::Algorithm
            | Self::Numbers(_)
            | Self::TooMany => false,
        }
    }
}

/// Why a set as a whole is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// Longer than the limit.
    #[error("{0} bytes; at most {SET_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// No JSON object.
    #[error("no JWK set: {0}")]
    Json(#[from] JsonError),
    /// No array `keys`.
    #[error("no JWK set: it has no array \"keys\"")]
    NoKeysArray,
    /// An empty array.
    #[error("the set has no keys")]
    Empty,
    /// Keys, and none that can be used.
    #[error("none of the {} keys can be used: {}", .0.len(), first(.0))]
    NoneUsable(Vec<IgnoredKey>),
}

fn first(ignored: &[IgnoredKey]) -> String {
    ignored.first().map(ToString::to_string).unwrap_or_default()
}

/// Reads a set.
///
/// # Errors
/// When the text is no set, or one without a usable key.
pub fn parse_set(bytes: &[u8]) -> Result<ParsedSet, JwkSetError> {
    if bytes.len() > SET_BYTES_MAX {
        return Err(JwkSetError::TooLong(bytes.len()));
    }
    let document = Document::parse_within(bytes, DEPTH_MAX)?;
    let Some(Value::Array(array)) = document.root().get("keys") else {
        return Err(JwkSetError::NoKeysArray);
    };
    let mut keys: Vec<VerificationKey> = Vec::new();
    let mut ignored = Vec::new();
    for (index, element) in array.elements().enumerate() {
        let parsed =
            if keys.len() < KEYS_MAX { key::parse(element) } else { Err(IgnoreReason::TooMany) };
        match parsed {
            Ok(key) => keys.push(key),
            Err(_) if ignored.len() >= REASONS_MAX => {}
            Err(reason) => {
                ignored.push(IgnoredKey { index, kid: key::valid_kid(element), reason });
            }
        }
    }
    if keys.is_empty() {
        return Err(match ignored.is_empty() {
            true => JwkSetError::Empty,
            false => JwkSetError::NoneUsable(ignored),
        });
    }
    Ok(ParsedSet { keys: KeySet::new(keys), ignored })
}

#[cfg(test)]
mod tests;
