//! JOSE headers: no panic, and nothing that serde_json reads otherwise comes as far as the keys.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ringgate::auth::{Reason, explain_signature};
use ringgate::cli::token::SigningKey;
use ringgate::snapshot::key_set::Algorithm;
use ringgate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};
use serde_json::Value;

fuzz_target!(|header: &[u8]| {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::generate(Algorithm::EdDsa, "k").unwrap());
    let token = key.sign_text(header, "{}");
    let Err(refusal) = explain_signature(token.as_bytes(), &keyless()).verdict else {
        panic!("accepted without a key");
    };
    if refusal.reason != Reason::NoKeys {
        return;
    }
    let header: Value = serde_json::from_slice(header).expect("accepted what is no JSON");
    let header = header.as_object().expect("accepted what is no object");
    let algorithm = header["alg"].as_str().expect("accepted without an algorithm");
    assert!(Algorithm::from_name(algorithm).is_some());
    assert!(!header.contains_key("crit"));
    assert!(matches!(header.get("b64"), None | Some(Value::Bool(true))));
    if let Some(kid) = header.get("kid") {
        assert!(kid.as_str().is_some_and(|kid| kid.len() <= 256 && !kid.contains('\0')));
    }
});

/// Its keys were never loaded, so that a header that passes every check ends there.
fn keyless() -> Provider {
    Provider {
        name: "p".into(),
        issuer: Issuer::Any,
        audiences: Audiences::Any,
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: usize::MAX,
        forward_token: false,
        claim_headers: Vec::new(),
        checks: TokenChecks::default(),
        unknown_kid_wait: None,
        keys: None,
    }
}
