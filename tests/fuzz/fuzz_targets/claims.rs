//! Signed claims: no panic, nothing accepted that serde_json reads otherwise, and no claim that makes
//! more of the request than its one field.
#![no_main]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ringgate::auth::{Authorization, Presented, TokenCache, UnixTime, authorize};
use ringgate::cli::token::SigningKey;
use ringgate::control::jwks::parse::parse_set;
use ringgate::http1::Field;
use ringgate::snapshot::answers::Answers;
use ringgate::snapshot::claims_policy::{AuthPolicy, ClaimPath, Mode};
use ringgate::snapshot::credentials::Credentials;
use ringgate::snapshot::ids::{Generation, ProviderId};
use ringgate::snapshot::key_set::{Algorithm, KeySet};
use ringgate::snapshot::provider::{
    Audiences, ClaimEncoding, ClaimHeader, Issuer, Provider, TokenChecks,
};
use serde_json::{Value, json};

const NOW: i64 = 1_700_000_000;

fuzz_target!(|payload: &[u8]| {
    static KEY: OnceLock<(SigningKey, Arc<KeySet>)> = OnceLock::new();
    let (key, set) = KEY.get_or_init(|| {
        let key = SigningKey::generate(Algorithm::EdDsa, "k").unwrap();
        let set = json!({ "keys": [key.public_jwk()] }).to_string();
        (key, Arc::new(parse_set(set.as_bytes()).unwrap().keys))
    });
    let value = format!("Bearer {}", key.sign_text(r#"{"alg":"EdDSA","kid":"k"}"#, payload));
    let fields = [Field { name: "authorization", value: value.as_bytes() }];
    let policy = AuthPolicy {
        mode: Mode::Strict,
        providers: ProviderId::new(0).into_iter().collect(),
        credentials: Credentials::default(),
        require: Vec::new(),
        realm: "r".into(),
        answers: Answers::default(),
    };
    let mut cache = TokenCache::new(1);
    let providers = [provider(set)];
    let verdict = authorize(
        Presented { fields: &fields, query: None },
        &policy,
        &providers,
        Generation(1),
        &mut cache,
        UnixTime(NOW),
    );
    let Authorization::Verified(token, _) = verdict else { return };
    let claims: Value = serde_json::from_slice(payload).expect("accepted what is no JSON");
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
        name: "p".into(),
        issuer: Issuer::Exact("i".into()),
        audiences: Audiences::Any,
        algorithms: vec![Algorithm::EdDsa],
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: usize::MAX,
        forward_token: false,
        claim_headers: vec![header("x-user", "sub"), header("x-team", "org.team")],
        checks: TokenChecks::default(),
        unknown_kid_wait: None,
        keys: Some(Arc::clone(keys)),
    }
}
