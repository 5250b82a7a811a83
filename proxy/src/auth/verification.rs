//! The order of work for one token that is in no cache.
//!
//! Cheap checks come before costly ones, and the claims are read before the signature only to
//! find out whose it should be: nothing else of them counts until it has been verified.

use super::UnixTime;
use super::claims::Claims;
use super::compact::{self, Compact};
use super::header_block;
use super::jose_header::JoseHeader;
use super::key_lookup;
use super::refusal::{Reason, Refusal};
use super::signature;
use super::trace::{Detail, Trace};
use super::verified_token::VerifiedToken;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::ids::ProviderId;
use crate::snapshot::key_set::VerificationKey;
use crate::snapshot::provider::Provider;

/// Every check of a token but the rules of the route.
pub(super) fn verify(
    token: &[u8],
    policy: &AuthPolicy,
    providers: &[Provider],
    now: UnixTime,
    trace: &mut impl Trace,
) -> Result<VerifiedToken, Refusal> {
    let mut context = Context { provider: None, kid: None };
    let result = stages(token, policy, providers, now, &mut context, trace);
    result.map_err(|reason| Refusal { reason, provider: context.provider, kid: context.kid })
}

/// What is known of a token by the time it is refused.
struct Context {
    provider: Option<ProviderId>,
    kid: Option<Box<str>>,
}

fn stages(
    token: &[u8],
    policy: &AuthPolicy,
    providers: &[Provider],
    now: UnixTime,
    context: &mut Context,
    trace: &mut impl Trace,
) -> Result<VerifiedToken, Reason> {
    let compact = Compact::split(token, token_bytes_max(policy, providers), trace)?;
    let header = header(&compact, trace)?;
    context.kid.clone_from(&header.kid);
    let claims = Claims::parse(compact::decode("payload", compact.payload, trace)?, trace)?;
    let (id, provider) = key_lookup::provider(&claims, policy, providers, trace)?;
    context.provider = Some(id);
    // The route's other providers may allow longer tokens than this one.
    let fits = token.len() <= provider.token_bytes_max;
    trace.check(
        "size for the provider",
        || {
            let wanted = format!("at most {}", provider.token_bytes_max);
            Detail::new(format!("{} bytes", token.len()), wanted)
        },
        if fits { Ok(()) } else { Err(Reason::TokenTooLong) },
    )?;
    let key = check_signature(&compact, &header, provider, trace);
    if matches!(key, Err(Reason::UnknownKey)) {
        // A token that no key would make good is not worth looking for one.
        claims.check(provider, now, trace)?;
    }
    let key = key?;
    let validity = claims.check(provider, now, trace)?;
    let header_block = header_block::build(&provider.claim_headers, &claims);
    let bytes = header_block.as_ref().ok().map(|block| block.len());
    let header_block = trace.check(
        "claim headers",
        || {
            let found = bytes.map_or("more".into(), |bytes| format!("{bytes} bytes"));
            Detail::new(found, format!("at most {} bytes", header_block::BLOCK_BYTES_MAX))
        },
        header_block,
    )?;
    Ok(VerifiedToken {
        provider: id,
        kid: header.kid,
        header_block,
        forward: provider.forward_token,
        marks: claims.marks(key.kid()),
        signed_by: key.fingerprint(),
        claims,
        validity,
    })
}

/// The checks of a signature whose payload is no claims set: all but those of claims.
pub(super) fn verify_signature(
    token: &[u8],
    provider: &Provider,
    trace: &mut impl Trace,
) -> Result<(), Reason> {
    let compact = Compact::split(token, provider.token_bytes_max, trace)?;
    let header = header(&compact, trace)?;
    compact::decode("payload", compact.payload, trace)?;
    check_signature(&compact, &header, provider, trace).map(drop)
}

/// The most that any provider of the route allows; ids fit their snapshot.
pub(super) fn token_bytes_max(policy: &AuthPolicy, providers: &[Provider]) -> usize {
    policy.providers.iter().map(|id| providers[id.index()].token_bytes_max).max().unwrap_or(0)
}

fn header(compact: &Compact<'_>, trace: &mut impl Trace) -> Result<JoseHeader, Reason> {
    JoseHeader::parse(compact::decode("header", compact.header, trace)?, trace)
}

/// The key that has signed.
fn check_signature<'p>(
    compact: &Compact<'_>,
    header: &JoseHeader,
    provider: &'p Provider,
    trace: &mut impl Trace,
) -> Result<&'p VerificationKey, Reason> {
    header.check_for(provider, trace)?;
    let signature_bytes = compact::decode("signature encoding", compact.signature, trace)?;
    let keys = trace.check(
        "keys loaded",
        || {
            let count = provider.keys.as_ref().map_or(0, |keys| keys.len());
            Detail::new(count.to_string(), "at least 1")
        },
        provider.keys.as_ref().ok_or(Reason::NoKeys),
    )?;
    let candidates = key_lookup::candidates(keys, header.kid.as_deref(), header.algorithm, trace)?;
    signature::check(&candidates, header.algorithm, compact.signed, &signature_bytes, trace)
}
