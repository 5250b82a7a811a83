//! The checks of one token in their order, each with what was found: `authorize` made visible.

use super::UnixTime;
use super::claim_rules;
use super::refusal::{Reason, Refusal};
use super::trace::{Detail, Finding, Trace, shown};
use super::verification;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::provider::Provider;

/// What was checked, up to the first check that failed, and the verdict.
#[derive(Debug)]
pub struct Explanation {
    /// In the order of work.
    pub findings: Vec<Finding>,
    /// Why the token is refused, or nothing.
    pub verdict: Result<(), Refusal>,
}

/// Judges a token as [`super::authorize()`] does, without a cache, and tells.
#[must_use]
pub fn explain(
    token: &[u8],
    policy: &AuthPolicy,
    providers: &[Provider],
    deny_list: &DenyList,
    now: UnixTime,
) -> Explanation {
    let mut findings = Vec::new();
    let verdict =
        verification::verify(token, policy, providers, now, &mut findings).and_then(|verified| {
            let refusal = |reason| Refusal {
                reason,
                provider: Some(verified.provider),
                kid: verified.kid.clone(),
            };
            let revoked = verified.is_revoked(deny_list, now);
            let check = findings.check(
                "deny list",
                || {
                    let found = if revoked { "names it" } else { "does not name it" };
                    Detail::new(found, format!("none of {} entries", deny_list.len()))
                },
                if revoked { Err(Reason::Revoked) } else { Ok(()) },
            );
            check.map_err(refusal)?;
            policy.require.iter().try_for_each(|rule| {
                let holds = claim_rules::holds(rule, &verified.claims);
                let found = || {
                    let conditions = rule.any_of.iter().map(|condition| {
                        let value = verified.claims.find(&condition.claim);
                        format!("{:?} {}", condition.claim.name(), shown(value))
                    });
                    conditions.collect::<Vec<_>>().join(", ")
                };
                findings
                    .check(
                        "rule",
                        || Detail::new(found(), claim_rules::describe(rule)),
                        if holds { Ok(()) } else { Err(claim_rules::reason(rule)) },
                    )
                    .map_err(refusal)
            })
        });
    Explanation { findings, verdict }
}

/// Judges only the signature of a token: for one whose payload is no claims set.
#[must_use]
pub fn explain_signature(token: &[u8], provider: &Provider) -> Explanation {
    let mut findings = Vec::new();
    let verdict = verification::verify_signature(token, provider, &mut findings);
    Explanation { findings, verdict: verdict.map_err(|reason: Reason| reason.into()) }
}
