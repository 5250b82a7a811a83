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
use crate::worker::KeyLookup;

/// How many fetches out of turn may come at once; how often they may, providers say.
const BURST: u32 = 2;

/// A worker asks for new keys of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The provider's name.
    pub provider: Box<str>,
    /// The worker's place in the list.
    pub worker: usize,
}

/// Who waits for which source, and how often each may still be asked.
#[derive(Debug, Default)]
pub struct Refetches {
    buckets: HashMap<SourceId, Bucket>,
    waiting: Vec<(SourceId, Question, KeyLookup)>,
    denied: Vec<Question>,
}

impl Refetches {
    /// Takes a worker's question.
    pub fn ask(&mut self, question: Question, sources: &mut Sources, now: Instant) {
        let Some(source) = sources.source_of(&question.provider) else {
            self.denied.push(question);
            return;
        };
        let interval = sources.unknown_kid_interval(&question.provider);
        let bucket = self.buckets.entry(source).or_insert_with(|| Bucket::full(now));
        if sources.is_in_flight(source) {
            self.waiting.push((source, question, KeyLookup::Earlier));
        } else if bucket.take(interval, now) {
            sources.hasten(source, now);
            self.waiting.push((source, question, KeyLookup::Done));
        } else {
            tracing::debug!(provider = %question.provider, "unknown key; asked a moment ago");
            self.denied.push(question);
        }
    }

    /// The questions that have been dealt with, and how; to be called when what was due has been
    /// started and what was fetched has been published.
    #[must_use]
    pub fn answered(&mut self, sources: &Sources) -> Vec<(Question, KeyLookup)> {
        let denied = std::mem::take(&mut self.denied);
        let mut answered: Vec<_> =
            denied.into_iter().map(|question| (question, KeyLookup::Denied)).collect();
        self.waiting.retain(|(source, question, lookup)| {
            let still = sources.is_in_flight(*source);
            if !still {
                answered.push((question.clone(), *lookup));
            }
            still
        });
        self.buckets.retain(|source, _| sources.has(*source));
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

    fn take(&mut self, interval: Duration, now: Instant) -> bool {
        while self.tokens < BURST && now.saturating_duration_since(self.filled) >= interval {
            self.tokens += 1;
            self.filled += interval;
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

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_bucket_gives_two_at_once_and_then_one_in_ten_seconds() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert!(bucket.take(INTERVAL, start));
        assert!(bucket.take(INTERVAL, start));
        assert!(!bucket.take(INTERVAL, start));
        assert!(!bucket.take(INTERVAL, start + INTERVAL - Duration::from_millis(1)));
        assert!(bucket.take(INTERVAL, start + INTERVAL));
        assert!(!bucket.take(INTERVAL, start + INTERVAL));
        // However long nobody asks, it holds no more than the burst.
        let later = start + INTERVAL * 100;
        assert_eq!(
            [
                bucket.take(INTERVAL, later),
                bucket.take(INTERVAL, later),
                bucket.take(INTERVAL, later)
            ],
            [true, true, false]
        );
    }

    #[test]
    fn in_a_minute_no_more_is_given_than_burst_and_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        let given = (0..6000)
            .filter(|step| bucket.take(INTERVAL, start + Duration::from_millis(10) * *step))
            .count();
        assert_eq!(given, 7, "two at once and five more in the 59.99 s after");
    }
}
