//! Each algorithm verifies with its key and with no other.

use crate::harness::{Config, Gateway, Key, Token, Upstream};
use serde_json::json;

const ALL: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/// The key for an algorithm among one of each type.
fn key_for<'k>(algorithm: &str, keys: &'k [Key; 4]) -> &'k Key {
    match algorithm {
        "ES256" => &keys[1],
        "ES384" => &keys[2],
        "EdDSA" | "Ed25519" => &keys[3],
        _ => &keys[0],
    }
}

fn keys() -> [Key; 4] {
    [Key::rsa("rsa"), Key::p256("p256"), Key::p384("p384"), Key::ed25519("ed25519")]
}

fn protecting(upstream: &Upstream, keys: &[Key; 4]) -> Config {
    Config::protecting(upstream, &keys.each_ref())
        .set("jwt.providers.tests.algorithms", json!(ALL[..9]))
}

#[test]
fn k4_k17_every_algorithm_verifies() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(&protecting(&upstream, &keys));
    let mut client = gateway.client();
    for algorithm in ALL {
        let token = Token::new().header("alg", algorithm).sign(key_for(algorithm, &keys));
        // Twice: the second comes from the token cache.
        assert_eq!(client.get_as("/", &token).status(), 200, "{algorithm}");
        assert_eq!(client.get_as("/", &token).status(), 200, "{algorithm} again");
    }
}

#[test]
fn a_changed_signature_or_payload_is_refused() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(&protecting(&upstream, &keys));
    let mut client = gateway.client();
    for algorithm in ALL {
        let token = Token::new().header("alg", algorithm).sign(key_for(algorithm, &keys));
        let parts: Vec<&str> = token.split('.').collect();
        let other = Token::new().claim("sub", "mallory").sign(key_for(algorithm, &keys));
        let payload = other.split('.').nth(1).unwrap();
        // A byte in the middle: the last one may hold bits that are no part of the signature.
        let mut signature = parts[2].as_bytes().to_vec();
        let middle = signature.len() / 2;
        signature[middle] = if signature[middle] == b'A' { b'B' } else { b'A' };
        let signature = String::from_utf8(signature).unwrap();
        for bad in [
            format!("{}.{}.{signature}", parts[0], parts[1]),
            format!("{}.{payload}.{}", parts[0], parts[2]),
        ] {
            let response = client.get_as("/", &bad);
            assert_eq!(response.status(), 401, "{algorithm}: {bad}");
        }
        assert_eq!(client.get_as("/", &token).status(), 200, "{algorithm}: the good one passes");
    }
}

#[test]
fn k1_k4_the_key_decides_the_algorithm() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(&protecting(&upstream, &keys));
    let mut client = gateway.client();
    // A good ES256 signature under the kid of the RSA key, and the other way round.
    let token = Token::new().header("kid", "rsa").sign(&keys[1]);
    assert_eq!(client.get_as("/", &token).status(), 401);
    let token = Token::new().header("kid", "p256").header("alg", "RS256").sign(&keys[0]);
    assert_eq!(client.get_as("/", &token).status(), 401);
}

#[test]
fn j7_an_algorithm_off_the_list_is_refused() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(
        &protecting(&upstream, &keys).set("jwt.providers.tests.algorithms", json!(["RS256"])),
    );
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &Token::new().sign(&keys[0])).status(), 200);
    for token in [
        Token::new().header("alg", "RS384").sign(&keys[0]),
        Token::new().header("alg", "PS256").sign(&keys[0]),
        Token::new().sign(&keys[1]),
        Token::new().sign(&keys[3]),
    ] {
        assert_eq!(client.get_as("/", &token).status(), 401);
    }
}

#[test]
fn j6_names_that_are_no_algorithm_are_refused() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(&protecting(&upstream, &keys));
    let mut client = gateway.client();
    for name in ["none", "None", "nOnE", "rs256", "HS256", "ES512", "ES256K", "", "RS256 "] {
        let token = Token::new().header("alg", name).sign(&keys[0]);
        assert_eq!(client.get_as("/", &token).status(), 401, "{name:?}");
    }
    for alg in [json!(null), json!(1), json!(["RS256"])] {
        let token = Token::new().header("alg", alg.clone()).sign(&keys[0]);
        assert_eq!(client.get_as("/", &token).status(), 401, "{alg}");
    }
    let unsigned = Token::new().header("alg", "none").sign(&keys[0]);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    assert_eq!(client.get_as("/", &format!("{unsigned}.")).status(), 401);
}

#[test]
fn a_key_with_the_same_id_but_another_value_does_not_verify() {
    let upstream = Upstream::saying("x");
    let (ours, theirs) = (Key::rsa("k"), Key::other_rsa("k"));
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&ours]));
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &Token::new().sign(&theirs)).status(), 401);
    assert_eq!(client.get_as("/", &Token::new().sign(&ours)).status(), 200);
}

#[test]
fn k10_k11_an_unknown_kid_is_refused_and_a_missing_one_tries_the_keys() {
    let (upstream, keys) = (Upstream::saying("x"), keys());
    let gateway = Gateway::start(&protecting(&upstream, &keys));
    let mut client = gateway.client();
    let unknown = Token::new().header("kid", "no-such-key").sign(&keys[1]);
    assert_eq!(client.get_as("/", &unknown).status(), 401);
    let missing = Token::new().header("kid", json!(null)).sign(&keys[1]);
    assert_eq!(client.get_as("/", &missing).status(), 200);
}

#[test]
fn k10_more_keys_than_max_keyless_tries_are_not_tried() {
    let (upstream, first, second) = (Upstream::saying("x"), Key::p256("a"), Key::p256("b"));
    let config = Config::protecting(&upstream, &[&first, &second]);
    let missing = Token::new().header("kid", json!(null)).sign(&second);
    for (tries, status) in [(1, 401), (2, 200)] {
        let config = config.clone().set("jwt.providers.tests.max_keyless_tries", tries);
        let gateway = Gateway::start(&config);
        assert_eq!(gateway.client().get_as("/", &missing).status(), status, "{tries}");
        assert_eq!(gateway.client().get_as("/", &Token::new().sign(&second)).status(), 200);
    }
}

#[test]
fn k3_k5_k18_a_key_set_with_unusable_keys_serves_with_the_others() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("good"));
    let mut encryption = Key::rsa("enc").jwk();
    encryption["use"] = json!("enc");
    let config = Config::protecting(&upstream, &[&key]).set(
        "jwt.providers.tests.jwks.inline",
        json!({ "keys": [
            { "kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AA" },
            { "kty": "EC", "crv": "secp256k1", "kid": "btc", "x": "AA", "y": "AA" },
            encryption,
            key.jwk(),
        ]}),
    );
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &Token::new().sign(&key)).status(), 200);
    assert_eq!(client.get_as("/", &Token::new().sign(&Key::rsa("enc"))).status(), 401);
}
