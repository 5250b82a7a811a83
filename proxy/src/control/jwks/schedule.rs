//! When a source is fetched again: pure functions of the time, the outcome and one random number.
//!
//! ```text
//!            success: 80 % of the life, +-10 %
//!          +-----------------------------------+
//!          v                                   |
//!   due -> in flight ---- failure: 0..min(60 s, 2^n s) ----> due
//! ```

use std::time::{Duration, Instant};

/// Refreshed when this part of the life is over, so that a slow issuer costs nothing.
const REFRESH_AT: f64 = 0.8;
/// Spread around that, so that a fleet started together does not fetch together.
const REFRESH_SPREAD: f64 = 0.1;
/// The back-off's first and last cap.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// Full jitter may draw zero; an issuer is not asked twice within this time.
const RETRY_SHORTEST: Duration = Duration::from_millis(100);

/// A random number in `0.0..1.0`, drawn by the caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw(f64);

impl Draw {
    /// Spreads 32 random bits over the range.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        Self(f64::from(bits) / (f64::from(u32::MAX) + 1.0))
    }
}

/// When one source is fetched next.
#[derive(Debug, Clone)]
pub struct Schedule {
    state: State,
    /// Failures since the last success.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Due(Instant),
    InFlight,
}

impl Schedule {
    /// Due at once.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { state: State::Due(now), failures: 0 }
    }

    /// When it is due, or none while a fetch is in flight.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::InFlight => None,
        }
    }

    /// Takes the fetch that is due now, if there is one: it is in flight from here on.
    #[must_use]
    pub fn start(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            self.state = State::InFlight;
        }
        due
    }

    /// The fetch ended well: the keys are good for `life`.
    pub fn succeeded(&mut self, now: Instant, life: Duration, draw: Draw) {
        self.failures = 0;
        self.state = State::Due(now + refresh_after(life, draw));
    }

    /// The fetch failed; returns how long until the next one.
    pub fn failed(&mut self, now: Instant, draw: Draw) -> Duration {
        let wait = retry_after(self.failures, draw);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Due(now + wait);
        wait
    }

    /// Makes it due at once, unless a fetch is in flight already.
    pub fn hasten(&mut self, now: Instant) {
        if let State::Due(at) = &mut self.state {
            *at = (*at).min(now);
        }
    }

    /// Whether a fetch is in flight.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.state == State::InFlight
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// 80 % of the life, spread by 10 % either way.
fn refresh_after(life: Duration, draw: Draw) -> Duration {
    life.mul_f64(REFRESH_AT * (1.0 + REFRESH_SPREAD * (2.0 * draw.0 - 1.0)))
}

/// Full jitter: anything up to a cap that doubles with each failure in a row.
fn retry_after(failures_before: u32, draw: Draw) -> Duration {
    let cap = RETRY_FIRST.saturating_mul(1_u32 << failures_before.min(6)).min(RETRY_LAST);
    cap.mul_f64(draw.0).max(RETRY_SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Draw = Draw(0.0);
    const MIDDLE: Draw = Draw(0.5);

    fn high() -> Draw {
        Draw::new(u32::MAX)
    }

    #[test]
    fn a_new_source_is_due_at_once_and_only_once() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert_eq!(schedule.due(), Some(now));
        assert!(schedule.start(now));
        assert!(!schedule.start(now), "a second fetch while one is in flight");
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn refresh_comes_at_four_fifths_of_the_life_give_or_take_a_tenth() {
        let now = Instant::now();
        let life = Duration::from_secs(100);
        for (draw, expected) in [(LOW, 72.0), (MIDDLE, 80.0), (high(), 88.0)] {
            let mut schedule = Schedule::new(now);
            schedule.succeeded(now, life, draw);
            let wait = schedule.due().unwrap() - now;
            assert!((wait.as_secs_f64() - expected).abs() < 0.001, "{wait:?} not {expected}");
        }
    }

    #[test]
    fn it_is_not_started_before_it_is_due() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        schedule.succeeded(now, Duration::from_secs(100), MIDDLE);
        assert!(!schedule.start(now + Duration::from_millis(79_999)));
        assert!(schedule.start(now + Duration::from_millis(80_001)));
    }

    #[test]
    fn failures_back_off_to_a_minute_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        let caps: Vec<u64> =
            (0..8).map(|_| schedule.failed(now, high()).as_secs_f64().round() as u64).collect();
        assert_eq!(caps, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(schedule.failures(), 8);
        schedule.succeeded(now, Duration::from_secs(100), LOW);
        assert_eq!(schedule.failed(now, MIDDLE), Duration::from_millis(500));
    }

    #[test]
    fn jitter_never_draws_a_fetch_loop() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert_eq!(schedule.failed(now, LOW), Duration::from_millis(100));
    }

    #[test]
    fn hastening_leaves_a_fetch_in_flight_alone() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        schedule.succeeded(now, Duration::from_secs(100), LOW);
        schedule.hasten(now);
        assert!(schedule.start(now));
        schedule.hasten(now);
        assert!(!schedule.start(now));
    }
}
