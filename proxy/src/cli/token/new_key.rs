//! Fresh private keys, as JWK and as PKCS#8.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use rsa::Generate;
use rsa::pkcs8::EncodePrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use serde_json::{Value, json};

use super::signing_key::SigningKeyError;
use crate::snapshot::key_set::Algorithm;

/// A private key that did not exist before. Neither form is ever logged.
pub struct NewKey {
    jwk: Value,
    pkcs8: Vec<u8>,
}

impl NewKey {
    /// Makes a key for `algorithm`; RSA keys have 2048 bits.
    ///
    /// # Errors
    /// When the system has no random numbers to give, or the algorithm's key is no pair.
    pub fn generate(algorithm: Algorithm, kid: Option<&str>) -> Result<Self, SigningKeyError> {
        let mut new = match algorithm {
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", 36..68),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", 35..83),
            Algorithm::EdDsa => ed25519(),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => rsa(),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Err(SigningKeyError::Algorithm(algorithm.name()))
            }
        }?;
        new.jwk["alg"] = algorithm.name().into();
        new.jwk["use"] = "sig".into();
        if let Some(kid) = kid {
            new.jwk["kid"] = kid.into();
        }
        Ok(new)
    }

    /// The private JWK.
    #[must_use]
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The PKCS#8 form, in PEM; it has neither `kid` nor `alg`.
    #[must_use]
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.pkcs8);
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        pem
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> Value {
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// `private` is where the private number lies in the document: ring writes a fixed template in
/// front of it.
fn ecdsa(
    curve: &'static EcdsaSigningAlgorithm,
    name: &str,
    private: std::ops::Range<usize>,
) -> Result<NewKey, SigningKeyError> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(curve, &random)?;
    let pair = EcdsaKeyPair::from_pkcs8(curve, document.as_ref(), &random)?;
    let coordinates = &pair.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let d = document.as_ref().get(private).ok_or(SigningKeyError::Unusable)?;
    let jwk =
        json!({ "kty": "EC", "crv": name, "x": encoded(x), "y": encoded(y), "d": encoded(d) });
    Ok(NewKey { jwk, pkcs8: document.as_ref().into() })
}

fn ed25519() -> Result<NewKey, SigningKeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())?;
    let seed = document.as_ref().get(16..48).ok_or(SigningKeyError::Unusable)?;
    let x = encoded(pair.public_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "d": encoded(seed) });
    Ok(NewKey { jwk, pkcs8: document.as_ref().into() })
}

fn rsa() -> Result<NewKey, SigningKeyError> {
    let fresh = rsa::PrivateKey::try_generate().map_err(|_| SigningKeyError::Unusable)?;
    let primes = fresh.primes();
    let (first, second) = match primes {
        [first, second] => (first.as_ref().clone(), second.as_ref().clone()),
        _ => return Err(SigningKeyError::Unusable),
    };
    // ring asks for the larger prime first.
    let (p, q) = if first > second { (first, second) } else { (second, first) };
    let mut key = rsa::PrivateKey::from_p_q(p, q, fresh.e().clone())
        .map_err(|_| SigningKeyError::Unusable)?;
    key.precompute().map_err(|_| SigningKeyError::Unusable)?;
    let number = |value: Option<&rsa::BoxedUint>| {
        value
            .map(|value| encoded(value.to_be_bytes_trimmed_vartime()))
            .ok_or(SigningKeyError::Unusable)
    };
    let jwk = json!({
        "kty": "RSA",
        "n": encoded(key.n_bytes()),
        "e": encoded(key.e_bytes()),
        "d": number(Some(key.d()))?,
        "p": number(key.primes().first().map(AsRef::as_ref))?,
        "q": number(key.primes().get(1).map(AsRef::as_ref))?,
        "dp": number(key.dp())?,
        "dq": number(key.dq())?,
        "qi": number(key.crt_coefficient().as_ref())?,
    });
    let document = key.to_pkcs8_der().map_err(|_| SigningKeyError::Unusable)?;
    Ok(NewKey { jwk, pkcs8: document.as_bytes().into() })
}
