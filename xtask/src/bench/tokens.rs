//! One RSA key and 1,000 tokens signed with it, made anew for each run.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::{Value, json};

use crate::process;

pub(super) const ISSUER: &str = "https://issuer.example/";
pub(super) const AUDIENCE: &str = "bench";
const COUNT: usize = 1000;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The tokens, and the key in each contender's form.
pub(super) struct Set {
    /// One token a line.
    pub(super) list: PathBuf,
    /// PEM, for haproxy.
    pub(super) public_key: PathBuf,
    /// For ringgate.
    pub(super) jwks: Value,
    /// The first token.
    token: String,
}

impl Set {
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let (private, der) = (folder.join("private.pem"), folder.join("private.der"));
        let (public_key, list) = (folder.join("public.pem"), folder.join("tokens"));
        openssl(&["genpkey", "-quiet", "-algorithm", "RSA", "-out"], &private)?;
        let input = private.to_str().context("the folder's path is not UTF-8")?;
        // genpkey itself writes PKCS#8 as PEM, but PKCS#1 as DER.
        openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", input, "-outform", "DER", "-out"], &der)?;
        openssl(&["pkey", "-in", input, "-pubout", "-out"], &public_key)?;
        let pair = KeyPair::from_pkcs8(&fs::read(&der)?).map_err(|e| anyhow!("key: {e}"))?;
        let expiry = (SystemTime::now() + LIFETIME).duration_since(UNIX_EPOCH)?.as_secs();
        let tokens =
            (0..COUNT).map(|subject| sign(&pair, subject, expiry)).collect::<Result<Vec<_>>>()?;
        fs::write(&list, tokens.join("\n"))?;
        let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        let key =
            json!({ "kty": "RSA", "kid": "bench", "use": "sig", "alg": "RS256", "n": n, "e": e });
        Ok(Self { list, public_key, jwks: json!({ "keys": [key] }), token: tokens[0].clone() })
    }
}

fn openssl(arguments: &[&str], output: &Path) -> Result<()> {
    process::output(Command::new("openssl").args(arguments).arg(output)).map(drop)
}

fn sign(pair: &KeyPair, subject: usize, expiry: u64) -> Result<String> {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "bench" });
    let claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": format!("user-{subject}"),
        "exp": expiry,
        "scope": "orders:read orders:write profile",
    });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| anyhow!("signing failed"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A good token passes; none, and one with another's signature, do not.
pub(super) fn prove_verification(address: SocketAddr, tokens: &Set) -> Result<()> {
    let (unsigned, signature) = tokens.token.rsplit_once('.').context("a token has dots")?;
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{unsigned}.{first}{}", &signature[1..]);
    let field = |token: &str| format!("Authorization: Bearer {token}\r\n");
    expect(address, &field(&tokens.token), "200")?;
    expect(address, "", "401")?;
    expect(address, &field(&forged), "401")
}

fn expect(address: SocketAddr, field: &str, status: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    let request = format!("GET / HTTP/1.1\r\nHost: bench\r\n{field}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    match reply.split(' ').nth(1) {
        Some(found) if found == status => Ok(()),
        found => bail!("expected {status}, found {}", found.unwrap_or("no reply")),
    }
}
