//! What a SHA-256 comes to.

use crate::crypto::digest::Context;

/// As an array, for comparison.
pub(super) fn finished(hash: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}
