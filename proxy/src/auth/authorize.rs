//! The verdict on one request: its fields in, the rules of its route and what the caches know.

use std::rc::Rc;

use super::presented::{Found, Places, Presented};
use super::refusal::{Reason, Refusal};
use super::removal::Removal;
use super::token_cache::TokenCache;
use super::trace::Untraced;
use super::verified_token::VerifiedToken;
use super::{UnixTime, claim_rules, verification};
use crate::snapshot::claims_policy::{AuthPolicy, Mode};
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::ids::Generation;
use crate::snapshot::provider::Provider;

/// The request field that tells an upstream on a permissive route that the token was bad. A
/// client's own copy must never pass.
pub const STATUS_FIELD: &str = "x-jwt-status";

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// It has no token, and the route lets it pass.
    Anonymous,
    /// Its token is good, and was there.
    Verified(Rc<VerifiedToken>, Places),
    /// Its token is bad, and the route lets it pass without what was there.
    Tolerated(Refusal, Places),
    /// It does not pass.
    Refused(Refusal),
}

impl Authorization {
    /// What the forwarded request goes without; `policy` is what the request was judged by.
    #[must_use]
    pub fn removal<'p>(&self, policy: Option<&'p AuthPolicy>) -> Removal<'p> {
        let (Self::Verified(_, places) | Self::Tolerated(_, places)) = self else {
            return Removal::nothing();
        };
        if matches!(self, Self::Verified(token, _) if token.forward) {
            return Removal::nothing();
        }
        let locations = policy.map(|policy| &*policy.credentials.locations);
        Removal::new(locations.unwrap_or_default(), *places)
    }

    /// Whether shared caches must keep the response to themselves: the token was in the target
    /// (RFC 6750 section 2.3).
    #[must_use]
    pub fn is_private(&self, policy: Option<&AuthPolicy>) -> bool {
        let (Self::Verified(_, places), Some(policy)) = (self, policy) else { return false };
        let mut locations = policy.credentials.locations.iter().enumerate();
        locations.any(|(index, location)| {
            matches!(location, TokenLocation::Query(_)) && places.contains(index)
        })
    }
}

/// Judges a request by the tokens in it. Allocates nothing where the token is good and in the
/// cache.
///
/// `providers` is the snapshot's list, into which the ids of `policy` point.
#[must_use]
pub fn authorize(
    presented: Presented<'_, '_>,
    policy: &AuthPolicy,
    providers: &[Provider],
    generation: Generation,
    cache: &mut TokenCache,
    now: UnixTime,
) -> Authorization {
    let found = Found::in_request(presented, &policy.credentials);
    decide(found, policy, |token| judge(token, policy, providers, generation, cache, now))
}

/// What becomes of a request by the verdicts on its tokens: the first counts where all are good.
pub(super) fn decide<'b>(
    found: Result<Found<'b>, Reason>,
    policy: &AuthPolicy,
    mut judge: impl FnMut(&'b [u8]) -> Result<Rc<VerifiedToken>, Refusal>,
) -> Authorization {
    // Of a request whose tokens cannot be told apart, nothing that may be one goes on.
    let places = found.as_ref().map_or(Places::ALL, Found::places);
    let judged = found.map_err(Refusal::from).and_then(|found| {
        let mut tokens = found.tokens();
        let Some(first) = tokens.next() else { return Ok(None) };
        let verified = judge(first)?;
        for other in tokens {
            judge(other)?;
        }
        Ok(Some(verified))
    });
    let refusal = match (judged, policy.mode) {
        (Ok(Some(verified)), _) => return Authorization::Verified(verified, places),
        (Ok(None), Mode::Optional | Mode::Permissive) => return Authorization::Anonymous,
        (Ok(None), Mode::Strict) => Reason::Missing.into(),
        (Err(refusal), _) => refusal,
    };
    match policy.mode {
        Mode::Permissive => Authorization::Tolerated(refusal, places),
        Mode::Strict | Mode::Optional => Authorization::Refused(refusal),
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
