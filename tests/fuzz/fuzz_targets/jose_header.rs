//! JOSE headers: no panic, and nothing that serde_json reads otherwise comes as far as the keys.
#![no_main]

mod oracle;
#[expect(dead_code, reason = "it judges no request")]
mod route;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use ringgate::auth::{Reason, explain_signature};
use ringgate::cli::token::SigningKey;
use ringgate::snapshot::key_set::Algorithm;
use serde_json::Value;

fuzz_target!(|header: &[u8]| {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::generate(Algorithm::EdDsa, "k").unwrap());
    let token = key.sign_text(header, "{}");
    // Keys that were never loaded: a header that passes every check ends there.
    let keyless = route::provider(None, Algorithm::ALL);
    let Err(refusal) = explain_signature(token.as_bytes(), &keyless).verdict else {
        panic!("accepted without a key");
    };
    if refusal.reason != Reason::NoKeys {
        return;
    }
    let Some(header) = oracle::read(header) else { return };
    let header = header.as_object().expect("accepted what is no object");
    let algorithm = header["alg"].as_str().expect("accepted without an algorithm");
    assert!(Algorithm::from_name(algorithm).is_some());
    assert!(!header.contains_key("crit"));
    assert!(matches!(header.get("b64"), None | Some(Value::Bool(true))));
    if let Some(kid) = header.get("kid") {
        assert!(kid.as_str().is_some_and(|kid| kid.len() <= 256 && !kid.contains('\0')));
    }
});
