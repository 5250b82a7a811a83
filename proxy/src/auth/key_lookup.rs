//! Which provider a token claims to be from, and which of its keys may have signed it.

use super::claims::Claims;
use super::json::Value;
use super::refusal::Reason;
use super::trace::{Detail, Trace, shown};
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::ids::ProviderId;
use crate::snapshot::key_set::{Algorithm, KeySet, VerificationKey};
use crate::snapshot::provider::{Issuer, Provider};

/// The provider of the route whose issuer is exactly the token's `iss`. The claim is not verified
/// yet; from here on only keys of this provider count.
pub(super) fn provider<'s>(
    claims: Claims<'_>,
    policy: &AuthPolicy,
    providers: &'s [Provider],
    trace: &mut impl Trace,
) -> Result<(ProviderId, &'s Provider), Reason> {
    let issuer = claims.get("iss");
    let of_route = || policy.providers.iter().map(|id| (*id, &providers[id.index()]));
    let chosen = of_route().find(|(_, provider)| match (&provider.issuer, issuer) {
        (Issuer::Exact(wanted), Some(Value::String(issuer))) => issuer == **wanted,
        (Issuer::Any, None | Some(Value::String(_))) => true,
        (Issuer::Exact(_) | Issuer::Any, _) => false,
    });
    trace.check(
        "iss",
        || {
            let wanted: Vec<_> = of_route()
                .map(|(_, provider)| match &provider.issuer {
                    Issuer::Exact(issuer) => format!("{issuer:?}"),
                    Issuer::Any => "any string or none".into(),
                })
                .collect();
            Detail::new(shown(issuer), wanted.join(" or "))
        },
        chosen.ok_or(Reason::Issuer),
    )
}

/// The keys that may have signed: those of this name, or all where the token names none, that are
/// for this algorithm. One to `tries_max` of them: each wrong one costs a verification.
pub(super) fn candidates<'k, T: Trace>(
    keys: &'k KeySet,
    tries_max: usize,
    kid: Option<&str>,
    algorithm: Algorithm,
    trace: &mut T,
) -> Result<impl Iterator<Item = &'k VerificationKey> + use<'k, T>, Reason> {
    let of_name = match kid {
        Some(kid) => keys.with_kid(kid),
        None => keys.iter().as_slice(),
    };
    let fitting = of_name.iter().filter(move |key| key.algorithms().contains(algorithm));
    let count = fitting.clone().count();
    trace.check(
        "key",
        || {
            let kid = kid.map_or("without kid".into(), |kid| format!("with kid {kid:?}"));
            Detail::new(
                format!("{} {kid}, {count} for {}", of_name.len(), algorithm.name()),
                format!("1 to {tries_max}"),
            )
        },
        match count {
            0 if kid.is_some() && !of_name.is_empty() => Err(Reason::KeyAlgorithm),
            0 => Err(Reason::UnknownKey),
            count if count <= tries_max => Ok(fitting),
            _ => Err(Reason::AmbiguousKey),
        },
    )
}
