//! Sets as issuers publish them, and keys that must not be used.

use serde_json::{Value, json};

use super::*;
use crate::snapshot::key_set::Algorithm;

/// RFC 7515 appendix A.2.
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn rsa() -> Value {
    json!({ "kty": "RSA", "kid": "r", "n": RSA_N, "e": "AQAB" })
}

/// RFC 7515 appendix A.3.
fn ec() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

/// RFC 8037 appendix A.2.
fn okp() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

/// `key` with these members set or, where null, removed.
fn with(mut key: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members are an object") };
    for (name, value) in members {
        match value {
            Value::Null => drop(key.as_object_mut().unwrap().remove(&name)),
            value => key[name] = value,
        }
    }
    key
}

fn parse(keys: &[Value]) -> Result<ParsedSet, JwkSetError> {
    parse_set(json!({ "keys": keys }).to_string().as_bytes())
}

/// Why `key` is ignored, read beside a good one.
fn ignored(key: Value) -> IgnoreReason {
    let set = parse(&[okp(), key]).unwrap();
    assert_eq!(set.keys.len(), 1);
    assert_eq!(set.ignored.len(), 1, "{:?}", set.keys);
    assert_eq!(set.ignored[0].index, 1);
    assert!(IgnoreReason::CODES.contains(&set.ignored[0].reason.code()));
    set.ignored[0].reason
}

fn algorithms(key: Value) -> Vec<Algorithm> {
    parse(&[key]).unwrap().keys.iter().next().unwrap().algorithms().iter().collect()
}

#[test]
fn k2_a_symmetric_key_is_ignored_with_an_alarm() {
    let reason = ignored(json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMko" }));
    assert_eq!(reason, IgnoreReason::Symmetric);
    assert!(reason.is_alarm());
}

#[test]
fn k3_keys_for_other_uses_are_ignored() {
    for (members, member) in [
        (json!({ "use": "enc" }), "use"),
        (json!({ "use": 1 }), "use"),
        (json!({ "key_ops": ["sign"] }), "key_ops"),
        (json!({ "key_ops": [] }), "key_ops"),
        (json!({ "key_ops": "verify" }), "key_ops"),
        (json!({ "use": "sig", "key_ops": ["encrypt"] }), "key_ops"),
        (json!({ "use": "sig", "key_ops": ["verify", "encrypt"] }), "key_ops"),
    ] {
        assert_eq!(ignored(with(rsa(), members.clone())), IgnoreReason::Usage(member), "{members}");
    }
    for members in [
        json!({ "use": "sig" }),
        json!({ "key_ops": ["verify"] }),
        json!({ "use": "sig", "key_ops": ["sign", "verify"] }),
    ] {
        assert_eq!(parse(&[with(rsa(), members)]).unwrap().keys.len(), 1);
    }
}

#[test]
fn k4_alg_narrows_and_its_absence_leaves_the_kind() {
    assert_eq!(algorithms(with(rsa(), json!({ "alg": "PS384" }))), [Algorithm::Ps384]);
    assert_eq!(algorithms(rsa()).len(), 6);
    assert_eq!(algorithms(ec()), [Algorithm::Es256]);
    assert_eq!(algorithms(with(okp(), json!({ "alg": "Ed25519" }))), [Algorithm::EdDsa]);
    for (key, alg) in [
        (rsa(), "RSA-OAEP"),
        (rsa(), "ES256"),
        (rsa(), "HS256"),
        (rsa(), "none"),
        (ec(), "ES384"),
        (ec(), "EdDSA"),
    ] {
        assert_eq!(ignored(with(key, json!({ "alg": alg }))), IgnoreReason::Algorithm, "{alg}");
    }
}

#[test]
fn k5_unknown_kinds_and_bad_members_are_ignored_and_the_rest_used() {
    assert_eq!(ignored(json!({ "kty": "XYZ" })), IgnoreReason::KeyType);
    assert_eq!(ignored(with(ec(), json!({ "crv": "secp256k1" }))), IgnoreReason::Curve);
    assert_eq!(ignored(with(ec(), json!({ "crv": "P-521" }))), IgnoreReason::Curve);
    assert_eq!(ignored(with(okp(), json!({ "crv": "X25519" }))), IgnoreReason::Curve);
    assert_eq!(ignored(json!(7)), IgnoreReason::NotAnObject);
    for (key, name, members) in [
        (rsa(), "kty", json!({ "kty": null })),
        (rsa(), "kty", json!({ "kty": 1 })),
        (rsa(), "n", json!({ "n": null })),
        (rsa(), "e", json!({ "e": "AQAB=" })),
        (rsa(), "e", json!({ "e": "AQ AB" })),
        (rsa(), "e", json!({ "e": 65537 })),
        (ec(), "crv", json!({ "crv": null })),
        (ec(), "y", json!({ "y": null })),
        (okp(), "x", json!({ "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp" })),
        (rsa(), "kid", json!({ "kid": 1 })),
        (rsa(), "kid", json!({ "kid": "a\nb" })),
        (rsa(), "kid", json!({ "kid": "k".repeat(257) })),
    ] {
        assert_eq!(ignored(with(key, members)), IgnoreReason::Member(name));
    }
}

#[test]
fn k6_numbers_out_of_bounds_are_ignored() {
    let short = &RSA_N[..340];
    assert!(matches!(
        ignored(with(rsa(), json!({ "n": short }))),
        IgnoreReason::Numbers(PublicKeyError::ModulusTooShort(2040))
    ));
    assert_eq!(
        ignored(with(rsa(), json!({ "e": "AQ" }))),
        IgnoreReason::Numbers(PublicKeyError::Exponent)
    );
    assert_eq!(
        ignored(with(ec(), json!({ "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4" }))),
        IgnoreReason::Numbers(PublicKeyError::NotOnCurve)
    );
    assert_eq!(
        ignored(with(okp(), json!({ "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }))),
        IgnoreReason::Numbers(PublicKeyError::SmallOrder)
    );
}

#[test]
fn k7_private_members_are_an_alarm() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let reason = ignored(with(rsa(), json!({ name: "AQAB" })));
        assert_eq!(reason, IgnoreReason::Private(name));
        assert!(reason.is_alarm());
    }
    assert!(!IgnoreReason::KeyType.is_alarm());
}

#[test]
fn k8_one_kid_for_two_kinds_keeps_both() {
    let set = parse(&[rsa(), with(ec(), json!({ "kid": "r" })), rsa()]).unwrap();
    assert_eq!(set.keys.with_kid("r").len(), 2);
    assert_eq!(set.keys.len(), 2);
}

#[test]
fn k12_a_key_without_kid_is_kept_without_a_name() {
    let set = parse(&[ec()]).unwrap();
    assert_eq!(set.keys.iter().next().unwrap().kid(), None);
}

#[test]
fn k18_ml_dsa_keys_are_ignored_and_the_rest_used() {
    let reason = ignored(json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq" }));
    assert_eq!(reason, IgnoreReason::KeyType);
}

#[test]
fn sets_without_a_usable_key_are_errors() {
    assert_eq!(parse_set(b"<html>").err(), Some(JwkSetError::Json(JsonError::Syntax(0))));
    assert_eq!(parse_set(b"{}").err(), Some(JwkSetError::NoKeysArray));
    assert_eq!(parse_set(b"{\"keys\":{}}").err(), Some(JwkSetError::NoKeysArray));
    assert_eq!(parse(&[]).err(), Some(JwkSetError::Empty));
    let error = parse(&[json!({ "kty": "XYZ", "kid": "a" })]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "none of the 1 keys can be used: keys[0] (kid \"a\"): key type not supported"
    );
    let long = vec![b' '; SET_BYTES_MAX + 1];
    assert_eq!(parse_set(&long).err(), Some(JwkSetError::TooLong(SET_BYTES_MAX + 1)));
}

#[test]
fn many_bad_keys_are_not_all_told_and_a_good_one_after_them_is_used() {
    let mut keys = vec![json!(1); 100_000];
    keys.push(okp());
    let set = parse(&keys).unwrap();
    assert_eq!((set.keys.len(), set.ignored.len()), (1, REASONS_MAX));
}

#[test]
fn a_set_is_at_most_eight_levels_deep() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // In the set, in the array, in the key: five more.
    let set = |levels: usize| {
        let mut key = okp();
        key["x5c"] = serde_json::from_str(&nested(levels)).unwrap();
        parse(&[key])
    };
    assert_eq!(set(5).unwrap().keys.len(), 1);
    assert_eq!(set(6).unwrap_err(), JwkSetError::Json(JsonError::TooDeep));
}

#[test]
fn keys_beyond_the_limit_are_ignored() {
    let keys: Vec<_> =
        (0..=KEYS_MAX).map(|n| with(okp(), json!({ "kid": n.to_string() }))).collect();
    let set = parse(&keys).unwrap();
    assert_eq!(set.keys.len(), KEYS_MAX);
    assert_eq!(set.ignored.len(), 1);
    assert_eq!(set.ignored[0].reason, IgnoreReason::TooMany);
    assert_eq!(set.ignored[0].kid.as_deref(), Some("128"));
}
