//! The verdict on one request: its fields in, the rules of its route and what the caches know.

use std::rc::Rc;

use super::refusal::{Reason, Refusal};
use super::token_cache::TokenCache;
use super::trace::Untraced;
use super::verified_token::VerifiedToken;
use super::{UnixTime, bearer, claim_rules, verification};
use crate::http1::Field;
use crate::snapshot::claims_policy::{AuthPolicy, Mode};
use crate::snapshot::ids::Generation;
use crate::snapshot::provider::Provider;

/// The request field that tells an upstream on a permissive route that the token was bad. A
/// client's own copy must never pass.
pub const STATUS_FIELD: &str = "x-jwt-status";

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// It has no bearer token, and the route lets it pass.
    Anonymous,
    /// Its token is good.
    Verified(Rc<VerifiedToken>),
    /// Its token is bad, and the route lets it pass without it.
    Tolerated(Refusal),
    /// It does not pass.
    Refused(Refusal),
}

impl Authorization {
    /// Whether the forwarded request goes without its `Authorization` field.
    #[must_use]
    pub fn strips_token(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Verified(token) => !token.forward,
            Self::Tolerated(_) | Self::Refused(_) => true,
        }
    }
}

/// Judges a request by the token in its fields. Allocates nothing where the token is good and in
/// the cache.
///
/// `providers` is the snapshot's list, into which the ids of `policy` point.
#[must_use]
pub fn authorize(
    fields: &[Field<'_>],
    policy: &AuthPolicy,
    providers: &[Provider],
    generation: Generation,
    cache: &mut TokenCache,
    now: UnixTime,
) -> Authorization {
    let judged = match bearer::extract(fields) {
        Ok(Some(token)) => judge(token, policy, providers, generation, cache, now),
        Ok(None) if policy.mode == Mode::Strict => Err(Reason::Missing.into()),
        Ok(None) => return Authorization::Anonymous,
        Err(reason) => Err(reason.into()),
    };
    match (judged, policy.mode) {
        (Ok(verified), _) => Authorization::Verified(verified),
        (Err(refusal), Mode::Permissive) => Authorization::Tolerated(refusal),
        (Err(refusal), Mode::Strict | Mode::Optional) => Authorization::Refused(refusal),
    }
}

fn judge(
    token: &[u8],
    policy: &AuthPolicy,
    providers: &[Provider],
    generation: Generation,
    cache: &mut TokenCache,
    now: UnixTime,
) -> Result<Rc<VerifiedToken>, Refusal> {
    // Before hashing: a token that is too long is in no cache.
    if token.len() > verification::token_bytes_max(policy, providers) {
        return Err(Reason::TokenTooLong.into());
    }
    let query = cache.query(token, generation);
    let known = cache.find(&query, &policy.providers, now);
    let verified = match known {
        Some(known) => known?,
        None => match verification::verify(token, policy, providers, now, &mut Untraced) {
            Ok(verified) => {
                let verified = Rc::new(verified);
                cache.keep(&query, &verified);
                verified
            }
            Err(refusal) => {
                cache.keep_refusal(&query, &refusal, now);
                return Err(refusal);
            }
        },
    };
    match claim_rules::check(policy, &verified.claims) {
        Ok(()) => Ok(verified),
        Err(reason) => {
            Err(Refusal { reason, provider: Some(verified.provider), kid: verified.kid.clone() })
        }
    }
}
