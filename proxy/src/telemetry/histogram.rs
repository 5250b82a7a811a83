//! Durations counted by size: buckets that end at powers of two of a microsecond, which one
//! instruction finds.

use std::time::Duration;

use super::counters::{CounterBlock, CounterId};

/// The upper ends of the buckets: 2^`first` us, 2^(`first` + 1) us and so on to 2^`last` us. What is
/// longer is in one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// Of the shortest, as a power of two.
    pub first: u32,
    /// Of the longest that has an end.
    pub last: u32,
}

/// The cells of one histogram: one for each bucket, and behind them one for the sum in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    cells: CounterId,
    buckets: Buckets,
}

/// What a histogram holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The upper end of each bucket in seconds and how many are in it and in no shorter one.
    pub buckets: Vec<(f64, u64)>,
    /// All durations together.
    pub sum: Duration,
}

impl Buckets {
    /// How many there are with the last, which has no end.
    fn count(self) -> u32 {
        self.last - self.first + 2
    }

    /// How many cells they and the sum take.
    pub(super) fn cells(self) -> u32 {
        self.count() + 1
    }

    /// The bucket of a duration.
    fn of(self, nanos: u64) -> u32 {
        // 2^k us is in the bucket that ends there, and one nanosecond more is in the next.
        let micros = nanos.saturating_sub(1) / 1000;
        let power = u64::BITS - micros.leading_zeros();
        power.saturating_sub(self.first).min(self.count() - 1)
    }

    /// The upper end of a bucket, in seconds.
    fn end(self, bucket: u32) -> f64 {
        if bucket + 1 == self.count() {
            return f64::INFINITY;
        }
        Duration::from_micros(1 << (self.first + bucket)).as_secs_f64()
    }
}

impl Histogram {
    pub(super) fn new(cells: CounterId, buckets: Buckets) -> Self {
        Self { cells, buckets }
    }
}

impl CounterBlock {
    /// Counts a duration. To be called by the block's one writer only.
    pub fn observe(&self, histogram: &Histogram, duration: Duration) {
        let Histogram { cells, buckets } = *histogram;
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.increment(cells.plus(buckets.of(nanos)));
        self.add(cells.plus(buckets.count()), nanos);
    }
}

/// What a histogram holds over all workers; `sum` adds up one cell.
#[must_use]
pub fn distribution(
    cells: CounterId,
    buckets: Buckets,
    sum: impl Fn(CounterId) -> u64,
) -> Distribution {
    let of = |bucket| (buckets.end(bucket), sum(cells.plus(bucket)));
    Distribution {
        buckets: (0..buckets.count()).map(of).collect(),
        sum: Duration::from_nanos(sum(cells.plus(buckets.count()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counters::{Family, Kind, Registry};

    const BUCKETS: Buckets = Buckets { first: 4, last: 6 };
    static FAMILY: Family = Family {
        name: "ringgate_test_seconds",
        help: "A histogram for this test.",
        kind: Kind::Histogram(BUCKETS),
        labels: &[],
    };

    #[test]
    fn a_duration_is_in_the_bucket_that_ends_at_or_above_it() {
        let mut registry = Registry::default();
        let histogram = registry.histogram(&FAMILY, &[]).unwrap();
        let block = CounterBlock::new();
        for nanos in [0, 1, 16_000, 16_001, 32_000, 64_000, 64_001, 3_000_000_000] {
            block.observe(&histogram, Duration::from_nanos(nanos));
        }
        let found = distribution(histogram.cells, BUCKETS, |cell| block.get(cell));
        let ends = [(0.000_016, 3), (0.000_032, 2), (0.000_064, 1), (f64::INFINITY, 2)];
        assert_eq!(found.buckets, ends);
        assert_eq!(found.sum, Duration::from_nanos(3_000_192_003));
    }

    #[test]
    fn the_next_cell_is_behind_the_histogram() {
        let mut registry = Registry::default();
        let histogram = registry.histogram(&FAMILY, &[]).unwrap();
        assert_eq!(registry.histogram(&FAMILY, &[]).unwrap(), histogram);
        let counter = Family { kind: Kind::Counter, name: "ringgate_test", ..FAMILY };
        let next = registry.cell(Box::leak(Box::new(counter)), &[]).unwrap();
        assert_eq!(next, histogram.cells.plus(5));
    }
}
