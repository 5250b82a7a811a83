//! Keys, and tokens signed with them, made anew for each run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use crate::process;

pub(super) const ISSUER: &str = "https://issuer.example/";
pub(super) const AUDIENCE: &str = "bench";
/// What the caches of the contenders hold: ringgate's default, told to Envoy's.
pub(super) const CACHE_ENTRIES: usize = 10_000;
/// Tokens that take turns: enough that each has left every cache, which forget the oldest, when its
/// turn comes again.
pub(super) const FRESH: usize = 16_384;
pub(super) const THOUSAND: usize = 1000;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const KEY_ID: &str = "bench";

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    Eddsa,
}

impl Algorithm {
    /// As `alg` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Eddsa => "EdDSA",
        }
    }

    /// What `openssl genpkey` is told.
    fn generation(self) -> &'static [&'static str] {
        match self {
            Self::Rs256 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Es256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::Eddsa => &["-algorithm", "ED25519"],
        }
    }
}

/// Tokens of one key, and the key in each contender's form.
pub(super) struct Set {
    pub(super) algorithm: Algorithm,
    /// One token a line.
    pub(super) list: PathBuf,
    pub(super) count: usize,
    /// PEM, for haproxy.
    pub(super) public_key: PathBuf,
    /// For the others.
    pub(super) jwks: Value,
    /// The first of the list.
    pub(super) good: String,
    /// What is wrong with each, and the token.
    pub(super) bad: Vec<(&'static str, String)>,
}

impl Set {
    pub(super) fn make(folder: &Path, algorithm: Algorithm, count: usize) -> Result<Self> {
        let file = |suffix: &str| folder.join(format!("{}.{suffix}", algorithm.name()));
        let (private, der) = (file("key"), file("der"));
        let (public_key, list) = (file("pem"), file("tokens"));
        let genpkey = [&["genpkey", "-quiet"], algorithm.generation(), &["-out"]].concat();
        openssl(&genpkey, &private)?;
        let input = private.to_str().context("the folder's path is not UTF-8")?;
        // genpkey itself writes PKCS#8 as PEM, but PKCS#1 as DER.
        openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", input, "-outform", "DER", "-out"], &der)?;
        openssl(&["pkey", "-in", input, "-pubout", "-out"], &public_key)?;
        let signer = Signer::read(algorithm, &fs::read(&der)?)?;
        let claims = Claims::good()?;
        let tokens = signer.sign_all(&claims, count)?;
        fs::write(&list, tokens.join("\n"))?;
        let good = tokens.first().context("at least one token")?.clone();
        let sign = |claims: &Claims| signer.sign(&claims.json(0));
        let bad = vec![
            ("a forged signature", forged(&good)?),
            ("an expiry that is over", sign(&Claims { expiry: 1, ..claims.clone() })?),
            (
                "another issuer",
                sign(&Claims { issuer: "https://other.example/", ..claims.clone() })?,
            ),
            ("another audience", sign(&Claims { audience: "other", ..claims })?),
        ];
        let jwks = json!({ "keys": [signer.jwk()] });
        Ok(Self { algorithm, list, count, public_key, jwks, good, bad })
    }
}

/// Public keys for ES256 that sign nothing.
pub(super) fn other_keys(count: usize) -> Result<Vec<Value>> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = |nth: usize| -> Result<Value> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_| anyhow!("no random numbers"))?;
        let mut key = Signer::read(Algorithm::Es256, pkcs8.as_ref())?.jwk();
        key["kid"] = format!("other-{nth}").into();
        Ok(key)
    };
    (0..count).map(key).collect()
}

fn openssl(arguments: &[&str], output: &Path) -> Result<()> {
    process::output(Command::new("openssl").args(arguments).arg(output)).map(drop)
}

/// The same token with another first character of its signature.
fn forged(token: &str) -> Result<String> {
    let (unsigned, signature) = token.rsplit_once('.').context("a token has dots")?;
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    Ok(format!("{unsigned}.{first}{}", &signature[1..]))
}

#[derive(Clone)]
struct Claims {
    issuer: &'static str,
    audience: &'static str,
    expiry: u64,
}

impl Claims {
    fn good() -> Result<Self> {
        let expiry = (SystemTime::now() + LIFETIME).duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { issuer: ISSUER, audience: AUDIENCE, expiry })
    }

    /// All tokens of a set are of one length.
    fn json(&self, subject: usize) -> Value {
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": format!("user-{subject:06}"),
            "exp": self.expiry,
            "scope": "orders:read orders:write profile",
        })
    }
}

enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self> {
        let random = SystemRandom::new();
        let signer = match algorithm {
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
                    .map(Self::P256)
            }
            // openssl leaves the public key out.
            Algorithm::Eddsa => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::Ed25519)
            }
        };
        signer.map_err(|error| anyhow!("a key of {}: {error}", algorithm.name()))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::Eddsa,
        }
    }

    fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match self {
            Self::Rsa(pair) => {
                let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
                json!({ "kty": "RSA", "n": encode(&public.n), "e": encode(&public.e) })
            }
            Self::P256(pair) => {
                // 4, for a point that is not compressed, then both coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        key["kid"] = KEY_ID.into();
        key["use"] = "sig".into();
        key["alg"] = self.algorithm().name().into();
        key
    }

    /// On all cores: RSA takes a millisecond each.
    fn sign_all(&self, claims: &Claims, count: usize) -> Result<Vec<String>> {
        let threads = thread::available_parallelism()?.get();
        let part = count.div_ceil(threads);
        thread::scope(|scope| {
            let parts: Vec<_> = (0..threads)
                .map(|nth| {
                    let subjects = nth * part..count.min((nth + 1) * part);
                    scope.spawn(move || -> Result<Vec<String>> {
                        subjects.map(|subject| self.sign(&claims.json(subject))).collect()
                    })
                })
                .collect();
            let parts = parts.into_iter().map(|part| part.join().expect("no panic"));
            Ok(parts.collect::<Result<Vec<_>>>()?.concat())
        })
    }

    fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": self.algorithm().name(), "typ": "JWT", "kid": KEY_ID });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .map_err(|_| anyhow!("signing failed"))?;
                signature
            }
            Self::P256(pair) => pair
                .sign(&random, signed.as_bytes())
                .map_err(|_| anyhow!("signing failed"))?
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
