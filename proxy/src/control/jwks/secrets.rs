//! From the text of a secret file to keys: a line each, `SECRET` or `KID SECRET`, in base64url.
//!
//! Several lines let an issuer change its secret: the new one is added, and the old one goes once
//! no token of it is left. Text and not raw bytes, so that the line break which editors and `echo`
//! add is never a part of a secret.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::auth::is_valid_kid;
use crate::snapshot::key_set::{AlgorithmSet, KeySet, SecretError, VerificationKey};

/// Secrets of one file; as many as are tried for a token that names none.
const SECRETS_MAX: usize = 4;
/// Bytes of a secret; a longer one is no stronger than the hash, and is hashed for each token.
const SECRET_BYTES_MAX: usize = 1024;
/// What nobody else may do with the file: others anything, its group write or execute it. The
/// group may read it, because services often get their secrets so.
const LOOSE_MODE: u32 = 0o037;

/// Why a file of secrets is no good. No part of a secret is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Not UTF-8.
    #[error("not text; allowed: a line each, SECRET or KID SECRET, in base64url")]
    NotText,
    /// Nothing but empty lines.
    #[error("no secret")]
    Empty,
    /// More than are tried.
    #[error("more than {SECRETS_MAX} secrets")]
    TooMany,
    /// A line that is none of a secret.
    #[error("line {0} is not SECRET or KID SECRET in base64url")]
    Line(usize),
    /// A `kid` that an earlier line has.
    #[error("line {0}: a kid that is there already")]
    KidTwice(usize),
    /// A secret beyond the limit.
    #[error("line {0}: a secret of more than {SECRET_BYTES_MAX} bytes")]
    TooLong(usize),
    /// A secret that cannot be used.
    #[error("line {0}: {1}")]
    Secret(usize, SecretError),
}

/// Reads the secrets, each for all of these algorithms.
///
/// # Errors
/// When one of them is no good, since it is a local file that somebody can repair.
pub fn parse_secrets(text: &[u8], algorithms: AlgorithmSet) -> Result<KeySet, SecretsError> {
    let text = str::from_utf8(text).map_err(|_| SecretsError::NotText)?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let mut words = line.split_ascii_whitespace();
        let (kid, secret) = match (words.next(), words.next(), words.next()) {
            (None, _, _) => continue,
            (Some(secret), None, _) => (None, secret),
            (Some(kid), Some(secret), None) if is_valid_kid(kid) => (Some(kid), secret),
            (Some(_), Some(_), _) => return Err(SecretsError::Line(number)),
        };
        if kid.is_some() && keys.iter().any(|key: &VerificationKey| key.kid() == kid) {
            return Err(SecretsError::KidTwice(number));
        }
        if keys.len() == SECRETS_MAX {
            return Err(SecretsError::TooMany);
        }
        // Common tools pad.
        let secret = URL_SAFE_NO_PAD
            .decode(secret.trim_end_matches('='))
            .map_err(|_| SecretsError::Line(number))?;
        if secret.len() > SECRET_BYTES_MAX {
            return Err(SecretsError::TooLong(number));
        }
        let key = VerificationKey::from_secret(kid.map(Into::into), &secret, algorithms);
        keys.push(key.map_err(|error| SecretsError::Secret(number, error))?);
    }
    if keys.is_empty() { Err(SecretsError::Empty) } else { Ok(KeySet::new(keys)) }
}

/// The permissions of a file of secrets where others than its owner have more than they should.
pub fn loose_mode(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o777;
    (mode & LOOSE_MODE != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::key_set::Algorithm;

    fn encoded(byte: u8, count: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![byte; count])
    }

    fn parse(text: impl AsRef<[u8]>) -> Result<KeySet, SecretsError> {
        parse_secrets(text.as_ref(), Algorithm::Hs256.into())
    }

    #[test]
    fn k2_each_line_is_a_secret() {
        let (one, two) = (encoded(0xfb, 32), encoded(2, 40));
        let set = parse(format!("\n {one}=\t\r\nnew {two}\n\n")).unwrap();
        let named: Vec<_> = set.iter().map(VerificationKey::kid).collect();
        assert_eq!(named, [None, Some("new")]);
        let (key, message) = (&set.with_kid("new")[0], b"signed");
        let made = |byte: u8, count: usize| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &vec![byte; count]);
            ring::hmac::sign(&key, message)
        };
        assert!(key.verify(Algorithm::Hs256, message, made(2, 40).as_ref()));
        assert!(!key.verify(Algorithm::Hs256, message, made(0xfb, 32).as_ref()));
    }

    #[test]
    fn k2_what_is_no_secret_is_named_by_its_line_alone() {
        let good = encoded(1, 32);
        assert_eq!(parse(b"\xff").err(), Some(SecretsError::NotText));
        assert_eq!(parse(" \n\n").err(), Some(SecretsError::Empty));
        for bad in ["!", "a b c", "not/base64url", "a\u{1} AAAA", "AA\u{e9}"] {
            let text = format!("{good}\n{bad}\n");
            assert_eq!(parse(text).err(), Some(SecretsError::Line(2)), "{bad:?}");
        }
        let twice = format!("a {good}\nb {good}\na {good}\n");
        assert_eq!(parse(twice).err(), Some(SecretsError::KidTwice(3)));
        assert_eq!(parse([&*good; 5].join("\n")).err(), Some(SecretsError::TooMany));
        assert_eq!(parse(encoded(1, 1024)).map(|set| set.len()), Ok(1));
        assert_eq!(parse(encoded(1, 1025)).err(), Some(SecretsError::TooLong(1)));
        let short = SecretError::TooShort { found: 31, needed: 32, algorithm: Algorithm::Hs256 };
        let error = parse(encoded(1, 31)).unwrap_err();
        assert_eq!(error, SecretsError::Secret(1, short));
        assert_eq!(error.to_string(), "line 1: 31 bytes; HS256 needs at least 32");
    }
}
