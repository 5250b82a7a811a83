//! A route that asks for a token, for targets that go through all of the verdict.

use std::sync::Arc;
use std::time::Duration;

use ringgate::auth::{Authorization, Criteria, Presented, TokenCache, UnixTime, always, authorize};
use ringgate::http1::Field;
use ringgate::snapshot::answers::Answers;
use ringgate::snapshot::claims_policy::{AuthPolicy, EndWithToken, Mode};
use ringgate::snapshot::credentials::Credentials;
use ringgate::snapshot::deny_list::DenyList;
use ringgate::snapshot::ids::{Generation, ProviderId};
use ringgate::snapshot::key_set::{Algorithm, KeySet};
use ringgate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};

/// When the requests come.
pub const NOW: i64 = 1_700_000_000;

/// The provider `i`, which takes tokens of any length and audience.
pub fn provider(keys: Option<Arc<KeySet>>, algorithms: &[Algorithm]) -> Provider {
    Provider {
        name: "p".into(),
        issuer: Issuer::Exact("i".into()),
        audiences: Audiences::Any,
        algorithms: algorithms.to_vec(),
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: usize::MAX,
        forward_token: false,
        claim_headers: Vec::new(),
        checks: TokenChecks::default(),
        key_tries_max: Provider::KEY_TRIES_DEFAULT,
        unknown_kid_wait: None,
        keys,
    }
}

/// The verdict on a request with this value of `Authorization`, on a strict route of the provider.
pub fn judge(value: &[u8], provider: Provider, cache: &mut TokenCache) -> Authorization {
    let policy = AuthPolicy {
        mode: Mode::Strict,
        providers: ProviderId::new(0).into_iter().collect(),
        credentials: Credentials::default(),
        bypass_preflight: false,
        end_with_token: EndWithToken::default(),
        require: Vec::new(),
        realm: "r".into(),
        answers: Answers::default(),
    };
    let fields = [Field { name: "authorization", value }];
    let presented = Presented { fields: &fields, query: None };
    let criteria = Criteria {
        policy: &policy,
        providers: &[provider],
        deny_list: &DenyList::default(),
        certificate: None,
        generation: Generation(1),
        now: UnixTime(NOW),
    };
    let Ok(authorization) = authorize(presented, &criteria, cache, always);
    authorization
}
