//! Private keys that sign tokens for tests and demonstrations, read from JWK or PKCS#8 PEM.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::{KeyRejected, Unspecified};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::new_key::NewKey;
use crate::snapshot::key_set::Algorithm;

/// A private key with the algorithm it signs by and its name.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: Option<String>,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read.
    #[error("cannot read the key: {0}")]
    Read(#[from] std::io::Error),
    /// Neither a JWK nor a PEM.
    #[error("neither a private JWK nor a PKCS#8 PEM")]
    Format,
    /// A JWK without a member that its type needs.
    #[error("member {0} of the JWK is missing or malformed")]
    Member(&'static str),
    /// A key that is for another algorithm than the one asked for.
    #[error("the key is not for {0}")]
    Algorithm(&'static str),
    /// The cryptography refuses the numbers.
    #[error("unusable key: {0}")]
    Rejected(KeyRejected),
    /// The cryptography refuses, and does not say why.
    #[error("unusable key, or no random numbers")]
    Unusable,
}

impl From<KeyRejected> for SigningKeyError {
    fn from(rejected: KeyRejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Unspecified> for SigningKeyError {
    fn from(_: Unspecified) -> Self {
        Self::Unusable
    }
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn generate(algorithm: Algorithm, kid: &str) -> Result<Self, SigningKeyError> {
        Self::from_jwk(NewKey::generate(algorithm, Some(kid))?.jwk())
    }

    /// Reads a private JWK or a PKCS#8 PEM. `kid` and `algorithm` stand in for what the file does
    /// not say, and win where it says something else.
    ///
    /// # Errors
    /// When the file is neither, or not for the algorithm.
    pub fn from_file(
        path: &Path,
        kid: Option<&str>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, SigningKeyError> {
        let text = std::fs::read(path)?;
        let mut key = match serde_json::from_slice::<Value>(&text) {
            Ok(mut jwk) => {
                if let Some(algorithm) = algorithm {
                    jwk["alg"] = algorithm.name().into();
                }
                Self::from_jwk(&jwk)?
            }
            Err(_) => Self::from_pem(&text, algorithm)?,
        };
        if let Some(kid) = kid {
            key.kid = Some(kid.into());
        }
        Ok(key)
    }

    /// Takes a private JWK. Without `alg`, an RSA key signs by RS256.
    ///
    /// # Errors
    /// When a member is missing or the numbers make no key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, SigningKeyError> {
        let algorithm =
            match jwk.get("alg").map(|name| name.as_str().and_then(Algorithm::from_name)) {
                None => None,
                Some(None) => return Err(SigningKeyError::Member("alg")),
                Some(algorithm) => algorithm,
            };
        let pair = match text(jwk, "kty")? {
            "RSA" => Pair::Rsa(rsa(jwk)?),
            "EC" => Pair::Ecdsa(ecdsa(jwk)?),
            "OKP" => Pair::Ed25519(Ed25519KeyPair::from_seed_and_public_key(
                &bytes(jwk, "d")?,
                &bytes(jwk, "x")?,
            )?),
            _ => return Err(SigningKeyError::Member("kty")),
        };
        let kid = jwk.get("kid").and_then(Value::as_str).map(Into::into);
        Ok(Self { algorithm: pair.algorithm(algorithm)?, kid, pair })
    }

    fn from_pem(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Self, SigningKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SigningKeyError::Format)?;
        let der = der.secret_pkcs8_der();
        let random = SystemRandom::new();
        let ecdsa = |curve| EcdsaKeyPair::from_pkcs8(curve, der, &random).map(Pair::Ecdsa);
        let pair = RsaKeyPair::from_pkcs8(der)
            .map(Pair::Rsa)
            .or_else(|_| ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING))
            .or_else(|_| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING))
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519))?;
        Ok(Self { algorithm: pair.algorithm(algorithm)?, kid: None, pair })
    }

    /// What it signs by.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The public half, as a member of a JWK set's `keys`.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({ "kty": "RSA", "n": encoded(&public.n), "e": encoded(&public.e) })
            }
            Pair::Ecdsa(pair) => {
                let coordinates = &pair.public_key().as_ref()[1..];
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref()) })
            }
        };
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        if let Some(kid) = &self.kid {
            jwk["kid"] = kid.as_str().into();
        }
        jwk
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        self.sign_text(header.to_string(), claims.to_string())
    }

    /// A token of exactly this header and payload, whatever they say: for testing what a verifier
    /// makes of it.
    #[must_use]
    pub fn sign_text(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn signature(&self, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(rsa_encoding(self.algorithm), &random, signed, &mut out)
                    .expect("the buffer fits the key, and Linux has random numbers");
                out
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, signed).expect("Linux has random numbers");
                signature.as_ref().into()
            }
            Pair::Ed25519(pair) => pair.sign(signed).as_ref().into(),
        }
    }
}

impl Pair {
    /// The algorithm to sign by: the one asked for, if it is of the key's kind, or the usual one.
    fn algorithm(&self, wanted: Option<Algorithm>) -> Result<Algorithm, SigningKeyError> {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let possible: &[Algorithm] = match self {
            Self::Rsa(_) => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            Self::Ecdsa(pair) if pair.public_key().as_ref().len() == 65 => &[Es256],
            Self::Ecdsa(_) => &[Es384],
            Self::Ed25519(_) => &[EdDsa],
        };
        let wanted = wanted.unwrap_or(possible[0]);
        let fits = possible.contains(&wanted);
        if fits { Ok(wanted) } else { Err(SigningKeyError::Algorithm(wanted.name())) }
    }
}

/// Elliptic curves have their algorithm in the key; only RSA keys ask.
fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
        Algorithm::Rs256
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => &signature::RSA_PKCS1_SHA256,
    }
}

fn rsa(jwk: &Value) -> Result<RsaKeyPair, SigningKeyError> {
    Ok(RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: bytes(jwk, "n")?, e: bytes(jwk, "e")? },
        d: bytes(jwk, "d")?,
        p: bytes(jwk, "p")?,
        q: bytes(jwk, "q")?,
        dP: bytes(jwk, "dp")?,
        dQ: bytes(jwk, "dq")?,
        qInv: bytes(jwk, "qi")?,
    })?)
}

fn ecdsa(jwk: &Value) -> Result<EcdsaKeyPair, SigningKeyError> {
    let curve = match text(jwk, "crv")? {
        "P-256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
        "P-384" => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => return Err(SigningKeyError::Member("crv")),
    };
    let point = [vec![4], bytes(jwk, "x")?, bytes(jwk, "y")?].concat();
    let random = SystemRandom::new();
    Ok(EcdsaKeyPair::from_private_key_and_public_key(curve, &bytes(jwk, "d")?, &point, &random)?)
}

fn text<'j>(jwk: &'j Value, name: &'static str) -> Result<&'j str, SigningKeyError> {
    jwk.get(name).and_then(Value::as_str).ok_or(SigningKeyError::Member(name))
}

fn bytes(jwk: &Value, name: &'static str) -> Result<Vec<u8>, SigningKeyError> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| SigningKeyError::Member(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::explain_signature;
    use crate::control::jwks::parse::parse_set;
    use crate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};

    /// Whether the gateway's own parser and verifier take the key's token.
    fn verifies(key: &SigningKey) -> bool {
        let set = json!({ "keys": [key.public_jwk()] });
        let provider = Provider {
            name: "p".into(),
            issuer: Issuer::Any,
            audiences: Audiences::Any,
            algorithms: vec![key.algorithm()],
            leeway: std::time::Duration::ZERO,
            require_exp: false,
            token_bytes_max: 8192,
            forward_token: false,
            claim_headers: Vec::new(),
            checks: TokenChecks::default(),
            key_tries_max: Provider::KEY_TRIES_DEFAULT,
            unknown_kid_wait: None,
            keys: Some(parse_set(set.to_string().as_bytes()).unwrap().keys.into()),
        };
        let token = key.sign(&json!({ "sub": "alice" }));
        explain_signature(token.as_bytes(), &provider).verdict.is_ok()
    }

    #[test]
    fn generated_keys_sign_and_survive_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for algorithm in [Algorithm::Ps384, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
            let new = NewKey::generate(algorithm, Some("k")).unwrap();
            let from_jwk = SigningKey::from_jwk(new.jwk()).unwrap();
            assert!(verifies(&from_jwk), "{algorithm:?}");
            assert_eq!(from_jwk.kid(), Some("k"));
            std::fs::write(&path, new.pem()).unwrap();
            let from_pem = SigningKey::from_file(&path, Some("k"), Some(algorithm)).unwrap();
            assert!(verifies(&from_pem), "{algorithm:?}");
            assert_eq!(from_pem.public_jwk(), from_jwk.public_jwk());
            std::fs::write(&path, new.jwk().to_string()).unwrap();
            let from_file = SigningKey::from_file(&path, Some("other"), None).unwrap();
            assert_eq!(from_file.kid(), Some("other"));
        }
    }

    #[test]
    fn a_key_signs_by_algorithms_of_its_kind_only() {
        let mut jwk = NewKey::generate(Algorithm::EdDsa, None).unwrap().jwk().clone();
        jwk["alg"] = "RS256".into();
        assert!(matches!(SigningKey::from_jwk(&jwk), Err(SigningKeyError::Algorithm("RS256"))));
        jwk["alg"] = "none".into();
        assert!(matches!(SigningKey::from_jwk(&jwk), Err(SigningKeyError::Member("alg"))));
    }
}
