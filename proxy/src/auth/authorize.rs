//! The verdict on one request: its fields in, the rules of its route and what the caches know.

use std::convert::Infallible;
use std::rc::Rc;

use super::presented::{Found, Places, Presented};
use super::refusal::{Reason, Refusal};
use super::removal::Removal;
use super::token_cache::{Query, TokenCache};
use super::trace::{Trace, Untraced};
use super::verified_token::VerifiedToken;
use super::{UnixTime, claim_rules, verification};
use crate::snapshot::claims_policy::{AuthPolicy, Mode};
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::deny_list::DenyList;
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

/// Why a token is not good.
pub(super) enum Fault<D> {
    Refused(Refusal),
    /// It was not judged.
    Deferred(D),
}

impl<D> From<Refusal> for Fault<D> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<D> From<Reason> for Fault<D> {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
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

/// What the tokens of a request are judged by.
#[derive(Clone, Copy)]
pub struct Criteria<'s> {
    /// What the route asks for.
    pub policy: &'s AuthPolicy,
    /// The snapshot's list, into which the ids of the policy point.
    pub providers: &'s [Provider],
    /// The tokens that are refused although they are good.
    pub deny_list: &'s DenyList,
    /// The SHA-256 of the certificate that the client has shown, in base64url.
    pub certificate: Option<&'s str>,
    /// Which verdicts of the cache hold.
    pub generation: Generation,
    /// The time of the request.
    pub now: UnixTime,
}

/// Judges a request by the tokens in it. Allocates nothing where the token is good and in the
/// cache.
///
/// `permit` is asked before a token that is in no cache is verified; what it gives is held for as
/// long as that takes.
///
/// # Errors
/// What `permit` says where it gives none: the request is to be judged again.
pub fn authorize<P, D>(
    presented: Presented<'_, '_>,
    criteria: &Criteria<'_>,
    cache: &mut TokenCache,
    mut permit: impl FnMut() -> Result<P, D>,
) -> Result<Authorization, D> {
    let found = Found::in_request(presented, &criteria.policy.credentials);
    decide(found, criteria.policy, |token| criteria.judge(token, cache, &mut permit))
}

/// The permission to verify every token at once, for [`authorize`].
#[expect(clippy::missing_errors_doc, reason = "there are none")]
pub fn always() -> Result<(), Infallible> {
    Ok(())
}

/// What becomes of a request by the verdicts on its tokens: the first counts where all are good.
pub(super) fn decide<'b, D>(
    found: Result<Found<'b>, Reason>,
    policy: &AuthPolicy,
    mut judge: impl FnMut(&'b [u8]) -> Result<Rc<VerifiedToken>, Fault<D>>,
) -> Result<Authorization, D> {
    // Of a request whose tokens cannot be told apart, nothing that may be one goes on.
    let places = found.as_ref().map_or(Places::ALL, Found::places);
    let judged = found.map_err(Fault::from).and_then(|found| {
        let mut tokens = found.tokens();
        let Some(first) = tokens.next() else { return Ok(None) };
        let verified = judge(first)?;
        for other in tokens {
            judge(other)?;
        }
        Ok(Some(verified))
    });
    let refusal = match (judged, policy.mode) {
        (Ok(Some(verified)), _) => return Ok(Authorization::Verified(verified, places)),
        (Ok(None), Mode::Optional | Mode::Permissive) => return Ok(Authorization::Anonymous),
        (Ok(None), Mode::Strict) => Reason::Missing.into(),
        (Err(Fault::Refused(refusal)), _) => refusal,
        (Err(Fault::Deferred(why)), _) => return Err(why),
    };
    Ok(match policy.mode {
        Mode::Permissive => Authorization::Tolerated(refusal, places),
        Mode::Strict | Mode::Optional => Authorization::Refused(refusal),
    })
}

impl Criteria<'_> {
    fn judge<P, D>(
        &self,
        token: &[u8],
        cache: &mut TokenCache,
        permit: &mut impl FnMut() -> Result<P, D>,
    ) -> Result<Rc<VerifiedToken>, Fault<D>> {
        let Self { policy, providers, deny_list, generation, now, .. } = *self;
        // Before hashing: a token that is too long is in no cache.
        if token.len() > verification::token_bytes_max(policy, providers) {
            return Err(Reason::TokenTooLong.into());
        }
        let query = cache.query(token, generation);
        let verified = match cache.find(&query, &policy.providers, now) {
            Some(known) => known?,
            None => {
                let _permit = permit().map_err(Fault::Deferred)?;
                self.verify(&query, cache)?
            }
        };
        let passes = if verified.is_revoked(deny_list, now) {
            Err(Reason::Revoked)
        } else {
            self.check_binding(&verified, &mut Untraced)
                .and_then(|()| claim_rules::check(policy, verified.claims()))
        };
        match passes {
            Ok(()) => Ok(verified),
            Err(reason) => Err(verified.refusal(reason).into()),
        }
    }

    /// Whether this client may use the token.
    pub(super) fn check_binding(
        &self,
        token: &VerifiedToken,
        trace: &mut impl Trace,
    ) -> Result<(), Reason> {
        let binding = self.providers[token.provider.index()].checks.binding;
        token.claims().check_binding(binding, self.certificate, trace)
    }

    /// Verifies a token that is in no cache, and puts the outcome there.
    fn verify(
        &self,
        query: &Query<'_>,
        cache: &mut TokenCache,
    ) -> Result<Rc<VerifiedToken>, Refusal> {
        let Self { policy, providers, now, .. } = *self;
        let (token, scratch) = (query.token(), &mut cache.scratch);
        match verification::verify(token, policy, providers, now, scratch, &mut Untraced) {
            Ok(verified) => {
                let verified = Rc::new(verified);
                cache.keep(query, &verified);
                Ok(verified)
            }
            Err(refusal) => {
                cache.keep_refusal(query, &refusal, now);
                Err(refusal)
            }
        }
    }
}
