//! Keys that verify, already checked, each with the algorithms it may be used for.

mod algorithm;
mod public_key;
mod roca;
mod secret;

use crate::crypto::digest::{Context, SHA256};
pub use algorithm::{Algorithm, AlgorithmSet};
pub use public_key::{Numbers, PublicKey, PublicKeyError};
use secret::Secret;
pub use secret::SecretError;

/// A key, the algorithms it may verify and the name its issuer gave it.
///
/// The set of algorithms comes from the key alone: an `alg` that a token names selects among them
/// and can never add one (RFC 8725 section 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationKey {
    kid: Option<Box<str>>,
    algorithms: AlgorithmSet,
    material: Material,
    fingerprint: Fingerprint,
}

/// Tells a key from others, whatever their names; never shown, as a digest of a secret is one itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Public(PublicKey),
    Secret(Secret),
}

impl Material {
    fn fingerprint(&self) -> Fingerprint {
        let parts = match self {
            Self::Public(public) => match public.numbers() {
                Numbers::Rsa { modulus, exponent } => [b"RSA", modulus, exponent],
                Numbers::Ec { curve, x, y } => [curve.as_bytes(), x, y],
                Numbers::Okp { curve, x } => [curve.as_bytes(), x, b""],
            },
            Self::Secret(secret) => [b"secret", secret.bytes(), b""],
        };
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&context.finish().as_ref()[..16]);
        Fingerprint(fingerprint)
    }
}

impl VerificationKey {
    /// A public key usable with `algorithm` only, or, where the issuer does not say (`None`), with
    /// every algorithm of its kind. Nothing where `algorithm` is none of the key's kind.
    #[must_use]
    pub fn new(
        kid: Option<Box<str>>,
        public: PublicKey,
        algorithm: Option<Algorithm>,
    ) -> Option<Self> {
        let of_its_kind = public.algorithms();
        let algorithms = match algorithm {
            None => of_its_kind,
            Some(algorithm) if of_its_kind.contains(algorithm) => algorithm.into(),
            Some(_) => return None,
        };
        Some(Self::from_material(kid, Material::Public(public), algorithms))
    }

    /// A secret shared with the issuer, usable with these algorithms, all of which are HMACs.
    ///
    /// # Errors
    /// When it is too short for one of them, or one of them is no HMAC.
    pub fn from_secret(
        kid: Option<Box<str>>,
        secret: &[u8],
        algorithms: AlgorithmSet,
    ) -> Result<Self, SecretError> {
        let material = Material::Secret(Secret::new(secret, algorithms)?);
        Ok(Self::from_material(kid, material, algorithms))
    }

    fn from_material(kid: Option<Box<str>>, material: Material, algorithms: AlgorithmSet) -> Self {
        let fingerprint = material.fingerprint();
        Self { kid, algorithms, material, fingerprint }
    }

    /// The name its issuer gave it.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it may verify; never empty.
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Tells the key from others.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key itself, where it is no secret.
    #[must_use]
    pub fn public(&self) -> Option<&PublicKey> {
        match &self.material {
            Material::Public(public) => Some(public),
            Material::Secret(_) => None,
        }
    }

    /// Whether `signature` is this key's over `signed`; never when `algorithm` is not one of the
    /// key's own.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.algorithms.contains(algorithm)
            && match &self.material {
                Material::Public(public) => public.verify(algorithm, signed, signature),
                Material::Secret(secret) => secret.verify(algorithm, signed, signature),
            }
    }
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerificationKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The usable keys of one provider at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Sorted by kid; keys without one come first. Keys of one kid keep the order of the source.
    keys: Box<[VerificationKey]>,
}

impl KeySet {
    /// The set of these keys. A key that is there twice counts once; two different keys under one
    /// kid are both kept (RFC 7517 section 4.5).
    #[must_use]
    pub fn new(keys: Vec<VerificationKey>) -> Self {
        let mut kept: Vec<VerificationKey> = Vec::with_capacity(keys.len());
        for key in keys {
            if !kept.contains(&key) {
                kept.push(key);
            }
        }
        kept.sort_by(|a, b| a.kid.cmp(&b.kid));
        Self { keys: kept.into_boxed_slice() }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All keys, sorted by kid.
    pub fn iter(&self) -> std::slice::Iter<'_, VerificationKey> {
        self.keys.iter()
    }

    /// The keys of this name: none, one, or several of one name.
    #[must_use]
    pub fn with_kid(&self, kid: &str) -> &[VerificationKey] {
        let start = self.keys.partition_point(|key| key.kid() < Some(kid));
        let named = &self.keys[start..];
        &named[..named.partition_point(|key| key.kid() == Some(kid))]
    }
}

impl<'s> IntoIterator for &'s KeySet {
    type Item = &'s VerificationKey;
    type IntoIter = std::slice::Iter<'s, VerificationKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
