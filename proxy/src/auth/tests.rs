//! Verdicts through the door: request fields in, `authorize` out; modules by section of the rules.

mod claims;
mod extraction;
mod revocation;
mod secrets;
mod structure;
mod vectors;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::http1::Field;
use crate::snapshot::answers::Answers;
use crate::snapshot::claims_policy::{
    AuthPolicy, ClaimPath, Condition, EndWithToken, Matcher, Mode, Requirement,
};
use crate::snapshot::credentials::Credentials;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::ids::{Generation, ProviderId};
use crate::snapshot::key_set::{Algorithm, KeySet, PublicKey, VerificationKey};
use crate::snapshot::provider::{Audiences, Issuer, Provider, TokenChecks};

pub(crate) const NOW: i64 = 1_700_000_000;

/// An Ed25519 key that is its seed.
pub(crate) struct Key(u8);

impl Key {
    pub(crate) fn of_seed(seed: u8) -> Self {
        Self(seed)
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.0; 32]).unwrap()
    }

    pub(super) fn public(&self, kid: Option<&str>) -> VerificationKey {
        let public = PublicKey::ed25519(self.pair().public_key().as_ref()).unwrap();
        VerificationKey::new(kid.map(Into::into), public, None).unwrap()
    }

    /// A token of exactly this header and payload.
    pub(super) fn sign_text(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair().sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header.to_string(), claims.to_string())
    }
}

pub(crate) fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "k1" })
}

pub(crate) fn claims() -> Value {
    json!({ "iss": "https://issuer/", "aud": "orders", "sub": "alice", "exp": NOW + 600 })
}

/// `object` with these members set or, where null, removed.
pub(crate) fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members are an object") };
    for (name, value) in members {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(&name)),
            value => object[name] = value,
        }
    }
    object
}

pub(super) fn provider(issuer: &str, keys: Vec<VerificationKey>) -> Provider {
    Provider {
        name: issuer.into(),
        issuer: Issuer::Exact(issuer.into()),
        audiences: Audiences::AnyOf(vec!["orders".into()]),
        algorithms: Algorithm::DEFAULT.to_vec(),
        leeway: Duration::ZERO,
        require_exp: true,
        token_bytes_max: 8192,
        forward_token: false,
        claim_headers: Vec::new(),
        checks: TokenChecks::default(),
        key_tries_max: Provider::KEY_TRIES_DEFAULT,
        unknown_kid_wait: None,
        keys: Some(Arc::new(KeySet::new(keys))),
    }
}

/// A worker with one provider, `https://issuer/` with key `k1` of seed 1, and one strict route.
pub(crate) struct Gateway {
    pub(super) providers: Vec<Provider>,
    pub(super) policy: AuthPolicy,
    pub(super) deny_list: DenyList,
    pub(super) certificate: Option<String>,
    pub(super) generation: Generation,
    pub(super) cache: TokenCache,
    pub(super) now: i64,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with_providers(vec![provider("https://issuer/", vec![Key(1).public(Some("k1"))])])
    }

    pub(super) fn with_providers(providers: Vec<Provider>) -> Self {
        let policy = AuthPolicy {
            mode: Mode::Strict,
            providers: (0..providers.len()).filter_map(ProviderId::new).collect(),
            credentials: Credentials::default(),
            end_with_token: EndWithToken::default(),
            bypass_preflight: false,
            require: Vec::new(),
            realm: "r".into(),
            answers: Answers::default(),
        };
        let cache = TokenCache::new(100);
        Self {
            providers,
            policy,
            deny_list: DenyList::default(),
            certificate: None,
            generation: Generation(1),
            cache,
            now: NOW,
        }
    }

    pub(super) fn authorize(&mut self, fields: &[Field<'_>]) -> Authorization {
        let Self { providers, policy, deny_list, certificate, generation, cache, now } = self;
        let (generation, now) = (*generation, UnixTime(*now));
        let certificate = certificate.as_deref();
        let criteria = Criteria { policy, providers, deny_list, certificate, generation, now };
        let presented = Presented { fields, query: None };
        let Ok(authorization) = authorize(presented, &criteria, cache, always);
        authorization
    }

    pub(crate) fn judge(&mut self, token: &str) -> Result<Rc<VerifiedToken>, Reason> {
        let value = format!("Bearer {token}");
        let field = Field { name: "authorization", value: value.as_bytes() };
        let verdict = self.authorize(&[field]);
        let criteria = Criteria {
            policy: &self.policy,
            providers: &self.providers,
            deny_list: &self.deny_list,
            certificate: self.certificate.as_deref(),
            generation: self.generation,
            now: UnixTime(self.now),
        };
        let explained = explain(token.as_bytes(), &criteria);
        match verdict {
            Authorization::Verified(verified, _) => {
                assert!(explained.verdict.is_ok(), "{explained:?}");
                assert!(explained.findings.iter().all(|finding| finding.outcome.is_ok()));
                Ok(verified)
            }
            Authorization::Refused(refusal) => {
                assert_eq!(explained.verdict, Err(refusal.clone()), "the explanation differs");
                let mut failed = explained.findings.iter().rev().filter(|f| f.outcome.is_err());
                assert_eq!(failed.next().unwrap().outcome, Err(refusal.reason), "{explained:?}");
                Err(refusal.reason)
            }
            other => panic!("a strict route answers {other:?}"),
        }
    }

    /// The reason against a token.
    pub(super) fn refuses(&mut self, token: &str) -> Option<Reason> {
        self.judge(token).err()
    }

    /// The reason against a token with these claims.
    pub(super) fn refuses_claims(&mut self, claims: &Value) -> Option<Reason> {
        self.refuses(&Key(1).sign(&header(), claims))
    }

    /// The reason against a token with this header.
    pub(super) fn refuses_header(&mut self, header: &Value) -> Option<Reason> {
        self.refuses(&Key(1).sign(header, &claims()))
    }
}

pub(super) fn rule(claim: &str, matcher: Matcher) -> Requirement {
    Requirement { any_of: vec![condition(claim, matcher)] }
}

pub(super) fn condition(claim: &str, matcher: Matcher) -> Condition {
    let segments = claim.split('.').map(Into::into).collect();
    Condition { claim: ClaimPath::Name { literal: claim.into(), segments }, matcher }
}
