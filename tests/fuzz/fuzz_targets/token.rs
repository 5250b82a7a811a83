//! Whole credentials: no panic, and nothing passes but the tokens that were signed, byte for byte.
//!
//! An input that begins with NUL is edits of a signed token: its number, then pairs of a position and
//! the byte that is put there. Any other is the value of `Authorization` as it is.
#![no_main]

mod route;

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use ringgate::auth::{Authorization, TokenCache};
use ringgate::cli::token::SigningKey;
use ringgate::control::jwks::parse::parse_set;
use ringgate::snapshot::key_set::{Algorithm, KeySet, VerificationKey};
use serde_json::json;

struct Issuer {
    /// Of the same claims, and with the same signatures in each run, so that a corpus can hold them.
    tokens: Vec<String>,
    keys: Arc<KeySet>,
}

impl Issuer {
    fn new() -> Self {
        // RFC 8037 appendix A.1.
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "k",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let key = SigningKey::from_jwk(&key).unwrap();
        let set = json!({ "keys": [key.public_jwk()] }).to_string();
        let mut keys: Vec<_> = parse_set(set.as_bytes()).unwrap().keys.iter().cloned().collect();
        // A secret beside the key: what is made with neither must not pass for either.
        let secret =
            VerificationKey::from_secret(Some("s".into()), &[7; 32], Algorithm::Hs256.into());
        keys.push(secret.unwrap());
        let claims = [
            r#"{"iss":"i","exp":1700000600}"#,
            r#"{"iss":"i","exp":1700000600,"sub":"alice","aud":["a","b"],"nbf":1.7e9}"#,
        ];
        let headers = [r#"{"alg":"EdDSA","kid":"k"}"#, r#"{"alg":"Ed25519","typ":"JWT"}"#];
        let tokens =
            claims.iter().flat_map(|claims| headers.map(|header| key.sign_text(header, claims)));
        Self { tokens: tokens.collect(), keys: Arc::new(KeySet::new(keys)) }
    }

    /// What an input is as the value of the field.
    fn value(&self, input: &[u8]) -> Vec<u8> {
        let [0, number, edits @ ..] = input else { return input.to_vec() };
        let token = &self.tokens[usize::from(*number) % self.tokens.len()];
        let mut value = format!("Bearer {token}").into_bytes();
        for edit in edits.chunks_exact(3) {
            let position = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % value.len();
            value[position] = edit[2];
        }
        value
    }
}

fuzz_target!(|input: &[u8]| {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    let issuer = ISSUER.get_or_init(Issuer::new);
    let value = issuer.value(input);
    let provider = || route::provider(Some(Arc::clone(&issuer.keys)), Algorithm::ALL);
    let mut cache = TokenCache::new(8);
    let verified = |verdict: &Authorization| matches!(verdict, Authorization::Verified(..));
    let passed = verified(&route::judge(&value, provider(), &mut cache));
    // The second time the caches know it, whatever the first verdict was.
    assert_eq!(verified(&route::judge(&value, provider(), &mut cache)), passed);
    let word = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at(word);
    let is_signed = scheme.eq_ignore_ascii_case(b"Bearer")
        && issuer.tokens.iter().any(|signed| signed.as_bytes() == token.trim_ascii());
    assert_eq!(passed, is_signed, "{:?}", String::from_utf8_lossy(&value));
});
