//! What is kept of a token that has passed every check of its provider.

use super::UnixTime;
use super::claims::{Claims, Validity};
use crate::snapshot::ids::ProviderId;

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
    pub(super) claims: Claims,
    pub(super) validity: Validity,
}

impl VerifiedToken {
    /// The first second at which it has expired, the leeway counted in: no stream that it opened
    /// should live longer.
    #[must_use]
    pub fn expired_at(&self) -> Option<UnixTime> {
        self.validity.expired_at()
    }

    /// The bytes of heap it holds.
    pub(super) fn heap_bytes(&self) -> usize {
        let kid = self.kid.as_ref().map_or(0, |kid| kid.len());
        size_of::<Self>() + kid + self.header_block.len() + self.claims.heap_bytes()
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
