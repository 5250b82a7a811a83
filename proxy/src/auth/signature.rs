//! The signature by one of the keys that may have made it.

use super::refusal::Reason;
use super::trace::{Detail, Trace};
use crate::snapshot::key_set::{Algorithm, VerificationKey};

/// Tries the keys in order and returns the one that has made it.
pub(super) fn check<'k>(
    mut keys: impl Iterator<Item = &'k VerificationKey>,
    algorithm: Algorithm,
    signed: &[u8],
    signature: &[u8],
    trace: &mut impl Trace,
) -> Result<&'k VerificationKey, Reason> {
    let signed_by = keys.find(|key| key.verify(algorithm, signed, signature));
    trace.check(
        "signature",
        || {
            let found = if signed_by.is_some() { "made by the key" } else { "not made by the key" };
            Detail::new(
                format!("{found}, {} bytes", signature.len()),
                format!("{} over header and payload", algorithm.name()),
            )
        },
        signed_by.ok_or(Reason::Signature),
    )
}
