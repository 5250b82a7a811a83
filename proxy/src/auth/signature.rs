//! The signature by one of the keys that may have made it.

use super::refusal::Reason;
use super::trace::{Detail, Trace};
use crate::snapshot::key_set::{Algorithm, VerificationKey};

/// Tries the keys in order.
pub(super) fn check(
    keys: &[&VerificationKey],
    algorithm: Algorithm,
    signed: &[u8],
    signature: &[u8],
    trace: &mut impl Trace,
) -> Result<(), Reason> {
    let verified = keys.iter().any(|key| key.verify(algorithm, signed, signature));
    trace.check(
        "signature",
        || {
            let found = if verified { "made by the key" } else { "not made by the key" };
            Detail::new(
                format!("{found}, {} bytes", signature.len()),
                format!("{} over header and payload", algorithm.name()),
            )
        },
        if verified { Ok(()) } else { Err(Reason::Signature) },
    )
}
