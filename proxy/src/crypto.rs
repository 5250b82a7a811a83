//! The library that verifies signatures and keeps TLS: ring, or, in a gateway built with the feature
//! `aws-lc-rs`, AWS-LC, which has the same names and is faster at some of it.
//!
//! What makes keys and tokens (`demo`, `token`) asks more of ring than both have, and uses it in either.

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::error::Unspecified;
#[cfg(feature = "aws-lc-rs")]
pub use aws_lc_rs::{aead, agreement, digest, hmac, rand, signature};
#[cfg(not(feature = "aws-lc-rs"))]
pub use ring::{aead, agreement, digest, hmac, rand, signature};
#[cfg(feature = "aws-lc-rs")]
pub use rustls::crypto::aws_lc_rs as tls;
#[cfg(not(feature = "aws-lc-rs"))]
pub use rustls::crypto::ring as tls;

/// What it is called.
pub const NAME: &str = if cfg!(feature = "aws-lc-rs") { "aws-lc-rs" } else { "ring" };

/// Whether the bytes are a point of the curve: that is checked before a secret is agreed on with its
/// owner. The secret is thrown away.
#[must_use]
pub fn is_on_curve(curve: &'static agreement::Algorithm, point: &[u8]) -> bool {
    let theirs = agreement::UnparsedPublicKey::new(curve, point);
    agreement::EphemeralPrivateKey::generate(curve, &rand::SystemRandom::new())
        .is_ok_and(|ours| agrees(ours, &theirs))
}

#[cfg(feature = "aws-lc-rs")]
fn agrees(
    ours: agreement::EphemeralPrivateKey,
    theirs: &agreement::UnparsedPublicKey<&[u8]>,
) -> bool {
    agreement::agree_ephemeral(ours, theirs, Unspecified, |_| Ok(())).is_ok()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn agrees(
    ours: agreement::EphemeralPrivateKey,
    theirs: &agreement::UnparsedPublicKey<&[u8]>,
) -> bool {
    agreement::agree_ephemeral(ours, theirs, |_| ()).is_ok()
}
