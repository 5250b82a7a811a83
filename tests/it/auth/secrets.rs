//! K1 and K2: secrets are believed from a local file alone, and never beside public keys.

use std::fs;

use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};
use serde_json::json;

fn believing(upstream: &Upstream, secrets: &[&Key]) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("hmac.key"), secrets);
    let config = Config::protecting(upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "secret_file": "hmac.key" }))
        .set("jwt.providers.tests.algorithms", json!(["HS256", "HS512"]));
    Gateway::start_in(directory, &config)
}

/// As tools that replace secrets do it: renamed over the old file.
fn write(path: &std::path::Path, secrets: &[&Key]) {
    let next = path.with_extension("next");
    fs::write(&next, secrets.iter().map(|key| key.secret_line()).collect::<String>()).unwrap();
    fs::rename(next, path).unwrap();
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.client().get_as("/", token).status()
}

#[test]
fn k2_tokens_of_a_shared_secret_are_believed() {
    let upstream = Upstream::saying("x");
    let (ours, theirs) = (Key::secret("k", 1), Key::secret("k", 2));
    let gateway = believing(&upstream, &[&ours]);
    for algorithm in ["HS256", "HS512"] {
        let token = |key: &Key| Token::new().header("alg", algorithm).sign(key);
        assert_eq!(status(&gateway, &token(&ours)), 200, "{algorithm}");
        assert_eq!(status(&gateway, &token(&theirs)), 401, "{algorithm}");
    }
    let off_the_list = Token::new().header("alg", "HS384").sign(&ours);
    assert_eq!(status(&gateway, &off_the_list), 401);
    let without_kid = Token::new().header("kid", json!(null)).sign(&ours);
    assert_eq!(status(&gateway, &without_kid), 200);
    for alg in ["none", "RS256", "ES256", "EdDSA"] {
        assert_eq!(status(&gateway, &Token::new().header("alg", alg).sign(&ours)), 401, "{alg}");
    }
}

#[test]
fn k2_a_secret_is_replaced_while_the_gateway_runs() {
    let upstream = Upstream::saying("x");
    let (old, new) = (Key::secret("old", 1), Key::secret("new", 2));
    let gateway = believing(&upstream, &[&old]);
    let (old_token, new_token) = (Token::new().sign(&old), Token::new().sign(&new));
    assert_eq!(status(&gateway, &old_token), 200);
    let wait_for = |token: &str, wanted: u16| {
        wait_until("the secrets to be read", || (status(&gateway, token) == wanted).then_some(()));
    };
    write(&gateway.path("hmac.key"), &[&old, &new]);
    wait_for(&new_token, 200);
    assert_eq!(status(&gateway, &old_token), 200, "there still");
    // A file that is no good changes nothing.
    fs::write(gateway.path("hmac.key"), "short AAAA\n").unwrap();
    gateway.wait_for_line(&["hmac.key", "line 1: 3 bytes"]);
    assert_eq!((status(&gateway, &old_token), status(&gateway, &new_token)), (200, 200));
    write(&gateway.path("hmac.key"), &[&new]);
    wait_for(&old_token, 401);
    assert_eq!(status(&gateway, &new_token), 200);
    let written = gateway.stdout() + &gateway.stderr();
    for key in [&old, &new] {
        let line = key.secret_line();
        let secret = line.trim().split(' ').next_back().unwrap();
        assert!(!written.contains(secret), "a secret is in the log");
    }
}

#[test]
fn k2_a_symmetric_key_in_a_key_set_is_never_believed() {
    let (upstream, secret) = (Upstream::saying("x"), Key::secret("s", 1));
    let public = Key::p256("k");
    let directory = tempfile::tempdir().unwrap();
    let set = json!({ "keys": [secret.jwk(), public.jwk()] });
    fs::write(directory.path().join("keys.jwks"), set.to_string()).unwrap();
    for jwks in [json!({ "inline": set }), json!({ "file": directory.path().join("keys.jwks") })] {
        let config = Config::protecting(&upstream, &[]).set("jwt.providers.tests.jwks", jwks);
        let gateway = Gateway::start(&config);
        assert_eq!(status(&gateway, &Token::new().sign(&public)), 200);
        assert_eq!(status(&gateway, &Token::new().sign(&secret)), 401);
        gateway.wait_for_line(&["symmetric key"]);
    }
}

#[test]
fn k2_a_symmetric_key_of_a_remote_set_is_never_believed() {
    let (upstream, secret) = (Upstream::saying("x"), Key::secret("s", 1));
    let public = Key::p256("k");
    let issuer = Issuer::serving(&[&secret, &public]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    let token = Token::new().sign(&public);
    wait_until("the keys", || (status(&gateway, &token) == 200).then_some(()));
    assert_eq!(status(&gateway, &Token::new().sign(&secret)), 401);
    gateway.wait_for_line(&["key set changed", "symmetric key"]);
}

#[test]
fn k1_a_public_key_is_no_secret() {
    let upstream = Upstream::saying("x");
    let key = Key::rsa("k");
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let modulus = key.jwk()["n"].as_str().unwrap().to_owned();
    for bytes in [modulus.into_bytes(), key.jwk().to_string().into_bytes()] {
        let confused = Key::of_secret("k", &bytes);
        assert_eq!(status(&gateway, &Token::new().sign(&confused)), 401);
    }
    assert_eq!(status(&gateway, &Token::new().sign(&key)), 200);
}
