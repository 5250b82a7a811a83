//! Section 3, K1 and K2: secrets verify HMACs and nothing else, and no other key does.

use ring::hmac;

use super::*;

/// RFC 7515 appendix A.1: the key and the token.
const A1_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const HMACS: [(Algorithm, hmac::Algorithm); 3] = [
    (Algorithm::Hs256, hmac::HMAC_SHA256),
    (Algorithm::Hs384, hmac::HMAC_SHA384),
    (Algorithm::Hs512, hmac::HMAC_SHA512),
];

fn secret(kid: Option<&str>, bytes: &[u8], algorithms: &[Algorithm]) -> VerificationKey {
    let algorithms = algorithms.iter().copied().collect();
    VerificationKey::from_secret(kid.map(Into::into), bytes, algorithms).unwrap()
}

/// A token of these members beside the usual ones, its code made with `bytes`.
fn token(hash: hmac::Algorithm, bytes: &[u8], header: &Value) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", text(header), text(&claims()));
    let code = hmac::sign(&hmac::Key::new(hash, bytes), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code))
}

/// A provider that allows everything, whatever a configuration may say.
fn allowing_all(keys: Vec<VerificationKey>) -> Gateway {
    let mut gateway = Gateway::with_providers(vec![provider("https://issuer/", keys)]);
    gateway.providers[0].algorithms = Algorithm::ALL.to_vec();
    gateway
}

#[test]
fn k20_rfc7515_appendix_a1_hs256() {
    let bytes = URL_SAFE_NO_PAD.decode(A1_SECRET).unwrap();
    let mut gateway = Gateway::with_providers(vec![provider(
        "joe",
        vec![secret(None, &bytes, &[Algorithm::Hs256])],
    )]);
    gateway.providers[0].audiences = Audiences::Any;
    gateway.now = 1_300_819_379;
    // HMACs are allowed by name only.
    assert_eq!(gateway.refuses(A1), Some(Reason::AlgorithmNotAllowed));
    gateway.providers[0].algorithms = vec![Algorithm::Hs256];
    gateway.generation = Generation(2);
    assert_eq!(gateway.refuses(A1), None);
    let other = A1.replacen(".dBjf", ".eBjf", 1);
    assert_eq!(gateway.refuses(&other), Some(Reason::Signature));
}

#[test]
fn k2_each_hash_verifies_its_own_code_whole() {
    let bytes = [7; 64];
    let all = HMACS.map(|(algorithm, _)| algorithm);
    for (algorithm, hash) in HMACS {
        let mut gateway = allowing_all(vec![secret(None, &bytes, &all)]);
        let good = token(hash, &bytes, &json!({ "alg": algorithm.name() }));
        assert_eq!(gateway.refuses(&good), None, "{algorithm:?}");
        let of_another = token(hash, &[8; 64], &json!({ "alg": algorithm.name() }));
        assert_eq!(gateway.refuses(&of_another), Some(Reason::Signature));
        let (signed, code) = good.rsplit_once('.').unwrap();
        let code = URL_SAFE_NO_PAD.decode(code).unwrap();
        for bad in [&code[..code.len() - 1], &code[..16], &code[..1], &[&code[..], &[0]].concat()] {
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bad));
            assert_eq!(gateway.refuses(&token), Some(Reason::Signature), "{} bytes", bad.len());
        }
        for (other, _) in HMACS.into_iter().filter(|(other, _)| *other != algorithm) {
            let mut only = allowing_all(vec![secret(None, &bytes, &[other])]);
            assert_eq!(only.refuses(&good), Some(Reason::UnknownKey), "for {other:?} only");
            let renamed = token(hash, &bytes, &json!({ "alg": other.name() }));
            assert_eq!(gateway.refuses(&renamed), Some(Reason::Signature), "{other:?}");
        }
    }
}

#[test]
fn k2_secrets_are_as_long_as_the_hash() {
    use crate::snapshot::key_set::SecretError;
    for (algorithm, needed) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        let make = |bytes: usize| {
            VerificationKey::from_secret(None, &vec![1; bytes], algorithm.into()).map(|_| ())
        };
        assert_eq!(make(needed), Ok(()));
        let found = needed - 1;
        assert_eq!(make(found), Err(SecretError::TooShort { found, needed, algorithm }));
    }
    let mixed = [Algorithm::Hs256, Algorithm::Rs256].into_iter().collect();
    assert_eq!(
        VerificationKey::from_secret(None, &[1; 64], mixed).err(),
        Some(SecretError::Asymmetric(Algorithm::Rs256))
    );
    assert_eq!(
        VerificationKey::from_secret(None, &[1; 64], Default::default()).err(),
        Some(SecretError::NoAlgorithm)
    );
}

#[test]
fn k1_a_public_key_is_no_secret_even_where_both_kinds_are_allowed() {
    let public = Key(1).pair().public_key().as_ref().to_vec();
    for (algorithm, hash) in HMACS {
        for header in
            [json!({ "alg": algorithm.name(), "kid": "k1" }), json!({ "alg": algorithm.name() })]
        {
            let forged = token(hash, &public, &header);
            let expected = match header.get("kid") {
                Some(_) => Reason::KeyAlgorithm,
                None => Reason::UnknownKey,
            };
            let mut gateway = allowing_all(vec![Key(1).public(Some("k1"))]);
            assert_eq!(gateway.refuses(&forged), Some(expected), "{header}");
            // Nor where a secret stands beside it.
            let beside = secret(Some("s"), &[9; 64], &[algorithm]);
            let mut gateway = allowing_all(vec![Key(1).public(Some("k1")), beside]);
            assert!(gateway.refuses(&forged).is_some(), "{header}");
        }
    }
}

#[test]
fn k1_a_secret_is_no_public_key() {
    let bytes = [7; 64];
    let mut gateway = allowing_all(vec![secret(Some("k1"), &bytes, &[Algorithm::Hs256])]);
    for algorithm in Algorithm::ASYMMETRIC {
        let forged =
            token(hmac::HMAC_SHA256, &bytes, &json!({ "alg": algorithm.name(), "kid": "k1" }));
        assert_eq!(gateway.refuses(&forged), Some(Reason::KeyAlgorithm), "{algorithm:?}");
    }
    // A signature by an Ed25519 key whose seed is the secret.
    let signed = Key(7).sign(&json!({ "alg": "EdDSA", "kid": "k1" }), &claims());
    assert_eq!(gateway.refuses(&signed), Some(Reason::KeyAlgorithm));
    let said = Key(7).sign(&json!({ "alg": "HS256", "kid": "k1" }), &claims());
    assert_eq!(gateway.refuses(&said), Some(Reason::Signature));
}
