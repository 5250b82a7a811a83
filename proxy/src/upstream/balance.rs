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
        let count = self.endpoints.len();
        if count == 0 {
            return None;
        }
        let usable_from = |start: usize| {
            (0..count).map(|step| (start + step) % count).find(|&at| usable(&self.endpoints[at]))
        };
        let picked = match self.balance {
            Balance::RoundRobin => {
                let at = usable_from(below(self.cursor.get(), count))?;
                self.cursor.set(at as u64 + 1);
                at
            }
            Balance::PowerOfTwo => {
                let one = usable_from(below(self.random(), count))?;
                // Two different ones, where there are two.
                let step = 1 + below(self.random(), count.saturating_sub(1).max(1));
                let other = usable_from((one + step) % count)?;
                let busy = |at: usize| self.endpoints[at].in_flight();
                if busy(other) < busy(one) { other } else { one }
            }
        };
        Some(&self.endpoints[picked])
    }

    /// xorshift64 (Marsaglia 2003): spread is all that is asked of it. Its state is never 0.
    fn random(&self) -> u64 {
        let mut state = self.cursor.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.cursor.set(state);
        state >> 16
    }
}

/// `number` brought below `count`, which is not 0.
fn below(number: u64, count: usize) -> usize {
    usize::try_from(number % count as u64).unwrap_or_default()
}

fn is_in(tried: &[Rc<EndpointState>], endpoint: &Rc<EndpointState>) -> bool {
    tried.iter().any(|one| Rc::ptr_eq(one, endpoint))
}
