//! What a run measured.

use std::time::Duration;

use serde_json::{Value, json};

/// How long each exchange took, and the bytes that came.
#[derive(Default)]
pub(crate) struct Figures {
    times_us: Vec<u32>,
    bytes: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, took: Duration, bytes: u64) {
        self.times_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.bytes += bytes;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.times_us.extend(other.times_us);
        self.bytes += other.bytes;
    }

    pub(crate) fn json(mut self, took: Duration) -> Value {
        self.times_us.sort_unstable();
        let share = |thousandths: usize| {
            let at = self.times_us.len() * thousandths / 1000;
            self.times_us.get(at).or(self.times_us.last()).copied().unwrap_or_default()
        };
        json!({
            "requests": self.times_us.len(),
            "bytes": self.bytes,
            "duration_us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "p50_us": share(500),
            "p99_us": share(990),
            "p999_us": share(999),
            "bad_status": 0,
            "socket_errors": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Figures;

    #[test]
    fn shares_are_of_all_times_in_order() {
        let mut figures = Figures::default();
        for us in (0..1000).rev() {
            figures.add(Duration::from_micros(us), 2);
        }
        let result = figures.json(Duration::from_secs(1));
        let number = |key: &str| result[key].as_u64();
        assert_eq!(
            (number("p50_us"), number("p99_us"), number("p999_us")),
            (Some(500), Some(990), Some(999))
        );
        assert_eq!((number("requests"), number("bytes")), (Some(1000), Some(2000)));
    }
}
