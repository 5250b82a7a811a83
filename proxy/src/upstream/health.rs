//! Passive health of an endpoint: failures in a row send it to rest for a growing time.
//!
//! ```text
//!          consecutive_failures reached            rest over
//! healthy --------------------------> resting ------------------> on trial
//!    ^                                   ^                           |  |
//!    |                                   |        one failure        |  |
//!    |                                   +---------------------------+  |
//!    |                          a success                               |
//!    +------------------------------------------------------------------+
//! ```

use std::time::{Duration, Instant};

use crate::snapshot::upstream_set::Ejection;

/// What is known of an endpoint's health.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Health {
    failures_in_row: u32,
    /// Rests since the last success; doubles the next one.
    rests: u32,
    rest_until: Option<Instant>,
}

impl Health {
    /// Whether it is to be passed over at `now`.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rest_until.is_some_and(|until| now < until)
    }

    /// Notes a success and says whether that ended a trial.
    pub(super) fn succeeded(&mut self) -> bool {
        let was_on_trial = self.rests > 0;
        *self = Self::default();
        was_on_trial
    }

    /// Notes a failure and says how long to rest, if that was one too many.
    pub(super) fn failed(&mut self, rule: Ejection, now: Instant) -> Option<Duration> {
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        // On trial after a rest, the first failure is enough.
        let allowed = if self.rests > 0 { 1 } else { rule.consecutive_failures };
        if rule.consecutive_failures == 0 || self.failures_in_row < allowed || self.is_resting(now)
        {
            return None;
        }
        let rest = rule.base.saturating_mul(1 << self.rests.min(16)).min(rule.max);
        self.rests += 1;
        self.failures_in_row = 0;
        self.rest_until = Some(now + rest);
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Ejection = Ejection {
        consecutive_failures: 3,
        base: Duration::from_secs(5),
        max: Duration::from_secs(12),
    };

    #[test]
    fn rests_grow_until_their_bound_and_a_success_ends_them() {
        let mut health = Health::default();
        let mut now = Instant::now();
        assert_eq!(health.failed(RULE, now), None);
        assert_eq!(health.failed(RULE, now), None);
        assert_eq!(health.failed(RULE, now), Some(Duration::from_secs(5)));
        assert!(health.is_resting(now));
        assert_eq!(health.failed(RULE, now), None, "a straggler does not prolong the rest");

        now += Duration::from_secs(5);
        assert!(!health.is_resting(now));
        assert_eq!(health.failed(RULE, now), Some(Duration::from_secs(10)), "on trial");
        now += Duration::from_secs(10);
        assert_eq!(health.failed(RULE, now), Some(Duration::from_secs(12)), "the bound");

        assert!(health.succeeded());
        assert!(!health.is_resting(now));
        assert!(!health.succeeded());
        assert_eq!(health.failed(RULE, now), None, "back to three");
    }

    #[test]
    fn zero_allowed_failures_means_never() {
        let rule = Ejection { consecutive_failures: 0, ..RULE };
        let mut health = Health::default();
        for _ in 0..100 {
            assert_eq!(health.failed(rule, Instant::now()), None);
        }
    }
}
