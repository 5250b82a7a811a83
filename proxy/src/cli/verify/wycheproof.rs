//! K20: Project Wycheproof, whose vectors are made to catch what implementations get wrong.

mod jose;
mod signatures;

use serde_json::{Value, json};

use crate::control::jwks::parse::parse_set;
use crate::snapshot::key_set::VerificationKey;

/// The key that a JWK is; none where it is ignored.
fn key(jwk: &Value) -> Option<VerificationKey> {
    let set = parse_set(json!({ "keys": [jwk] }).to_string().as_bytes()).ok()?;
    set.keys.iter().next().cloned()
}

/// The cases of a set, each with its group, and as many as the set says it has.
fn cases(set: &Value) -> Vec<(&Value, &Value)> {
    let groups = set["testGroups"].as_array().unwrap();
    let cases: Vec<_> = groups
        .iter()
        .flat_map(|group| group["tests"].as_array().unwrap().iter().map(move |case| (group, case)))
        .collect();
    assert_eq!(Some(cases.len() as u64), set["numberOfTests"].as_u64());
    cases
}
