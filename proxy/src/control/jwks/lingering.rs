//! Keys that have vanished from a set: an issuer may drop a key before the last token signed by it
//! has expired, and a provider may allow such keys for a while.
//!
//! ```text
//!              vanishes                    key_grace is over, or its kid is another key's
//! in the set ------------> lingering ------------------------------------------------> gone
//!      ^                       |
//!      +----- comes back ------+
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::parse::{IgnoredKey, KEYS_MAX};
use crate::snapshot::key_set::{KeySet, VerificationKey};

/// The vanished keys of one source, the first to vanish first.
#[derive(Debug, Default)]
pub(super) struct LingeringKeys {
    keys: VecDeque<(VerificationKey, Instant)>,
    /// The longest that any provider allows.
    pub(super) grace_max: Duration,
}

impl LingeringKeys {
    /// Another set takes the place of the one before.
    pub(super) fn replaced(
        &mut self,
        before: Option<&KeySet>,
        after: &KeySet,
        ignored: &[IgnoredKey],
        now: Instant,
    ) {
        let vanished = before.into_iter().flatten().map(|key| (key.clone(), now));
        self.keys.extend(vanished);
        // A key of its name that cannot be used has taken its place all the same.
        let named = |kid: Option<&str>| {
            after.iter().any(|key| key.kid() == kid)
                || ignored.iter().any(|key| key.kid.as_deref() == kid)
        };
        let grace = self.grace_max;
        self.keys.retain(|(key, since)| !named(key.kid()) && *since + grace > now);
        // An issuer that changes all its keys all the time is not worth more memory.
        self.keys.drain(..self.keys.len().saturating_sub(KEYS_MAX));
    }

    /// The keys that a provider with this grace may still use, and until when.
    pub(super) fn within(
        &self,
        grace: Duration,
        now: Instant,
    ) -> impl Iterator<Item = (&VerificationKey, Instant)> {
        let each = self.keys.iter().map(move |(key, since)| (key, *since + grace));
        each.filter(move |(_, until)| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::jwks::parse::parse_set;

    /// RFC 8037 appendix A.2, and another point.
    const KEYS: [&str; 2] = [
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "GOGyQDZaVTGG2tMKxjfsPnJfJuzUfQdzTQGNMn0Ngnc",
    ];
    const HOUR: Duration = Duration::from_secs(3600);

    /// A set of keys by name, each followed by which of the two it is.
    fn set(keys: &[(&str, usize)]) -> KeySet {
        let key = |(kid, which): &(&str, usize)| {
            let x = KEYS[*which];
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#)
        };
        let keys: Vec<_> = keys.iter().map(key).collect();
        parse_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap().keys
    }

    fn within(keys: &LingeringKeys, grace: Duration, now: Instant) -> Vec<&str> {
        keys.within(grace, now).map(|(key, _)| key.kid().unwrap()).collect()
    }

    #[test]
    fn a_vanished_key_lingers_as_long_as_its_provider_allows() {
        let now = Instant::now();
        let mut lingering = LingeringKeys { grace_max: HOUR, ..LingeringKeys::default() };
        let (old, new) = (set(&[("a", 0), ("b", 0)]), set(&[("b", 0), ("c", 0)]));
        lingering.replaced(None, &old, &[], now);
        assert_eq!(within(&lingering, HOUR, now), [""; 0]);
        lingering.replaced(Some(&old), &new, &[], now);
        assert_eq!(within(&lingering, HOUR, now), ["a"]);
        assert_eq!(within(&lingering, HOUR / 2, now + HOUR / 2), [""; 0]);
        assert_eq!(within(&lingering, HOUR, now + HOUR - Duration::from_nanos(1)), ["a"]);
        assert_eq!(within(&lingering, HOUR, now + HOUR), [""; 0]);
        lingering.replaced(Some(&new), &old, &[], now);
        assert_eq!(within(&lingering, HOUR, now), ["c"], "what comes back is ordinary again");
    }

    #[test]
    fn a_key_whose_name_is_anothers_now_does_not_linger() {
        let now = Instant::now();
        let mut lingering = LingeringKeys { grace_max: HOUR, ..LingeringKeys::default() };
        let old = set(&[("a", 0), ("b", 0)]);
        lingering.replaced(Some(&old), &set(&[("a", 1)]), &[], now);
        assert_eq!(within(&lingering, HOUR, now), ["b"]);
        let text = br#"{"keys":[{"kty":"AKP","kid":"b"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let parsed = parse_set(text).unwrap();
        lingering.replaced(Some(&set(&[("a", 1)])), &parsed.keys, &parsed.ignored, now);
        assert_eq!(within(&lingering, HOUR, now), ["a"]);
    }

    #[test]
    fn without_grace_and_beyond_the_bound_nothing_is_kept() {
        let now = Instant::now();
        let mut none = LingeringKeys::default();
        none.replaced(Some(&set(&[("a", 0)])), &set(&[("b", 0)]), &[], now);
        assert!(none.keys.is_empty());
        let mut lingering = LingeringKeys { grace_max: HOUR, ..LingeringKeys::default() };
        for n in 0..2 * KEYS_MAX {
            let (old, new) = (format!("k{n}"), format!("k{}", n + 1));
            lingering.replaced(Some(&set(&[(&old, 0)])), &set(&[(&new, 0)]), &[], now);
        }
        assert_eq!(lingering.keys.len(), KEYS_MAX);
        assert_eq!(lingering.keys[KEYS_MAX - 1].0.kid(), Some("k255"));
    }
}
