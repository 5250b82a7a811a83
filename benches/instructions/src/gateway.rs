//! The snapshot, the request and the response that the steps work on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use ringgate::auth::UnixTime;
use ringgate::cli::token::SigningKey;
use ringgate::control::certificates::TlsServices;
use ringgate::control::compile::{Inputs, compile};
use ringgate::control::config;
use ringgate::snapshot::Snapshot;
use ringgate::snapshot::ids::Generation;
use ringgate::snapshot::key_set::Algorithm;
use ringgate::telemetry::counters::Registry;
use serde_json::json;

const ROUTES: usize = 100;
const NOW: i64 = 1_700_000_000;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: upstream\r\n\
    Date: Mon, 23 Nov 2026 21:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 128\r\n\
    Cache-Control: no-store\r\n\
    Connection: keep-alive\r\n\r\n";

pub(crate) struct Gateway {
    pub(crate) snapshot: Snapshot,
    pub(crate) now: UnixTime,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

impl Gateway {
    /// A hundred protected routes, and a browser's request with a token for one of them.
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(Algorithm::EdDsa, "key-1").expect("random numbers");
        let routes: Vec<_> = (0..ROUTES)
            .map(|nth| {
                json!({
                    "match": { "path_prefix": format!("/team-{}/service-{nth}/", nth % 32) },
                    "jwt": { "providers": ["corp"] },
                    "upstream": "app",
                })
            })
            .collect();
        let text = json!({
            "listeners": [{ "name": "bench", "address": "127.0.0.1:0" }],
            "jwt": { "providers": { "corp": {
                "issuer": "https://login.example.com/",
                "audiences": ["orders"],
                "algorithms": ["EdDSA"],
                "jwks": { "inline": { "keys": [key.public_jwk()] } },
            } } },
            "upstreams": { "app": { "endpoints": ["127.0.0.1:1"] } },
            "routes": routes,
        });
        let config = config::parse(&text.to_string(), Path::new("bench.json")).expect("good");
        let (keys, addresses) = (HashMap::new(), HashMap::new());
        let inputs = Inputs {
            tls: &TlsServices::default(),
            generation: Generation(1),
            verdicts: Generation(1),
            deny_list: &Arc::default(),
            workers: 1,
            keys: &keys,
            addresses: &addresses,
        };
        let snapshot = compile(&config, &inputs, &mut Registry::default()).expect("free cells");
        let now = UnixTime(NOW);
        Self { snapshot, now, request: request(&key), response: RESPONSE.to_vec() }
    }
}

/// Ten fields, among them a token of 11 claims.
fn request(key: &SigningKey) -> Vec<u8> {
    let token = key.sign(&json!({
        "iss": "https://login.example.com/", "aud": ["orders"], "sub": "0f8fad5b-d9cb-469f",
        "exp": NOW + 600, "iat": NOW, "jti": "7d3b4f0a-6c1e-4a53-9df1-8c2a5b7e1d90",
        "scope": "openid profile orders:read orders:write", "azp": "web-shop",
        "name": "Alice Example", "email": "alice@example.com", "roles": ["a", "b", "c"],
    }));
    format!(
        "GET /team-3/service-99/2026/11/0001?expand=items&page=2 HTTP/1.1\r\n\
         Host: api.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: application/json, text/plain, */*\r\n\
         Accept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Authorization: Bearer {token}\r\n\
         Referer: https://app.example.com/orders\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef\r\n\
         Connection: keep-alive\r\n\
         X-Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n\r\n"
    )
    .into_bytes()
}
