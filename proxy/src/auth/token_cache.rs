//! Tokens that one worker has verified or refused lately.
//!
//! An entry is found by the exact token bytes (a seeded hash leads there, a full comparison
//! decides), the provider and the generation of configuration and keys, so a removed key stops
//! counting at once. Times are checked again on each hit. Good and bad tokens are kept apart: nobody can push
//! good ones out with garbage.

mod bounded;

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::UnixTime;
use super::refusal::{Reason, Refusal};
use super::verification::Scratch;
use super::verified_token::VerifiedToken;
use crate::snapshot::ids::{Generation, ProviderId};
use bounded::{Bounded, Entry};

/// How long a refusal is remembered.
const REFUSAL_SECONDS: i64 = 10;

/// For each good entry that may be kept, how many bad ones: a quarter.
const REFUSALS_DIVISOR: usize = 4;

/// The cache of one worker.
pub struct TokenCache {
    hasher: RandomState,
    good: Bounded<Rc<VerifiedToken>>,
    bad: Bounded<Refused>,
    /// Of look-ups: of the rest the maps know.
    figures: CacheFigures,
    /// For the verification of what is not here.
    pub(super) scratch: Scratch,
}

/// What a cache has done since it was made, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheFigures {
    /// Look-ups that found a good token.
    pub hits_good: u64,
    /// Look-ups that found a refusal.
    pub hits_bad: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
    /// The good tokens.
    pub good: Usage,
    /// The refusals.
    pub bad: Usage,
}

/// Of the good or of the bad ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many there are.
    pub entries: usize,
    /// How many had to make room for others.
    pub evicted: u64,
}

struct Refused {
    refusal: Refusal,
    since: UnixTime,
}

/// A token as it is looked up: its hash is taken once.
pub(super) struct Query<'t> {
    token: &'t [u8],
    hash: u64,
    generation: Generation,
}

impl<'t> Query<'t> {
    pub(super) fn token(&self) -> &'t [u8] {
        self.token
    }
}

impl TokenCache {
    /// A cache of at most this many good tokens and a quarter as many bad ones; 0 keeps none.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            good: Bounded::new(entries_max),
            bad: Bounded::new(entries_max.div_ceil(REFUSALS_DIVISOR)),
            figures: CacheFigures::default(),
            scratch: Scratch::default(),
        }
    }

    /// What it has done and holds.
    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        CacheFigures { good: self.good.usage(), bad: self.bad.usage(), ..self.figures }
    }

    pub(super) fn query<'t>(&self, token: &'t [u8], generation: Generation) -> Query<'t> {
        Query { token, hash: self.hasher.hash_one(token), generation }
    }

    /// What is known of the token, if it is for one of these providers. Allocates nothing where
    /// it is good.
    pub(super) fn find(
        &mut self,
        query: &Query<'_>,
        providers: &[ProviderId],
        now: UnixTime,
    ) -> Option<Result<Rc<VerifiedToken>, Refusal>> {
        if let Some(verified) = self.good.find(query, providers) {
            self.figures.hits_good += 1;
            return match verified.validity.check(now) {
                Ok(()) => Some(Ok(Rc::clone(verified))),
                Err(reason) => {
                    let refusal = Refusal {
                        reason,
                        provider: Some(verified.provider),
                        kid: verified.kid.clone(),
                    };
                    self.good.remove(query, providers);
                    Some(Err(refusal))
                }
            };
        }
        let Some(refused) = self.bad.find(query, providers) else {
            self.figures.misses += 1;
            return None;
        };
        // A clock that was set back must not stretch the time.
        let age = now.0.saturating_sub(refused.since.0);
        if (0..REFUSAL_SECONDS).contains(&age) {
            self.figures.hits_bad += 1;
            return Some(Err(refused.refusal.clone()));
        }
        self.figures.misses += 1;
        self.bad.remove(query, providers);
        None
    }

    /// Keeps a good token.
    pub(super) fn keep(&mut self, query: &Query<'_>, verified: &Rc<VerifiedToken>) {
        let heap_bytes = verified.heap_bytes();
        self.good.insert(Entry::new(query, verified.provider, Rc::clone(verified), heap_bytes));
    }

    /// Keeps a refusal that costs a verification to find and that time does not cure.
    pub(super) fn keep_refusal(&mut self, query: &Query<'_>, refusal: &Refusal, now: UnixTime) {
        if let Some(provider) = refusal.provider
            && is_lasting(refusal.reason)
        {
            let refused = Refused { refusal: refusal.clone(), since: now };
            let kid_bytes = refusal.kid.as_ref().map_or(0, |kid| kid.len());
            self.bad.insert(Entry::new(query, provider, refused, kid_bytes));
        }
    }
}

/// Whether the reason is found only after a signature was verified, and is the same in ten seconds.
fn is_lasting(reason: Reason) -> bool {
    match reason {
        Reason::Signature
        | Reason::Audience
        | Reason::Date
        | Reason::ExpiryMissing
        | Reason::Expired
        | Reason::TooOld
        | Reason::ClaimMissing
        | Reason::ClaimHeaders => true,
        // Time cures these.
        Reason::NotYetValid | Reason::IssuedInFuture | Reason::LifetimeTooLong => false,
        // These come with the next key set.
        Reason::UnknownKey | Reason::KeyAlgorithm | Reason::AmbiguousKey | Reason::NoKeys => false,
        // These belong to the route.
        Reason::IdentityRule | Reason::ScopeRule | Reason::EntitlementRule => false,
        // The deny list and the client's certificate are looked at anew each time.
        Reason::Revoked | Reason::Certificate => false,
        // These are found as fast as looked up.
        Reason::Missing
        | Reason::MultipleCredentials
        | Reason::MalformedCredentials
        | Reason::TokenTooLong
        | Reason::TokenCharacters
        | Reason::TokenSegments
        | Reason::TokenEncoding
        | Reason::HeaderJson
        | Reason::HeaderDuplicate
        | Reason::HeaderMember
        | Reason::Algorithm
        | Reason::AlgorithmNotAllowed
        | Reason::CriticalExtension
        | Reason::UnencodedPayload
        | Reason::NestedToken
        | Reason::EmbeddedKey
        | Reason::KeyId
        | Reason::KeyIdMissing
        | Reason::TokenType
        | Reason::ClaimsJson
        | Reason::ClaimsDuplicate
        | Reason::Issuer => false,
    }
}

#[cfg(test)]
mod tests;
