//! The seam to the key set parser.

use crate::snapshot::key_set::KeySet;

/// Parses a key set.
pub(super) fn parse(bytes: &[u8]) -> Result<KeySet, String> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|_| "not JSON".to_owned())?;
    match value.get("keys").and_then(serde_json::Value::as_array) {
        Some(keys) if !keys.is_empty() => Ok(KeySet {}),
        _ => Err("has no keys".to_owned()),
    }
}
