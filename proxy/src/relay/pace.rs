//! Whether one side of a body is too slow to be waited for.

use std::time::Duration;

use tokio::time::Instant;

use crate::snapshot::limits::BodyRate;

/// How fast one side has been, of the time that was spent waiting for it: what the other side takes
/// is not held against it.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    rate: Option<&'a BodyRate>,
    since: Option<Instant>,
    /// Since it was last found fast enough.
    waited: Duration,
    moved: u64,
    too_slow: bool,
}

impl<'a> Pace<'a> {
    /// Without a rate nobody is too slow, and no clock is read.
    pub(super) fn new(rate: Option<&'a BodyRate>) -> Self {
        Self { rate, since: None, waited: Duration::ZERO, moved: 0, too_slow: false }
    }

    /// Notes that it is waited for from now on.
    pub(super) fn begin(&mut self) {
        self.since = self.rate.map(|_| Instant::now());
    }

    /// Notes what has come of the wait, which goes on, and says whether that is enough so far.
    pub(super) fn moved(&mut self, bytes: usize) -> bool {
        let (Some(rate), Some(since)) = (self.rate, self.since) else { return true };
        let now = Instant::now();
        self.since = Some(now);
        self.note(rate, now.duration_since(since), bytes)
    }

    fn note(&mut self, rate: &BodyRate, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.moved += bytes as u64;
        if self.waited >= rate.within {
            self.too_slow = !rate.is_met_by(self.moved, self.waited);
            (self.waited, self.moved) = (Duration::ZERO, 0);
        }
        !self.too_slow
    }

    /// Whether it was not enough.
    pub(super) fn is_too_slow(&self) -> bool {
        self.too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: BodyRate = BodyRate { bytes: 100, within: Duration::from_secs(10) };

    /// Whether a side is fast enough after each of these waits, in seconds, and what came of them.
    fn judged(waits: &[(u64, usize)]) -> Vec<bool> {
        let mut pace = Pace::new(Some(&RATE));
        let note = |(seconds, bytes): &(u64, usize)| {
            pace.note(&RATE, Duration::from_secs(*seconds), *bytes)
        };
        waits.iter().map(note).collect()
    }

    #[test]
    fn each_stretch_of_waiting_is_judged_by_itself() {
        assert_eq!(judged(&[(4, 40); 6]), [true; 6]);
        assert_eq!(judged(&[(4, 39); 3]), [true, true, false]);
        let burst_first = [(1, 1_000_000), (9, 1), (9, 1), (1, 1)];
        assert_eq!(judged(&burst_first), [true, true, true, false], "a burst is no credit");
        // A long wait is measured by its own length.
        assert_eq!(judged(&[(30, 299)]), [false]);
        assert_eq!(judged(&[(30, 300)]), [true]);
    }

    #[test]
    fn without_a_rate_nobody_is_too_slow() {
        let mut pace = Pace::new(None);
        pace.begin();
        assert!(pace.moved(0) && !pace.is_too_slow());
    }
}
