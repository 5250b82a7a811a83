//! How old a provider's keys are, by the time since the issuer last confirmed them.
//!
//! ```text
//!          half of max_stale         max_stale
//! fresh --------------------> aging ----------> expired
//!   ^                           |                  |
//!   +------- confirmed ---------+------------------+
//! ```

use std::time::{Duration, Instant};

/// How much keys are still worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Confirmed lately, or not there at all.
    Fresh,
    /// More than half of the time is over: somebody should look.
    Aging,
    /// Not to be used.
    Expired,
}

impl Age {
    /// Of keys last confirmed at that time.
    pub(super) fn of(
        confirmed: Option<Instant>,
        max_stale: Option<Duration>,
        now: Instant,
    ) -> Self {
        let (Some(confirmed), Some(max_stale)) = (confirmed, max_stale) else { return Self::Fresh };
        let age = now.saturating_duration_since(confirmed);
        if age >= max_stale {
            Self::Expired
        } else if age >= max_stale / 2 {
            Self::Aging
        } else {
            Self::Fresh
        }
    }

    /// When this age ends unless the keys are confirmed before.
    pub(super) fn ends(
        self,
        confirmed: Option<Instant>,
        max_stale: Option<Duration>,
    ) -> Option<Instant> {
        let (confirmed, max_stale) = (confirmed?, max_stale?);
        match self {
            Self::Fresh => confirmed.checked_add(max_stale / 2),
            Self::Aging => confirmed.checked_add(max_stale),
            Self::Expired => None,
        }
    }

    /// Tells that a provider's keys have come to this age.
    pub(super) fn log(self, provider: &str, source: &str) {
        match self {
            Self::Fresh => tracing::info!(provider, source, "keys confirmed again"),
            Self::Aging => {
                let what = "keys not confirmed for half of max_stale; they are dropped at its end";
                tracing::warn!(provider, source, "{what}");
            }
            Self::Expired => {
                let what = "keys not confirmed for max_stale: dropped, routes answer 503";
                tracing::error!(provider, source, "{what}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_begin_at_half_and_at_the_end() {
        let now = Instant::now();
        let hour = Some(Duration::from_secs(3600));
        let at = |seconds| Age::of(Some(now), hour, now + Duration::from_secs(seconds));
        assert_eq!([at(1799), at(1800), at(3599)], [Age::Fresh, Age::Aging, Age::Aging]);
        assert_eq!(at(3600), Age::Expired);
        assert_eq!(Age::of(Some(now), None, now + Duration::from_secs(1 << 30)), Age::Fresh);
        assert_eq!(Age::of(None, hour, now), Age::Fresh);
        let ends = [Age::Fresh, Age::Aging, Age::Expired].map(|age| age.ends(Some(now), hour));
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(ends, [after(1800), after(3600), None]);
    }
}
