//! Keys fetched out of turn because a token names one that nobody has: one fetch at a time for
//! each source, and not more often than its token bucket allows.
//!
//! ```text
//! asked --> bucket empty --------------------------------------------> answered
//!   |                                                                     ^
//!   +----> a fetch of the source is in flight or made due --> it ends ----+
//! ```

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sources::{SourceId, Sources};

/// One fetch out of turn in this time for each source, and how many may come at once.
const INTERVAL: Duration = Duration::from_secs(10);
const BURST: u32 = 2;

/// Who waits for which source, and how often each may still be asked.
#[derive(Debug, Default)]
pub struct Refetches {
    buckets: HashMap<SourceId, Bucket>,
    waiting: Vec<(SourceId, Box<str>)>,
    /// Providers that have no source, or whose source may not be asked now.
    denied: Vec<Box<str>>,
}

impl Refetches {
    /// Takes a worker's question after new keys of a provider.
    pub fn ask(&mut self, provider: Box<str>, sources: &mut Sources, now: Instant) {
        let Some(source) = sources.source_of(&provider) else {
            self.denied.push(provider);
            return;
        };
        let bucket = self.buckets.entry(source).or_insert_with(|| Bucket::full(now));
        if sources.is_in_flight(source) || bucket.take(now) {
            sources.hasten(source, now);
            self.waiting.push((source, provider));
        } else {
            tracing::debug!(%provider, "unknown key; its source was asked a moment ago");
            self.denied.push(provider);
        }
    }

    /// The providers whose questions have been dealt with, and whether their keys have been looked
    /// for; to be called when what was due has been started and what was fetched has been
    /// published.
    #[must_use]
    pub fn answered(&mut self, sources: &Sources) -> Vec<(Box<str>, bool)> {
        let mut answered: Vec<_> =
            std::mem::take(&mut self.denied).into_iter().map(|denied| (denied, false)).collect();
        self.waiting.retain(|(source, provider)| {
            let still = sources.is_in_flight(*source);
            if !still {
                answered.push((provider.clone(), true));
            }
            still
        });
        self.buckets.retain(|source, _| sources.has(*source));
        answered.sort_unstable();
        answered.dedup();
        answered
    }
}

/// A token bucket; whole tokens are enough.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u32,
    filled: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { tokens: BURST, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.tokens < BURST && now.saturating_duration_since(self.filled) >= INTERVAL {
            self.tokens += 1;
            self.filled += INTERVAL;
        }
        if self.tokens == BURST {
            // A full bucket does not fill further: the next interval begins with this token.
            self.filled = now;
        }
        let taken = self.tokens > 0;
        self.tokens -= u32::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_two_at_once_and_then_one_in_ten_seconds() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert!(bucket.take(start));
        assert!(bucket.take(start));
        assert!(!bucket.take(start));
        assert!(!bucket.take(start + INTERVAL - Duration::from_millis(1)));
        assert!(bucket.take(start + INTERVAL));
        assert!(!bucket.take(start + INTERVAL));
        // However long nobody asks, it holds no more than the burst.
        let later = start + INTERVAL * 100;
        assert_eq!(
            [bucket.take(later), bucket.take(later), bucket.take(later)],
            [true, true, false]
        );
    }

    #[test]
    fn in_a_minute_no_more_is_given_than_burst_and_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let given =
            (0..6000).filter(|step| bucket.take(start + Duration::from_millis(10) * *step)).count();
        assert_eq!(given, 7, "two at once and five more in the 59.99 s after");
    }
}
