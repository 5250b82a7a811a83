//! The seam to the key set parser.

use crate::control::jwks::parse::parse_set;
use crate::snapshot::key_set::KeySet;

/// Parses a key set that must have a usable key.
pub(super) fn parse(bytes: &[u8]) -> Result<KeySet, String> {
    parse_set(bytes).map(|set| set.keys).map_err(|error| error.to_string())
}
