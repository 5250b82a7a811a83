//! The checks of one token in their order, each with what was found: `authorize` made visible.

use std::convert::Infallible;
use std::rc::Rc;

use super::authorize::{Authorization, Criteria, Fault, decide};
use super::claim_rules;
use super::presented::{Found, Presented};
use super::refusal::{Reason, Refusal};
use super::trace::{Detail, Finding, Trace, shown};
use super::verification::{self, Scratch};
use super::verified_token::VerifiedToken;
use crate::snapshot::provider::Provider;

/// What was checked, and the verdict: that of the last check that failed. It is the first one, too,
/// unless a key was not found.
#[derive(Debug)]
pub struct Explanation {
    /// In the order of work.
    pub findings: Vec<Finding>,
    /// Why the token is refused, or nothing.
    pub verdict: Result<(), Refusal>,
}

/// Judges a token as [`super::authorize()`] does, without a cache, and tells.
#[must_use]
pub fn explain(token: &[u8], criteria: &Criteria<'_>) -> Explanation {
    let mut findings = Vec::new();
    let verdict = trace(token, criteria, &mut findings).map(drop);
    Explanation { findings, verdict }
}

/// Every check of a token, those of the route's rules last.
fn trace(
    token: &[u8],
    criteria: &Criteria<'_>,
    findings: &mut Vec<Finding>,
) -> Result<VerifiedToken, Refusal> {
    let Criteria { policy, providers, deny_list, now, .. } = *criteria;
    let mut scratch = Scratch::default();
    let verified = verification::verify(token, policy, providers, now, &mut scratch, findings)?;
    let refusal = |reason| verified.refusal(reason);
    if !deny_list.is_empty() {
        let is_revoked = verified.is_revoked(deny_list, now);
        let checked = findings.check(
            "deny list",
            || {
                let found = if is_revoked { "names it" } else { "does not name it" };
                Detail::new(found, format!("none of {} entries", deny_list.len()))
            },
            if is_revoked { Err(Reason::Revoked) } else { Ok(()) },
        );
        checked.map_err(refusal)?;
    }
    criteria.check_binding(&verified, findings).map_err(refusal)?;
    for rule in &policy.require {
        let holds = claim_rules::holds(rule, verified.claims());
        let found = || {
            let conditions = rule.any_of.iter().map(|condition| {
                let value = verified.claims().find(&condition.claim);
                format!("{:?} {}", condition.claim.name(), shown(value))
            });
            conditions.collect::<Vec<_>>().join(", ")
        };
        let checked = findings.check(
            "rule",
            || Detail::new(found(), claim_rules::describe(rule)),
            if holds { Ok(()) } else { Err(claim_rules::reason(rule)) },
        );
        checked.map_err(refusal)?;
    }
    Ok(verified)
}

/// What was found at one place of a request that may hold a token.
#[derive(Debug)]
pub struct ExplainedToken {
    /// The position of the place among those of the route.
    pub location: usize,
    /// What was checked of the token there.
    pub explanation: Explanation,
}

/// Judges a request as [`super::authorize()`] does, without a cache, and tells what was checked of
/// each token in it.
#[must_use]
pub fn explain_request(
    presented: Presented<'_, '_>,
    criteria: &Criteria<'_>,
) -> (Vec<ExplainedToken>, Authorization) {
    let found = Found::in_request(presented, &criteria.policy.credentials);
    let places: Vec<usize> = found.iter().flat_map(Found::occupied).collect();
    let mut places = places.into_iter();
    let mut explained = Vec::new();
    let Ok(authorization) = decide(found, criteria.policy, |token| {
        let mut findings = Vec::new();
        let judged = trace(token, criteria, &mut findings);
        let verdict = judged.as_ref().map(|_| ()).map_err(Refusal::clone);
        // Tokens are judged in the order of their places.
        let location = places.next().unwrap_or_default();
        explained.push(ExplainedToken { location, explanation: Explanation { findings, verdict } });
        judged.map(Rc::new).map_err(Fault::<Infallible>::Refused)
    });
    (explained, authorization)
}

/// Judges only the signature of a token: for one whose payload is no claims set.
#[must_use]
pub fn explain_signature(token: &[u8], provider: &Provider) -> Explanation {
    let mut findings = Vec::new();
    let verdict =
        verification::verify_signature(token, provider, &mut Scratch::default(), &mut findings);
    Explanation { findings, verdict: verdict.map_err(|reason: Reason| reason.into()) }
}
