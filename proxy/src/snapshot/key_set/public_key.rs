//! The bytes of a public key, checked once, and the verification of a signature by them.

use crate::crypto::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use crate::crypto::{agreement, is_on_curve};

use super::algorithm::{Algorithm, AlgorithmSet};
use super::roca;

/// A public key whose numbers have been checked.
///
/// An Ed25519 key that is no point of the curve is the one fault not found here: the library finds it at
/// each verification, and nothing verifies by it.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Material);

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Box<[u8]>,
        exponent: Box<[u8]>,
    },
    /// Uncompressed points.
    P256([u8; 65]),
    P384([u8; 97]),
    Ed25519([u8; 32]),
}

/// The numbers of a key, big-endian; each coordinate as long as its curve has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers<'k> {
    /// RSA; without leading zeros.
    Rsa {
        /// `n`.
        modulus: &'k [u8],
        /// `e`.
        exponent: &'k [u8],
    },
    /// A point of a curve of RFC 7518 section 6.2.
    Ec {
        /// As `crv` names it.
        curve: &'static str,
        /// `x`.
        x: &'k [u8],
        /// `y`.
        y: &'k [u8],
    },
    /// A point of a curve of RFC 8037, in its encoded form.
    Okp {
        /// As `crv` names it.
        curve: &'static str,
        /// `x`.
        x: &'k [u8],
    },
}

/// Why the numbers of a key are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Shorter than 2048 bits.
    #[error("RSA modulus of {0} bits; at least 2048 are needed")]
    ModulusTooShort(usize),
    /// Longer than 8192 bits: verifying would cost milliseconds.
    #[error("RSA modulus of {0} bits; at most 8192 are allowed")]
    ModulusTooLong(usize),
    /// Divisible by two.
    #[error("even RSA modulus")]
    ModulusEven,
    /// Even, 1, or above 2^32.
    #[error("RSA exponent is even, 1 or above 2^32")]
    Exponent,
    /// Made by a generator whose keys can be factored.
    #[error("RSA modulus of the flawed generator of CVE-2017-15361")]
    Roca,
    /// A coordinate or point of a wrong length.
    #[error("{found} bytes where the curve has {wanted}")]
    Length {
        /// The length the curve asks for.
        wanted: usize,
        /// The length there was.
        found: usize,
    },
    /// The coordinates fit no point of the curve.
    #[error("point not on the curve")]
    NotOnCurve,
    /// An Ed25519 point of small order, by which anybody can sign.
    #[error("point of small order")]
    SmallOrder,
    /// An Ed25519 point whose y is not reduced modulo the prime.
    #[error("point not in canonical form")]
    NotCanonical,
}

impl PublicKey {
    /// An RSA key from its big-endian numbers; leading zeros, which some issuers write, are dropped.
    ///
    /// # Errors
    /// When a number is out of bounds.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, PublicKeyError> {
        let modulus = without_leading_zeros(modulus);
        let bits = bit_length(modulus);
        if bits < 2048 {
            return Err(PublicKeyError::ModulusTooShort(bits));
        }
        if bits > 8192 {
            return Err(PublicKeyError::ModulusTooLong(bits));
        }
        if is_even(modulus) {
            return Err(PublicKeyError::ModulusEven);
        }
        if roca::is_marked(modulus) {
            return Err(PublicKeyError::Roca);
        }
        let exponent = without_leading_zeros(exponent);
        if is_even(exponent) || exponent == [1] || bit_length(exponent) > 32 {
            return Err(PublicKeyError::Exponent);
        }
        Ok(Self(Material::Rsa { modulus: modulus.into(), exponent: exponent.into() }))
    }

    /// A P-256 key from its big-endian coordinates.
    ///
    /// # Errors
    /// When a length is wrong or the point is not on the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, PublicKeyError> {
        let point = uncompressed::<65>(x, y)?;
        on_curve(&agreement::ECDH_P256, &point)?;
        Ok(Self(Material::P256(point)))
    }

    /// A P-384 key from its big-endian coordinates.
    ///
    /// # Errors
    /// When a length is wrong or the point is not on the curve.
    pub fn p384(x: &[u8], y: &[u8]) -> Result<Self, PublicKeyError> {
        let point = uncompressed::<97>(x, y)?;
        on_curve(&agreement::ECDH_P384, &point)?;
        Ok(Self(Material::P384(point)))
    }

    /// An Ed25519 key from its encoded point.
    ///
    /// # Errors
    /// When the length is wrong, or the point is of small order or not in canonical form.
    pub fn ed25519(x: &[u8]) -> Result<Self, PublicKeyError> {
        let point: [u8; 32] =
            x.try_into().map_err(|_| PublicKeyError::Length { wanted: 32, found: x.len() })?;
        if is_small_order(&point) {
            return Err(PublicKeyError::SmallOrder);
        }
        // The prime is 2^255 - 19: what is not below it has all ones above the lowest byte.
        let all_ones = point[1..31].iter().all(|byte| *byte == 0xff) && point[31] & 0x7f == 0x7f;
        if all_ones && point[0] >= 0xed {
            return Err(PublicKeyError::NotCanonical);
        }
        Ok(Self(Material::Ed25519(point)))
    }

    /// The numbers it is made of.
    #[must_use]
    pub fn numbers(&self) -> Numbers<'_> {
        match &self.0 {
            Material::Rsa { modulus, exponent } => Numbers::Rsa { modulus, exponent },
            Material::P256(bytes) => point("P-256", bytes),
            Material::P384(bytes) => point("P-384", bytes),
            Material::Ed25519(x) => Numbers::Okp { curve: "Ed25519", x },
        }
    }

    /// Every algorithm of the key's kind; each elliptic curve has exactly one (RFC 7518
    /// section 3.4).
    #[must_use]
    pub fn algorithms(&self) -> AlgorithmSet {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self.0 {
            Material::Rsa { .. } => {
                [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512].into_iter().collect()
            }
            Material::P256(_) => Es256.into(),
            Material::P384(_) => Es384.into(),
            Material::Ed25519(_) => EdDsa.into(),
        }
    }

    /// Whether `signature` is this key's over `signed` by `algorithm`.
    pub(super) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.0, algorithm) {
            (Material::Rsa { modulus, exponent }, _) => {
                rsa_parameters(algorithm).is_some_and(|parameters| {
                    RsaPublicKeyComponents { n: modulus, e: exponent }
                        .verify(parameters, signed, signature)
                        .is_ok()
                })
            }
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            (Material::P384(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            (Material::Ed25519(point), Algorithm::EdDsa) => {
                // The library compares R with the one it computes, which leaves R of small order to us.
                signature.first_chunk::<32>().is_some_and(|r| !is_small_order(r))
                    && UnparsedPublicKey::new(&signature::ED25519, point)
                        .verify(signed, signature)
                        .is_ok()
            }
            (Material::P256(_) | Material::P384(_) | Material::Ed25519(_), _) => false,
        }
    }
}

/// Of an uncompressed point.
fn point<'k>(curve: &'static str, bytes: &'k [u8]) -> Numbers<'k> {
    let (x, y) = bytes[1..].split_at(bytes.len() / 2);
    Numbers::Ec { curve, x, y }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => None,
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Of a number without leading zeros.
fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Zero, which has no bytes, is even.
fn is_even(number: &[u8]) -> bool {
    number.last().is_none_or(|last| last % 2 == 0)
}

/// The uncompressed form (SEC 1 section 2.3.3) of a point of a curve with `N / 2` bytes a
/// coordinate.
fn uncompressed<const N: usize>(x: &[u8], y: &[u8]) -> Result<[u8; N], PublicKeyError> {
    let wanted = N / 2;
    for coordinate in [x, y] {
        if coordinate.len() != wanted {
            return Err(PublicKeyError::Length { wanted, found: coordinate.len() });
        }
    }
    let mut point = [0; N];
    point[0] = 4;
    point[1..=wanted].copy_from_slice(x);
    point[1 + wanted..].copy_from_slice(y);
    Ok(point)
}

fn on_curve(curve: &'static agreement::Algorithm, point: &[u8]) -> Result<(), PublicKeyError> {
    if is_on_curve(curve, point) { Ok(()) } else { Err(PublicKeyError::NotOnCurve) }
}

/// The y of the points whose order divides 8, reduced and not; the sign bit, which is masked off
/// before the comparison, does not matter.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    little_endian(0x01, 0x00, 0x00),
    little_endian(0xec, 0xff, 0x7f),
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn little_endian(lowest: u8, middle: u8, highest: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = lowest;
    bytes[31] = highest;
    bytes
}

fn is_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}
