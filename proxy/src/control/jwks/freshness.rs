//! How long a fetched key set stays fresh, by its HTTP response fields (RFC 9111 section 4.2).

use std::time::Duration;

/// Without a word from the issuer.
const DEFAULT: Duration = Duration::from_secs(300);
/// A shorter life would make every gateway of a fleet a load on the issuer.
const SHORTEST: Duration = Duration::from_secs(60);
/// A longer life would keep a removed key for too long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The response fields that decide, as received; none where a field is missing or not ASCII.
#[derive(Debug, Clone, Copy, Default)]
pub struct CachingFields<'a> {
    /// `Cache-Control`, one item a field line.
    pub cache_control: &'a [&'a str],
    /// `Age`.
    pub age: Option<&'a str>,
    /// `Expires`.
    pub expires: Option<&'a str>,
    /// `Date`.
    pub date: Option<&'a str>,
}

/// The time to live: `max-age` less `Age`, else `Expires` less `Date`, else 300 s; always between
/// 60 s and 24 h. `no-store` and `no-cache` mean the default: a key set is kept whatever they say,
/// and a life of zero would be a fetch loop.
#[must_use]
pub fn time_to_live(fields: CachingFields<'_>) -> Duration {
    let mut max_age = None;
    let lines = fields.cache_control.iter();
    for directive in lines.flat_map(|line| line.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return DEFAULT;
        }
        if name.eq_ignore_ascii_case("max-age") && max_age.is_none() {
            max_age = value.trim_matches('"').parse::<u64>().ok().map(Duration::from_secs);
        }
    }
    let life = match max_age {
        Some(life) => {
            let age = fields.age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            Some(life.saturating_sub(Duration::from_secs(age)))
        }
        None => expires_in(fields),
    };
    life.unwrap_or(DEFAULT).clamp(SHORTEST, LONGEST)
}

/// `Expires` is relative to the issuer's own clock, so without its `Date` it says nothing.
fn expires_in(fields: CachingFields<'_>) -> Option<Duration> {
    let (expires, date) = (imf_fixdate(fields.expires?)?, imf_fixdate(fields.date?)?);
    Some(Duration::from_secs(u64::try_from(expires - date).unwrap_or(0)))
}

/// Seconds since 1970 of an IMF-fixdate (`Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110 section
/// 5.6.7). The two obsolete forms are taken as absent: the default life is a good answer.
fn imf_fixdate(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.trim().split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let whole = parts.next().is_none() && clock.next().is_none();
    let ranges = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    (whole && ranges)
        .then(|| ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that
/// the leap day is the last of the year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_control(value: &str) -> u64 {
        time_to_live(CachingFields { cache_control: &[value], ..CachingFields::default() })
            .as_secs()
    }

    #[test]
    fn max_age_counts_and_is_clamped() {
        assert_eq!(cache_control("public, max-age=600"), 600);
        assert_eq!(cache_control("MAX-AGE=\"700\""), 700);
        assert_eq!(cache_control("max-age=59"), 60);
        assert_eq!(cache_control("max-age=86401"), 86400);
        assert_eq!(cache_control("max-age=99999999999999999999"), 300);
        assert_eq!(cache_control("max-age=-1"), 300);
        assert_eq!(cache_control("s-maxage=900"), 300);
    }

    #[test]
    fn no_store_is_the_default_not_zero() {
        assert_eq!(cache_control("no-store, max-age=0"), 300);
        assert_eq!(cache_control("max-age=900, no-cache"), 300);
    }

    #[test]
    fn a_cache_on_the_way_has_used_some_of_the_life() {
        let fields = CachingFields {
            cache_control: &["public", "max-age=600"],
            age: Some("100"),
            ..CachingFields::default()
        };
        assert_eq!(time_to_live(fields).as_secs(), 500);
        assert_eq!(time_to_live(CachingFields { age: Some("601"), ..fields }).as_secs(), 60);
    }

    #[test]
    fn expires_is_measured_from_date() {
        let fields = CachingFields {
            date: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            expires: Some("Mon, 07 Nov 1994 08:49:36 GMT"),
            ..CachingFields::default()
        };
        assert_eq!(time_to_live(fields).as_secs(), 86399);
        assert_eq!(time_to_live(CachingFields { expires: Some("0"), ..fields }).as_secs(), 300);
        assert_eq!(time_to_live(CachingFields { date: None, ..fields }).as_secs(), 300);
        let past = CachingFields { expires: Some("Sat, 05 Nov 1994 08:49:37 GMT"), ..fields };
        assert_eq!(time_to_live(past).as_secs(), 60);
    }

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(imf_fixdate("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(imf_fixdate("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(imf_fixdate("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(imf_fixdate("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!(imf_fixdate("Tue, 14 Nov 2023 22:13:20"), None);
        assert_eq!(imf_fixdate("Tue, 14 Nov 2023 25:13:20 GMT"), None);
    }
}
