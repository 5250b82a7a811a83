//! A secret that the issuer shares with this gateway, and the verification of a code made with it.

use crate::crypto::hmac;

use super::algorithm::{Algorithm, AlgorithmSet};

/// A symmetric key, long enough for what it is used with. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Box<[u8]>);

/// Why a secret is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Shorter than the hash of one of its algorithms: it could be found by trying.
    #[error("{found} bytes; {algorithm} needs at least {needed}", algorithm = .algorithm.name())]
    TooShort {
        /// The bytes there are.
        found: usize,
        /// The bytes that are needed.
        needed: usize,
        /// By what.
        algorithm: Algorithm,
    },
    /// An algorithm that verifies by a public key.
    #[error("a secret is not for {}", .0.name())]
    Asymmetric(Algorithm),
    /// No algorithm.
    #[error("a secret needs an algorithm")]
    NoAlgorithm,
}

impl Secret {
    /// A secret for all of these algorithms.
    pub(super) fn new(bytes: &[u8], algorithms: AlgorithmSet) -> Result<Self, SecretError> {
        if algorithms.iter().next().is_none() {
            return Err(SecretError::NoAlgorithm);
        }
        for algorithm in algorithms.iter() {
            match algorithm.secret_bytes_min() {
                None => return Err(SecretError::Asymmetric(algorithm)),
                Some(needed) if bytes.len() < needed => {
                    return Err(SecretError::TooShort { found: bytes.len(), needed, algorithm });
                }
                Some(_) => {}
            }
        }
        Ok(Self(bytes.into()))
    }

    /// For a digest of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `code` is made with this secret over `signed`, compared in constant time.
    pub(super) fn verify(&self, algorithm: Algorithm, signed: &[u8], code: &[u8]) -> bool {
        let hash = match algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es256
            | Algorithm::Es384
            | Algorithm::EdDsa => return false,
        };
        hmac::verify(&hmac::Key::new(hash, &self.0), signed, code).is_ok()
    }
}
