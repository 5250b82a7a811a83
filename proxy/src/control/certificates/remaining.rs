//! How long a certificate is still good.

use std::time::{Duration, SystemTime};

use crate::tls::Identity;

/// Ahead of its end a certificate is warned of: so long, or for the last third of its time, if that
/// is shorter.
const WARNED_AHEAD: i64 = 14 * 24 * 3600;

/// Seconds relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLeft {
    /// Until it begins to be good; negative where it is.
    pub begins: i64,
    /// Until it ends to be good; negative where it has.
    pub ends: i64,
}

/// How long the certificate of an identity is still good.
#[must_use]
pub fn time_left(identity: &Identity) -> TimeLeft {
    let certificate = identity.certificate();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    TimeLeft {
        begins: certificate.not_before.saturating_sub(now),
        ends: certificate.not_after.saturating_sub(now),
    }
}

impl TimeLeft {
    /// What there is to warn of, if anything.
    #[must_use]
    pub fn warning(self) -> Option<String> {
        let lifetime = self.ends.saturating_sub(self.begins);
        match self {
            Self { begins: 1.., .. } => {
                Some(format!("is not yet valid, for {}", span(self.begins)))
            }
            Self { ends: ..0, .. } => Some(format!("has expired {} ago", span(-self.ends))),
            Self { ends, .. } if ends < WARNED_AHEAD.min(lifetime / 3) => {
                Some(format!("expires in {}", span(ends)))
            }
            Self { .. } => None,
        }
    }
}

/// In the two largest units.
fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let whole = if seconds < 3600 { seconds } else { seconds - seconds % 3600 };
    humantime::format_duration(Duration::from_secs(whole)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_in_its_last_days_and_beyond() {
        let day = 24 * 3600;
        let warning = |begins: i64, ends: i64| TimeLeft { begins, ends }.warning();
        assert_eq!(warning(-day, 89 * day), None);
        assert_eq!(warning(-80 * day, 14 * day), None);
        assert_eq!(warning(-80 * day, 10 * day).unwrap(), "expires in 10days");
        assert_eq!(warning(-3 * day, 3 * day), None, "half of a short life is left");
        assert_eq!(warning(-5 * day, day + 5000).unwrap(), "expires in 1day 1h");
        assert_eq!(warning(-90 * day, -day).unwrap(), "has expired 1day ago");
        assert_eq!(warning(60, 90 * day).unwrap(), "is not yet valid, for 1m");
    }
}
