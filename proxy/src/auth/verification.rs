//! The order of work for one token that is in no cache.
//!
//! Cheap checks come before costly ones, and the claims are read before the signature only to
//! find out whose it should be: nothing else of them counts until it has been verified.

use std::cell::OnceCell;

use super::UnixTime;
use super::claims::{Claims, Validity};
use super::compact::{self, Compact};
use super::header_block;
use super::jose_header::JoseHeader;
use super::json::Node;
use super::key_lookup;
use super::refusal::{Reason, Refusal};
use super::signature;
use super::trace::{Detail, Trace};
use super::verified_token::VerifiedToken;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::key_set::VerificationKey;
use crate::snapshot::provider::Provider;

/// Room that one verification after another is done in: what a token is decoded to, until it is
/// known whether anything of it is to be kept. Grows to what the longest token needs.
#[derive(Default)]
pub(super) struct Scratch {
    header: Segment,
    payload: Segment,
    signature: Vec<u8>,
    header_block: Vec<u8>,
}

/// A segment that is JSON.
#[derive(Default)]
struct Segment {
    text: Vec<u8>,
    nodes: Vec<Node>,
}

/// Every check of a token but the rules of the route.
pub(super) fn verify(
    token: &[u8],
    policy: &AuthPolicy,
    providers: &[Provider],
    now: UnixTime,
    scratch: &mut Scratch,
    trace: &mut impl Trace,
) -> Result<VerifiedToken, Refusal> {
    let Scratch { header, payload, signature, header_block } = scratch;
    let compact = Compact::split(token, token_bytes_max(policy, providers), trace)?;
    let header = read_header(&compact, header, trace)?;
    let refusal = |provider| {
        let kid = header.kid.as_deref();
        move |reason| Refusal { reason, provider, kid: kid.map(Into::into) }
    };
    let claims = read_claims(&compact, payload, trace).map_err(refusal(None))?;
    let (id, provider) =
        key_lookup::provider(claims, policy, providers, trace).map_err(refusal(None))?;
    let issued = Issued { compact, header: &header, claims, provider };
    let Vouched { key, validity, header_block } =
        issued.check(now, signature, header_block, trace).map_err(refusal(Some(id)))?;
    let unnamed_kid = if header.kid.is_none() { key.kid() } else { None };
    Ok(VerifiedToken {
        provider: id,
        kid: header.kid.as_deref().map(Into::into),
        header_block,
        forward: provider.forward_token,
        kept_claims: claims.keep(),
        signed_by: key.fingerprint(),
        unnamed_kid: unnamed_kid.map(Into::into),
        marks: OnceCell::new(),
        validity,
    })
}

/// A token that was read, and the provider that it claims to be from.
struct Issued<'t, 's> {
    compact: Compact<'t>,
    header: &'t JoseHeader<'t>,
    claims: Claims<'t>,
    provider: &'s Provider,
}

/// What comes of the checks of a good token.
struct Vouched<'s> {
    key: &'s VerificationKey,
    validity: Validity,
    header_block: Box<[u8]>,
}

impl<'s> Issued<'_, 's> {
    /// What the provider asks of its tokens.
    fn check(
        &self,
        now: UnixTime,
        signature: &mut Vec<u8>,
        block: &mut Vec<u8>,
        trace: &mut impl Trace,
    ) -> Result<Vouched<'s>, Reason> {
        let Self { compact, header, claims, provider } = self;
        // The route's other providers may allow longer tokens than this one.
        let bytes = compact.token_bytes();
        let fits = bytes <= provider.token_bytes_max;
        trace.check(
            "size for the provider",
            || {
                let wanted = format!("at most {}", provider.token_bytes_max);
                Detail::new(format!("{bytes} bytes"), wanted)
            },
            if fits { Ok(()) } else { Err(Reason::TokenTooLong) },
        )?;
        let key = check_signature(compact, header, provider, signature, trace);
        if matches!(key, Err(Reason::UnknownKey)) {
            // A token that no key would make good is not worth looking for one.
            claims.check(provider, now, trace)?;
        }
        let key = key?;
        let validity = claims.check(provider, now, trace)?;
        let block = header_block::build(&provider.claim_headers, *claims, block);
        let bytes = block.as_ref().ok().map(|block| block.len());
        let header_block = trace.check(
            "claim headers",
            || {
                let found = bytes.map_or("more".into(), |bytes| format!("{bytes} bytes"));
                Detail::new(found, format!("at most {} bytes", header_block::BLOCK_BYTES_MAX))
            },
            block,
        )?;
        Ok(Vouched { key, validity, header_block })
    }
}

/// The checks of a signature whose payload is no claims set: all but those of claims.
pub(super) fn verify_signature(
    token: &[u8],
    provider: &Provider,
    scratch: &mut Scratch,
    trace: &mut impl Trace,
) -> Result<(), Reason> {
    let compact = Compact::split(token, provider.token_bytes_max, trace)?;
    let header = read_header(&compact, &mut scratch.header, trace)?;
    compact::decode("payload", compact.payload, &mut scratch.payload.text, trace)?;
    check_signature(&compact, &header, provider, &mut scratch.signature, trace).map(drop)
}

/// The most that any provider of the route allows; ids fit their snapshot.
pub(super) fn token_bytes_max(policy: &AuthPolicy, providers: &[Provider]) -> usize {
    policy.providers.iter().map(|id| providers[id.index()].token_bytes_max).max().unwrap_or(0)
}

fn read_header<'r>(
    compact: &Compact<'_>,
    room: &'r mut Segment,
    trace: &mut impl Trace,
) -> Result<JoseHeader<'r>, Reason> {
    let text = compact::decode("header", compact.header, &mut room.text, trace)?;
    JoseHeader::parse(text, &mut room.nodes, trace)
}

fn read_claims<'r>(
    compact: &Compact<'_>,
    room: &'r mut Segment,
    trace: &mut impl Trace,
) -> Result<Claims<'r>, Reason> {
    let text = compact::decode("payload", compact.payload, &mut room.text, trace)?;
    Claims::parse(text, &mut room.nodes, trace)
}

/// The key that has signed.
fn check_signature<'p>(
    compact: &Compact<'_>,
    header: &JoseHeader<'_>,
    provider: &'p Provider,
    room: &mut Vec<u8>,
    trace: &mut impl Trace,
) -> Result<&'p VerificationKey, Reason> {
    header.check_for(provider, trace)?;
    let signature = compact::decode("signature encoding", compact.signature, room, trace)?;
    let keys = trace.check(
        "keys loaded",
        || {
            let count = provider.keys.as_ref().map_or(0, |keys| keys.len());
            Detail::new(count.to_string(), "at least 1")
        },
        provider.keys.as_ref().ok_or(Reason::NoKeys),
    )?;
    let (tries_max, kid) = (provider.key_tries_max, header.kid.as_deref());
    let candidates = key_lookup::candidates(keys, tries_max, kid, header.algorithm, trace)?;
    signature::check(candidates, header.algorithm, compact.signed, signature, trace)
}
