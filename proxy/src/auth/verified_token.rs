//! What is kept of a token that has passed every check of its provider.

use std::cell::OnceCell;

use super::UnixTime;
use super::claims::{Claims, KeptClaims, Validity};
use super::refusal::{Reason, Refusal};
use crate::snapshot::deny_list::{DenyList, Marks};
use crate::snapshot::ids::ProviderId;
use crate::snapshot::key_set::{Fingerprint, KeySet};

/// A token that its provider's keys, claims and times vouch for; the rules of a route still
/// apply.
pub struct VerifiedToken {
    /// Who vouches for it.
    pub provider: ProviderId,
    /// The key that its header names.
    pub kid: Option<Box<str>>,
    /// The request fields made from its claims: `x-user: alice\r\n...`, ready to be sent.
    pub header_block: Box<[u8]>,
    /// Whether the forwarded request keeps the token.
    pub forward: bool,
    pub(super) kept_claims: KeptClaims,
    pub(super) signed_by: Fingerprint,
    /// The id of the key that signed it, where its header names none.
    pub(super) unnamed_kid: Option<Box<str>>,
    /// Taken when there is an entry that could name it.
    pub(super) marks: OnceCell<Marks>,
    pub(super) validity: Validity,
}

impl VerifiedToken {
    /// The first second at which it has expired or is too old, the leeway counted in: no stream
    /// that it opened should live longer.
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixTime> {
        self.validity.ends_at()
    }

    /// Whether an entry of the list names it.
    #[must_use]
    pub fn is_revoked(&self, deny_list: &DenyList, now: UnixTime) -> bool {
        let marks = || self.claims().marks(self.kid.as_deref().or(self.unnamed_kid.as_deref()));
        !deny_list.is_empty() && deny_list.denies(self.marks.get_or_init(marks), now)
    }

    /// Whether the key that signed it is one of these.
    #[must_use]
    pub fn is_signed_by_one_of(&self, keys: &KeySet) -> bool {
        keys.iter().any(|key| key.fingerprint() == self.signed_by)
    }

    /// Refuses it although it is good.
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        Refusal { reason, provider: Some(self.provider), kid: self.kid.clone() }
    }

    pub(super) fn claims(&self) -> Claims<'_> {
        self.kept_claims.claims()
    }

    /// The bytes of heap it holds.
    pub(super) fn heap_bytes(&self) -> usize {
        let kids = [&self.kid, &self.unnamed_kid].into_iter().flatten();
        let kids: usize = kids.map(|kid| kid.len()).sum();
        size_of::<Self>() + kids + self.header_block.len() + self.kept_claims.heap_bytes()
    }
}

impl std::fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("provider", &self.provider)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
