//! Keys and signed tokens, made with *ring* alone: nothing of the gateway's own signing is used.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use serde_json::{Value, json};

/// The audience that tokens carry unless told otherwise.
pub const AUDIENCE: &str = "ringgate-tests";
/// The issuer that tokens carry unless told otherwise.
pub const ISSUER: &str = "https://issuer.test/";

/// A private key with its id.
pub struct Key {
    /// Its `kid`.
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Key {
    /// A new P-256 key.
    pub fn p256(kid: &str) -> Self {
        let pair = Self::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self { kid: kid.into(), pair: Pair::P256(pair) }
    }

    /// A new P-384 key.
    pub fn p384(kid: &str) -> Self {
        let pair = Self::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING);
        Self { kid: kid.into(), pair: Pair::P384(pair) }
    }

    fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
    }

    /// A new Ed25519 key.
    pub fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { kid: kid.into(), pair: Pair::Ed25519(pair) }
    }

    /// The 2048-bit RSA key of the fixtures; *ring* cannot make one.
    pub fn rsa(kid: &str) -> Self {
        Self::rsa_from("rsa-2048-test-only.pem", kid)
    }

    /// Another RSA key, for a signature by the wrong one.
    pub fn other_rsa(kid: &str) -> Self {
        Self::rsa_from("rsa-2048-other-test-only.pem", kid)
    }

    fn rsa_from(file: &str, kid: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/keys").join(file);
        let pem = std::fs::read_to_string(path).unwrap();
        let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap();
        Self { kid: kid.into(), pair: Pair::Rsa(Box::new(pair)) }
    }

    /// A secret of 64 bytes, all of them this one.
    pub fn secret(kid: &str, byte: u8) -> Self {
        Self::of_secret(kid, &[byte; 64])
    }

    /// A secret of these bytes.
    pub fn of_secret(kid: &str, bytes: &[u8]) -> Self {
        Self { kid: kid.into(), pair: Pair::Secret(bytes.to_vec()) }
    }

    /// The line of a secret in a file of them.
    pub fn secret_line(&self) -> String {
        let Pair::Secret(bytes) = &self.pair else { panic!("no secret") };
        format!("{} {}\n", self.kid, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Its public half as a JWK, or the whole of a secret. No `alg`: the key type decides.
    pub fn jwk(&self) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let ec = |curve: &str, pair: &EcdsaKeyPair| {
            // An uncompressed point: 4, then both coordinates.
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y) })
        };
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": b64(&public.n), "e": b64(&public.e) })
            }
            Pair::P256(pair) => ec("P-256", pair),
            Pair::P384(pair) => ec("P-384", pair),
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref()) })
            }
            Pair::Secret(bytes) => json!({ "kty": "oct", "k": b64(bytes) }),
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The algorithm that tokens signed with it name, unless told otherwise.
    fn usual_algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::P384(_) => "ES384",
            Pair::Ed25519(_) => "EdDSA",
            Pair::Secret(_) => "HS256",
        }
    }

    /// A token of exactly this header and payload, signed by the usual algorithm.
    pub fn sign_text(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let b64 = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", b64(header.as_ref()), b64(payload.as_ref()));
        let signature = self.sign(self.usual_algorithm(), signed.as_bytes());
        format!("{signed}.{}", b64(&signature))
    }

    /// Signs; the algorithm's name picks padding and hash where the key leaves a choice.
    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Secret(bytes) => {
                let hash = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, bytes), message).as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A JWK set of these keys.
pub fn jwks(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// A token to be signed. Good for an hour unless told otherwise.
#[derive(Clone)]
pub struct Token {
    header: Value,
    claims: Value,
}

impl Token {
    /// Claims that a provider of the tests believes: its issuer, its audience, an hour.
    pub fn new() -> Self {
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now() - 10, "exp": now() + 3600,
        });
        Self { header: json!({ "typ": "JWT" }), claims }
    }

    /// Sets a claim; `null` takes it out.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Sets a member of the JOSE header; `null` takes it out. `alg` and `kid` come from the key
    /// unless they are set here.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The signed token.
    pub fn sign(mut self, key: &Key) -> String {
        for (name, usual) in [("alg", json!(key.usual_algorithm())), ("kid", json!(key.kid))] {
            if self.header.get(name).is_none() {
                self.header[name] = usual;
            } else if self.header[name].is_null() {
                set(&mut self.header, name, Value::Null);
            }
        }
        let algorithm = self.header["alg"].as_str().unwrap_or_default().to_owned();
        let b64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", b64(&self.header), b64(&self.claims));
        let signature = key.sign(&algorithm, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
}

/// Seconds since the epoch, now.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}
