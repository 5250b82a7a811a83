//! Signed claims: no panic, nothing accepted that serde_json reads otherwise, and no claim that makes
//! more of the request than its one field.
#![no_main]

mod oracle;
mod route;

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use ringgate::auth::{Authorization, TokenCache};
use ringgate::cli::token::SigningKey;
use ringgate::control::jwks::parse::parse_set;
use ringgate::snapshot::claims_policy::ClaimPath;
use ringgate::snapshot::key_set::{Algorithm, KeySet};
use ringgate::snapshot::provider::{ClaimEncoding, ClaimHeader, Provider};
use route::NOW;
use serde_json::json;

fuzz_target!(|payload: &[u8]| {
    static KEY: OnceLock<(SigningKey, Arc<KeySet>)> = OnceLock::new();
    let (key, set) = KEY.get_or_init(|| {
        let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
        let set = json!({ "keys": [key.public_jwk()] }).to_string();
        (key, Arc::new(parse_set(set.as_bytes()).unwrap().keys))
    });
    let value = format!("Bearer {}", key.sign_text(r#"{"alg":"EdDSA","kid":"k"}"#, payload));
    let verdict = route::judge(value.as_bytes(), provider(set), &mut TokenCache::new(1));
    let Authorization::Verified(token, _) = verdict else { return };
    let Some(claims) = oracle::read(payload) else { return };
    assert_eq!(claims["iss"], "i");
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > NOW as f64));
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf <= NOW as f64)));
    let block = str::from_utf8(&token.header_block).expect("fields are ASCII");
    assert!(block.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | 0x20..0x7f)));
    let lines: Vec<_> = block.split_terminator("\r\n").collect();
    assert!(lines.len() <= 2);
    assert!(lines.iter().all(|line| line.starts_with("x-") && !line.contains(['\r', '\n'])));
});

fn provider(keys: &Arc<KeySet>) -> Provider {
    let header = |name: &str, claim: &str| ClaimHeader {
        name: name.into(),
        claim: ClaimPath::Name {
            literal: claim.into(),
            segments: claim.split('.').map(Into::into).collect(),
        },
        encoding: ClaimEncoding::Text,
    };
    Provider {
        claim_headers: vec![header("x-user", "sub"), header("x-team", "org.team")],
        ..route::provider(Some(Arc::clone(keys)), &[Algorithm::EdDsa])
    }
}
