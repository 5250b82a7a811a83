//! What reading a claims set costs: our reader beside serde_json into a type of the registered claims.
//!
//! serde_json's derived type refuses a second registered claim, and overlooks one of any other name;
//! ours keeps every claim for rules and headers, and refuses each second one at any depth.

use std::hint::black_box;

use divan::{AllocProfiler, Bencher};
use ringgate::auth::json::{Document, Value};
use serde::Deserialize;
use serde_json::json;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// The claims of RFC 7519 section 4.1 and the scope.
#[derive(Deserialize)]
struct Registered {
    iss: String,
    aud: Vec<String>,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
    scope: Option<String>,
}

/// An access token's claims as large issuers write them, about 350 bytes.
fn payload() -> Vec<u8> {
    let claims = json!({
        "iss": "https://login.example.com/", "aud": ["orders"], "sub": "0f8fad5b-d9cb-469f",
        "exp": 1_700_000_600, "iat": 1_700_000_000, "jti": "7d3b4f0a-6c1e-4a53-9df1-8c2a5b7e1d90",
        "scope": "openid profile orders:read orders:write", "azp": "web-shop",
        "name": "Alice Example", "email": "alice@example.com", "roles": ["a", "b", "c"],
    });
    claims.to_string().into_bytes()
}

/// Read, and the claims looked up that every token is judged by.
#[divan::bench]
fn ours(bencher: Bencher) {
    let payload = payload();
    bencher.bench_local(|| {
        let document = Document::parse(black_box(&payload)).expect("claims");
        let root = document.root();
        for name in ["iss", "aud", "exp", "nbf", "iat"] {
            black_box(root.get(name));
        }
        assert!(matches!(root.get("sub"), Some(Value::String(_))));
    });
}

#[divan::bench]
fn serde_json_registered(bencher: Bencher) {
    let payload = payload();
    bencher.bench_local(|| {
        let claims: Registered = serde_json::from_slice(black_box(&payload)).expect("claims");
        let Registered { iss, aud, sub, exp, nbf, iat, jti, scope } = &claims;
        black_box((iss, aud, sub, exp, nbf, iat, jti, scope));
    });
}

/// Every claim kept, as ours does.
#[divan::bench]
fn serde_json_value(bencher: Bencher) {
    let payload = payload();
    bencher.bench_local(|| {
        let claims: serde_json::Value =
            serde_json::from_slice(black_box(&payload)).expect("claims");
        black_box(&claims["sub"]);
    });
}
