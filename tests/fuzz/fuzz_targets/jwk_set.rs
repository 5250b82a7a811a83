//! Key sets: no panic, and no key used that serde_json reads otherwise or that must not be used.
#![no_main]

mod oracle;

use libfuzzer_sys::fuzz_target;
use ringgate::control::jwks::parse::{KEYS_MAX, parse_set};
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let Ok(set) = parse_set(text) else { return };
    let Some(read) = oracle::read(text) else { return };
    let read = read["keys"].as_array().expect("accepted what has no keys");
    assert!((1..=KEYS_MAX).contains(&set.keys.len()));
    assert!(set.keys.len() + set.ignored.len() <= read.len());
    // What is not among the ignored is used; equal keys are merged.
    let is_ignored = |index: &usize| set.ignored.iter().any(|ignored| ignored.index == *index);
    let used: Vec<_> = (0..read.len()).filter(|index| !is_ignored(index)).collect();
    assert!(set.keys.len() <= used.len());
    for jwk in used.into_iter().map(|index| &read[index]) {
        let kind = (jwk["kty"].as_str().unwrap(), jwk["crv"].as_str());
        assert!(
            matches!(kind, ("RSA", _) | ("EC", Some("P-256" | "P-384")) | ("OKP", Some("Ed25519"))),
            "{kind:?}"
        );
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            assert!(jwk.get(private).is_none(), "{private}");
        }
        assert!(jwk.get("use").is_none_or(|usage| usage == "sig"));
        let named =
            set.keys.iter().filter(|key| key.kid() == jwk.get("kid").and_then(Value::as_str));
        let alg = jwk.get("alg").map(|alg| alg.as_str().unwrap().replace("Ed25519", "EdDSA"));
        let fits = named.map(|key| key.algorithms()).any(|algorithms| {
            alg.as_ref().is_none_or(|alg| {
                algorithms.iter().map(|algorithm| algorithm.name()).eq([alg.as_str()])
            })
        });
        assert!(fits, "no key of this name and algorithm");
    }
    assert!(
        set.keys
            .iter()
            .all(|key| key.algorithms().iter().all(|one| one.secret_bytes_min().is_none()))
    );
});
