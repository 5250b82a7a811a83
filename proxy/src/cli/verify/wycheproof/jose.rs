//! Whole tokens in compact serialisation, and sets of keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::cases;
use crate::auth::{Reason, explain_signature};
use crate::control::jwks::parse::parse_set;
use crate::control::jwks::secrets::parse_secrets;
use crate::snapshot::key_set::{Algorithm, AlgorithmSet, KeySet};
use crate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};

/// Cases that are valid to the set and refused here, each with the reason and why it is so.
const STRICTER: [(u64, Reason, &str); 12] = [
    (259, Reason::TokenSegments, "an empty payload is no claims set"),
    (264, Reason::TokenSegments, "an empty payload is no claims set"),
    (268, Reason::TokenSegments, "an empty payload is no claims set"),
    (272, Reason::TokenSegments, "an empty payload is no claims set"),
    (320, Reason::TokenSegments, "an empty payload is no claims set"),
    (325, Reason::TokenSegments, "an empty payload is no claims set"),
    (346, Reason::KeyAlgorithm, "PS384 by a key whose alg is PS256: only the key's alg counts"),
    (347, Reason::Algorithm, "ES512 is not supported"),
    (350, Reason::KeyAlgorithm, "PS384 by a key whose alg is PS256: only the key's alg counts"),
    (351, Reason::Algorithm, "ES512 is not supported"),
    (372, Reason::TokenCharacters, "a ? inside the header: a token has one spelling"),
    (373, Reason::TokenCharacters, "a ? inside the payload: a token has one spelling"),
];

/// Invalid to the set for their padding, which its writer has lost: they are 357, which is valid.
const SAME_AS_VALID: [u64; 2] = [367, 370];

fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/wycheproof");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// A provider that allows every algorithm, so that the keys alone decide.
fn provider(keys: Option<KeySet>) -> Provider {
    Provider {
        name: "p".into(),
        issuer: Issuer::Any,
        audiences: Audiences::Any,
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: 8192,
        forward_token: false,
        claim_headers: Vec::new(),
        checks: TokenChecks::default(),
        key_tries_max: Provider::KEY_TRIES_DEFAULT,
        unknown_kid_wait: None,
        keys: keys.map(Arc::new),
    }
}

/// Keys as the gateway gets them: public keys in a key set, nothing but secrets in a secret file.
fn keys(jwks: &[Value]) -> Option<KeySet> {
    if jwks.iter().any(|jwk| jwk["kty"] != "oct") {
        let set = json!({ "keys": jwks }).to_string();
        return parse_set(set.as_bytes()).ok().map(|set| set.keys);
    }
    let text = |jwk: &Value, name: &str| jwk[name].as_str().unwrap().to_owned();
    let algorithms = jwks.iter().map(|jwk| Algorithm::from_name(&text(jwk, "alg")));
    let algorithms = algorithms.collect::<Option<AlgorithmSet>>()?;
    let line = |jwk: &Value| format!("{} {}\n", text(jwk, "kid"), text(jwk, "k"));
    parse_secrets(jwks.iter().map(line).collect::<String>().as_bytes(), algorithms).ok()
}

fn verdict(group: &Value, case: &Value) -> Result<(), Reason> {
    // Groups of secrets have only private keys.
    let given = if group["public"].is_object() { &group["public"] } else { &group["private"] };
    let jwks = match &given["keys"] {
        Value::Array(list) => list.clone(),
        _ => vec![given.clone()],
    };
    let token = case["jws"].as_str().unwrap();
    let explained = explain_signature(token.as_bytes(), &provider(keys(&jwks)));
    explained.verdict.map_err(|refusal| refusal.reason)
}

/// Judges every case of a file; those of `stricter` must be refused for just that reason.
fn judge(name: &str, stricter: &[(u64, Reason, &str)]) {
    let set = read(name);
    let mut wrong = Vec::new();
    for (group, case) in cases(&set) {
        let ours = stricter.iter().find(|(id, _, _)| case["tcId"] == *id);
        let found = verdict(group, case);
        if SAME_AS_VALID.iter().any(|id| case["tcId"] == *id) {
            let valid = group["tests"].as_array().unwrap().iter().find(|one| one["tcId"] == 357);
            assert_eq!(case["jws"], valid.unwrap()["jws"], "the set has been repaired");
            continue;
        }
        let right = match (case["result"].as_str(), ours) {
            (Some("valid"), None) => found.is_ok(),
            (Some("valid"), Some((_, reason, _))) => found == Err(*reason),
            (Some("invalid"), None) => found.is_err(),
            (other, _) => panic!("{}: result {other:?}", case["tcId"]),
        };
        if !right {
            wrong.push(format!("{} {}: {found:?}", case["tcId"], case["comment"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn k20_wycheproof_json_web_signature() {
    judge("json_web_signature_test.json", &STRICTER);
}

#[test]
fn k20_wycheproof_json_web_key() {
    judge("json_web_key_test.json", &[]);
}

/// RFC 7520 section 4, whose tokens are in the set beside keys that say more than the RFC's.
#[test]
fn k20_rfc7520_section_4() {
    let set = read("json_web_signature_test.json");
    let case = |figure: &str| {
        let (group, case) = cases(&set)
            .into_iter()
            .find(|(group, case)| group["comment"] == "rfc7520" && case["comment"] == figure)
            .unwrap();
        let mut jwk = group["public"].clone();
        if let Some(members) = jwk.as_object_mut() {
            // The RFC's own keys have none (section 3).
            members.remove("alg");
        }
        (jwk, case["jws"].as_str().unwrap())
    };
    let judge = |jwk: &Value, token: &str| {
        let keys = keys(std::slice::from_ref(jwk));
        explain_signature(token.as_bytes(), &provider(keys)).verdict.map_err(|found| found.reason)
    };
    let (rsa, rs256) = case("Figure13");
    assert_eq!(judge(&rsa, rs256), Ok(()), "4.1");
    let (_, ps384) = case("Figure20");
    assert_eq!(judge(&rsa, ps384), Ok(()), "4.2");
    let (p521, es512) = case("Figure27");
    assert_eq!(judge(&p521, es512), Err(Reason::Algorithm), "4.3");
    assert_eq!(judge(&p521, rs256), Err(Reason::NoKeys), "a key on P-521 is ignored");
    // 4.4 is HS256 and among the cases above; 4.5 has its payload elsewhere, the rest are JSON.
    let parts: Vec<&str> = rs256.split('.').collect();
    let detached = format!("{}..{}", parts[0], parts[2]);
    assert_eq!(judge(&rsa, &detached), Err(Reason::TokenSegments), "4.5");
    let json = json!({ "payload": parts[1], "protected": parts[0], "signature": parts[2] });
    assert_eq!(judge(&rsa, &json.to_string()), Err(Reason::TokenCharacters), "4.6");
}
