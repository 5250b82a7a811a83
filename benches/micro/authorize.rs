//! What the verdict on a request costs: its token in the cache or not, beside ring's own verification.
//!
//! The allocation columns show that a hit allocates nothing. The table at the end has misses and
//! ring's verifications in turn, so that what disturbs the machine disturbs both.
#![allow(clippy::print_stdout, reason = "a bench reports")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{AllocProfiler, Bencher};
use ringgate::auth::{Authorization, Criteria, Presented, TokenCache, UnixTime, always, authorize};
use ringgate::cli::token::SigningKey;
use ringgate::control::jwks::parse::parse_set;
use ringgate::http1::Field;
use ringgate::snapshot::answers::Answers;
use ringgate::snapshot::claims_policy::{
    AuthPolicy, ClaimPath, Condition, EndWithToken, Matcher, Mode, Requirement, Scalar,
};
use ringgate::snapshot::credentials::Credentials;
use ringgate::snapshot::deny_list::DenyList;
use ringgate::snapshot::ids::{Generation, ProviderId};
use ringgate::snapshot::key_set::Algorithm;
use ringgate::snapshot::provider::{
    Audiences, ClaimEncoding, ClaimHeader, Issuer, Provider, TokenChecks,
};
use serde_json::json;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Es384];
const NOW: UnixTime = UnixTime(1_700_000_000);

/// Turns of the table.
const TURNS: usize = 5_000;

fn main() {
    divan::main();
    // Whoever names a bench wants that alone.
    if std::env::args().skip(1).eq(["--bench"]) {
        print_turns();
    }
}

/// What a miss costs beyond ring's verification: by the least of each, and in the median turn.
fn print_turns() {
    println!("ns       | {:>8} | {:>8} | {:>8} | {:>8}", "miss", "ring", "beyond", "median");
    for algorithm in ALGORITHMS {
        let case = Case::new(algorithm);
        let (mut cache, fields) = (TokenCache::new(0), case.fields());
        let ring = case.ring();
        let mut turns: Vec<(u128, u128)> = (0..TURNS)
            .map(|_| {
                let begin = Instant::now();
                black_box(case.authorize(&fields, &mut cache));
                let between = Instant::now();
                black_box(ring());
                ((between - begin).as_nanos(), between.elapsed().as_nanos())
            })
            .collect();
        let miss = turns.iter().map(|(miss, _)| *miss).min().unwrap_or_default();
        let ring = turns.iter().map(|(_, ring)| *ring).min().unwrap_or_default();
        turns.sort_by_key(|(miss, ring)| miss.saturating_sub(*ring));
        let (of_miss, of_ring) = turns[TURNS / 2];
        println!(
            "{:<8} | {miss:>8} | {ring:>8} | {:>8} | {:>8}",
            algorithm.name(),
            miss.saturating_sub(ring),
            of_miss.saturating_sub(of_ring)
        );
    }
}

/// A provider with one key, a strict route that asks for a scope, and a token of about 700 bytes.
struct Case {
    providers: [Provider; 1],
    policy: AuthPolicy,
    deny_list: DenyList,
    /// The value of the `Authorization` field.
    value: String,
}

impl Case {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm, "key-1").expect("random numbers");
        let set = json!({ "keys": [key.public_jwk()] }).to_string();
        let claim = |name: &str| ClaimPath::Name { literal: name.into(), segments: Vec::new() };
        let provider = Provider {
            name: "corp".into(),
            issuer: Issuer::Exact("https://login.example.com/".into()),
            audiences: Audiences::AnyOf(vec!["orders".into()]),
            algorithms: vec![algorithm],
            leeway: Duration::from_secs(60),
            require_exp: true,
            token_bytes_max: 8192,
            forward_token: false,
            claim_headers: vec![ClaimHeader {
                name: "x-user".into(),
                claim: claim("sub"),
                encoding: ClaimEncoding::Text,
            }],
            checks: TokenChecks::default(),
            key_tries_max: Provider::KEY_TRIES_DEFAULT,
            unknown_kid_wait: None,
            keys: Some(Arc::new(parse_set(set.as_bytes()).expect("a good set").keys)),
        };
        let condition = Condition {
            claim: claim("scope"),
            matcher: Matcher::Contains(Scalar::String("orders:read".into())),
        };
        let policy = AuthPolicy {
            mode: Mode::Strict,
            providers: ProviderId::new(0).into_iter().collect(),
            credentials: Credentials::default(),
            bypass_preflight: false,
            end_with_token: EndWithToken::default(),
            require: vec![Requirement { any_of: vec![condition] }],
            realm: "api".into(),
            answers: Answers::default(),
        };
        let token = key.sign(&json!({
            "iss": "https://login.example.com/", "aud": ["orders"], "sub": "0f8fad5b-d9cb-469f",
            "exp": NOW.0 + 600, "iat": NOW.0, "jti": "7d3b4f0a-6c1e-4a53-9df1-8c2a5b7e1d90",
            "scope": "openid profile orders:read orders:write", "azp": "web-shop",
            "name": "Alice Example", "email": "alice@example.com", "roles": ["a", "b", "c"],
        }));
        let deny_list = DenyList::default();
        Self { providers: [provider], policy, deny_list, value: format!("Bearer {token}") }
    }

    fn fields(&self) -> [Field<'_>; 4] {
        let field = |name, value| Field { name, value };
        [
            field("Host", b"api.example.com"),
            field("User-Agent", b"wrk"),
            field("Accept", b"*/*"),
            field("Authorization", self.value.as_bytes()),
        ]
    }

    /// The verification of the token's signature alone.
    fn ring(&self) -> impl Fn() -> bool {
        use base64::Engine;
        let (signed, signature) = self.value["Bearer ".len()..].rsplit_once('.').expect("a token");
        let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(signature)
            .expect("our own encoding");
        let algorithm = self.providers[0].algorithms[0];
        let key = self.providers[0].keys.iter().flat_map(|keys| keys.iter()).next();
        let key = key.expect("one key");
        move || key.verify(algorithm, black_box(signed.as_bytes()), &signature)
    }

    fn authorize(&self, fields: &[Field<'_>], cache: &mut TokenCache) -> Authorization {
        let Self { providers, policy, deny_list, .. } = self;
        let Ok(authorization) = authorize(
            black_box(Presented { fields, query: None }),
            &Criteria {
                policy,
                providers,
                deny_list,
                certificate: None,
                generation: Generation(1),
                now: NOW,
            },
            cache,
            always,
        );
        authorization
    }
}

/// A route without a policy, as a worker judges it: what a hit is measured against.
#[divan::bench]
fn unprotected(bencher: Bencher) {
    let policy: Option<AuthPolicy> = None;
    let case = Case::new(Algorithm::EdDsa);
    let (mut cache, fields) = (TokenCache::new(1000), case.fields());
    bencher.bench_local(|| match black_box(&policy) {
        None => Authorization::Anonymous,
        Some(_) => case.authorize(&fields, &mut cache),
    });
}

#[divan::bench(args = ALGORITHMS)]
fn hit(bencher: Bencher, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    let mut cache = TokenCache::new(1000);
    let fields = case.fields();
    assert!(matches!(case.authorize(&fields, &mut cache), Authorization::Verified(..)));
    bencher.bench_local(|| {
        assert!(matches!(case.authorize(&fields, &mut cache), Authorization::Verified(..)));
    });
}

#[divan::bench(args = ALGORITHMS)]
fn miss(bencher: Bencher, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    // A cache of no entries: each token is a new one.
    let mut cache = TokenCache::new(0);
    let fields = case.fields();
    bencher.bench_local(|| {
        assert!(matches!(case.authorize(&fields, &mut cache), Authorization::Verified(..)));
    });
}

#[divan::bench(args = ALGORITHMS)]
fn signature_alone(bencher: Bencher, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    let ring = case.ring();
    bencher.bench_local(|| assert!(ring()));
}
