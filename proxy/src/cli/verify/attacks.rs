//! Tokens of another library, good and forged, each with the verdict that it must get.
//!
//! `tests/fixtures/tokens/generate.py` makes them; adding a case is adding a line there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::auth::{
    Authorization, Criteria, Presented, TokenCache, UnixTime, always, authorize, explain,
};
use crate::control::jwks::parse::parse_set;
use crate::http1::Field;
use crate::snapshot::answers::Answers;
use crate::snapshot::claims_policy::{AuthPolicy, EndWithToken, Mode};
use crate::snapshot::credentials::Credentials;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::ids::{Generation, ProviderId};
use crate::snapshot::key_set::Algorithm;
use crate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};

const NOW: UnixTime = UnixTime(1_700_000_000);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokens").join(name)
}

fn provider() -> Provider {
    let set = parse_set(&std::fs::read(fixture("keys.jwks")).unwrap()).unwrap();
    assert_eq!((set.keys.len(), set.ignored.len()), (4, 0));
    Provider {
        name: "p".into(),
        issuer: Issuer::Exact("https://issuer.test/".into()),
        audiences: Audiences::AnyOf(vec!["orders".into()]),
        algorithms: Algorithm::ASYMMETRIC.to_vec(),
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: 8192,
        forward_token: false,
        claim_headers: Vec::new(),
        checks: TokenChecks::default(),
        key_tries_max: Provider::KEY_TRIES_DEFAULT,
        unknown_kid_wait: None,
        keys: Some(Arc::new(set.keys)),
    }
}

fn policy() -> AuthPolicy {
    AuthPolicy {
        mode: Mode::Strict,
        providers: ProviderId::new(0).into_iter().collect(),
        credentials: Credentials::default(),
        end_with_token: EndWithToken::default(),
        bypass_preflight: false,
        require: Vec::new(),
        realm: "r".into(),
        answers: Answers::default(),
    }
}

fn criteria<'s>(
    policy: &'s AuthPolicy,
    providers: &'s [Provider],
    deny_list: &'s DenyList,
) -> Criteria<'s> {
    let generation = Generation(1);
    Criteria { policy, providers, deny_list, certificate: None, generation, now: NOW }
}

/// The code of the refusal of a request with this token, asked twice: the second time the caches
/// know it.
fn refusal(token: &str, policy: &AuthPolicy, providers: &[Provider]) -> Option<&'static str> {
    let value = format!("Bearer {token}");
    let fields = [Field { name: "Authorization", value: value.as_bytes() }];
    let presented = Presented { fields: &fields, query: None };
    let mut cache = TokenCache::new(8);
    let deny_list = DenyList::default();
    let criteria = criteria(policy, providers, &deny_list);
    let mut ask = || match authorize(presented, &criteria, &mut cache, always).unwrap() {
        Authorization::Verified(..) => None,
        Authorization::Refused(refusal) => Some(refusal.reason.code()),
        other => panic!("a strict route answers {other:?}"),
    };
    let (first, second) = (ask(), ask());
    assert_eq!(first, second, "{token}");
    first
}

#[test]
fn every_token_gets_its_verdict() {
    let (policy, providers) = (policy(), [provider()]);
    let lines = std::fs::read_to_string(fixture("attacks.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let token = case["token"].as_str().unwrap();
        let expected = case["reason"].as_str().map(|reason| format!("auth.{reason}"));
        let deny_list = DenyList::default();
        let explained = explain(token.as_bytes(), &criteria(&policy, &providers, &deny_list));
        let explained = explained.verdict.err().map(|refusal| refusal.reason.code());
        let found = refusal(token, &policy, &providers);
        if found != expected.as_deref() || explained != found {
            wrong.push(format!("{}: {expected:?}, found {found:?}, {explained:?}", case["name"]));
        }
    }
    assert!(lines.lines().count() >= 450, "the file is cut short");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
