//! A token bucket in one word: the time at which the bucket would be full again.
//!
//! Equal to a bucket of `burst / interval` tokens that gains one an interval (the virtual
//! scheduling of ITU-T I.371). Two CPUs that judge one source at once may both take the same token;
//! nothing worse.

/// How fast and how far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Between two tokens.
    pub interval_ns: u64,
    /// What a full bucket is worth.
    pub burst_ns: u64,
}

/// Takes a token, if there is one, and says when the bucket is full again then.
#[inline(always)]
#[must_use]
pub fn admit(full_at_ns: u64, now_ns: u64, rate: Rate) -> Option<u64> {
    let base = if full_at_ns > now_ns { full_at_ns } else { now_ns };
    let full_at_ns = base.saturating_add(rate.interval_ns);
    if full_at_ns - now_ns > rate.burst_ns { None } else { Some(full_at_ns) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Rate, admit};

    /// The bucket as books draw it, in fractions of a token.
    struct Bucket {
        nanoseconds: u64,
        last_ns: u64,
    }

    impl Bucket {
        fn take(&mut self, now_ns: u64, rate: Rate) -> bool {
            self.nanoseconds = (self.nanoseconds + (now_ns - self.last_ns)).min(rate.burst_ns);
            self.last_ns = now_ns;
            if self.nanoseconds < rate.interval_ns {
                return false;
            }
            self.nanoseconds -= rate.interval_ns;
            true
        }
    }

    #[test]
    fn a_burst_is_admitted_and_then_one_an_interval() {
        let rate = Rate { interval_ns: 10, burst_ns: 30 };
        let mut full_at = 0;
        let mut take = |now: u64| match admit(full_at, now, rate) {
            Some(next) => {
                full_at = next;
                true
            }
            None => false,
        };
        assert_eq!([100, 100, 100, 100].map(&mut take), [true, true, true, false]);
        assert_eq!([109, 110, 110, 120].map(&mut take), [false, true, false, true]);
        assert_eq!([1000, 1000, 1000, 1000].map(&mut take), [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn it_is_a_token_bucket(
            interval_ns in 1_u64..1000,
            tokens in 1_u64..50,
            gaps in prop::collection::vec(0_u64..3000, 1..200),
        ) {
            let rate = Rate { interval_ns, burst_ns: interval_ns * tokens };
            let mut bucket = Bucket { nanoseconds: rate.burst_ns, last_ns: 0 };
            let (mut full_at, mut now) = (0, 0);
            for gap in gaps {
                now += gap;
                let admitted = admit(full_at, now, rate);
                prop_assert_eq!(admitted.is_some(), bucket.take(now, rate));
                full_at = admitted.unwrap_or(full_at);
            }
        }
    }
}
