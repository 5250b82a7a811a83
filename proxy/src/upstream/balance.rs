//! Which endpoint takes a request: in turn, or the less busy of two, never a resting one if any
//! other is left.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Instant;

use super::{EndpointState, UpstreamState};
use crate::snapshot::upstream_set::Balance;

/// A start for the cursor that differs from worker to worker, so that they do not march in step.
pub(super) fn seed() -> u64 {
    RandomState::new().hash_one(0_u8) | 1
}

impl UpstreamState {
    /// An endpoint for a request, not among `tried`; none when all have been.
    ///
    /// Resting endpoints are passed over while another is left; when only resting ones are, one of
    /// them is used rather than none.
    #[must_use]
    pub fn pick(&self, tried: &[Rc<EndpointState>], now: Instant) -> Option<&Rc<EndpointState>> {
        self.pick_if(|endpoint| !is_in(tried, endpoint) && !endpoint.is_resting(now))
            .or_else(|| self.pick_if(|endpoint| !is_in(tried, endpoint)))
    }

    fn pick_if(&self, usable: impl Fn(&Rc<EndpointState>) -> bool) -> Option<&Rc<EndpointState>> {
        let first = self.next_usable(&usable)?;
        if self.endpoints.len() == 1 {
            return Some(first);
        }
        match self.balance {
            Balance::RoundRobin => Some(first),
            Balance::PowerOfTwo => {
                let second = self.next_usable(&usable).unwrap_or(first);
                Some(if second.in_flight() < first.in_flight() { second } else { first })
            }
        }
    }

    /// The first usable endpoint from where the cursor stands; moves the cursor behind it.
    fn next_usable(
        &self,
        usable: &impl Fn(&Rc<EndpointState>) -> bool,
    ) -> Option<&Rc<EndpointState>> {
        let count = self.endpoints.len();
        let start = match self.balance {
            Balance::RoundRobin => self.cursor.get(),
            Balance::PowerOfTwo => self.random(),
        };
        // The remainder is less than `count`, a usize.
        let start = usize::try_from(start.checked_rem(count as u64)?).ok()?;
        let found = (0..count)
            .map(|step| (start + step) % count)
            .find(|&at| usable(&self.endpoints[at]))?;
        if self.balance == Balance::RoundRobin {
            self.cursor.set(found as u64 + 1);
        }
        Some(&self.endpoints[found])
    }

    /// xorshift64 (Marsaglia 2003): spread is all that is asked of it.
    fn random(&self) -> u64 {
        let mut state = self.cursor.get() | 1;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.cursor.set(state);
        state >> 16
    }
}

fn is_in(tried: &[Rc<EndpointState>], endpoint: &Rc<EndpointState>) -> bool {
    tried.iter().any(|one| Rc::ptr_eq(one, endpoint))
}
