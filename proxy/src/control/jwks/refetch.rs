//! Keys fetched out of turn because a token names one that nobody has: one fetch at a time for
//! each source, and not more often than its token bucket allows.
//!
//! ```text
//! asked --> newer keys on their way, or bucket empty -----------------> answered
//!   |                                                                     ^
//!   +----> a fetch of the source is in flight or made due --> it ends ----+
//! ```
//!
//! Only a fetch that was begun for the question and went well settles it; after any other the
//! worker may ask once more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sources::{SourceId, Sources};
use crate::snapshot::ids::Generation;
use crate::worker::KeyLookup;

/// How many fetches out of turn may come at once; how often they may, providers say.
const BURST: u32 = 2;

/// A worker asks for new keys of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The provider's name.
    pub provider: Box<str>,
    /// The snapshot that it judged by.
    pub lacking: Generation,
    /// The worker's place in the list.
    pub worker: usize,
}

/// Who waits for which source, and how often each may still be asked.
#[derive(Debug, Default)]
pub struct Refetches {
    buckets: HashMap<SourceId, Bucket>,
    waiting: Vec<(SourceId, Question, KeyLookup)>,
    /// Without a fetch.
    settled: Vec<(Question, KeyLookup)>,
}

impl Refetches {
    /// Takes a worker's question; the newest snapshot is that of `published`.
    pub fn ask(
        &mut self,
        question: Question,
        published: Generation,
        sources: &mut Sources,
        now: Instant,
    ) {
        if question.lacking < published {
            // A fetch would cost a token of the bucket for keys that may be there.
            self.settled.push((question, KeyLookup::Behind));
            return;
        }
        let Some(source) = sources.source_of(&question.provider) else {
            self.settled.push((question, KeyLookup::Denied));
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
            self.settled.push((question, KeyLookup::Denied));
        }
    }

    /// The questions that have been dealt with, and how; to be called when what was due has been
    /// started and what was fetched has been published.
    #[must_use]
    pub fn answered(&mut self, sources: &Sources) -> Vec<(Question, KeyLookup)> {
        let mut answered = std::mem::take(&mut self.settled);
        self.waiting.retain(|(source, question, lookup)| {
            if sources.is_in_flight(*source) {
                return true;
            }
            // A fetch that failed says nothing about the key.
            let lookup = if sources.is_failing(*source) { KeyLookup::Earlier } else { *lookup };
            answered.push((question.clone(), lookup));
            false
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
    use std::sync::Arc;

    use super::*;
    use crate::control::jwks::location::Location;
    use crate::control::jwks::sources::{Place, Wanted};

    #[test]
    fn a_worker_that_is_behind_costs_no_fetch() {
        let mut sources = Sources::new(std::sync::mpsc::channel().0);
        let place = Place {
            location: Location::Url("https://issuer.invalid/".into()),
            transport: Arc::default(),
            refresh_interval: None,
        };
        let wanted = Wanted {
            provider: "a".into(),
            places: vec![place],
            max_stale: None,
            key_grace: Duration::ZERO,
            unknown_kid_interval: INTERVAL,
        };
        let now = Instant::now();
        sources.want(&[wanted], HashMap::new(), now);
        let mut refetches = Refetches::default();
        let asked = |lacking| Question { provider: "a".into(), lacking, worker: 0 };
        let (old, new) = (Generation(6), Generation(7));
        for _ in 0..=BURST {
            refetches.ask(asked(old), new, &mut sources, now);
        }
        let answers = refetches.answered(&sources);
        assert_eq!(answers, vec![(asked(old), KeyLookup::Behind); 3]);
        for _ in 0..=BURST {
            refetches.ask(asked(new), new, &mut sources, now);
        }
        let lookups: Vec<_> =
            refetches.answered(&sources).into_iter().map(|(_, how)| how).collect();
        assert_eq!(lookups, [KeyLookup::Denied, KeyLookup::Done, KeyLookup::Done]);
    }

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
