//! What the verdict on a request costs: its token in the cache or not, beside ring's own verification.
//!
//! The allocation columns show that a hit allocates nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

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

fn main() {
    divan::main();
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

    fn authorize(&self, fields: &[Field<'_>], cache: &mut TokenCache) -> Authorization {
        let Self { providers, policy, deny_list, .. } = self;
        let Ok(authorization) = authorize(
            black_box(Presented { fields, query: None }),
            &Criteria { policy, providers, deny_list, generation: Generation(1), now: NOW },
            cache,
            always,
        );
        authorization
    }
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
    use base64::Engine;
    let case = Case::new(algorithm);
    let (signed, signature) = case.value["Bearer ".len()..].rsplit_once('.').expect("a token");
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(signature)
        .expect("our own encoding");
    let keys = case.providers[0].keys.as_ref().expect("set above");
    let key = keys.iter().next().expect("one key");
    bencher.bench_local(|| {
        assert!(key.verify(algorithm, black_box(signed.as_bytes()), &signature));
    });
}
