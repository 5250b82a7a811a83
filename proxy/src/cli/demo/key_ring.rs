//! The issuer's keys over time: each is published before it signs and stays while its tokens live.
//!
//! ```text
//! upcoming (published) --rotate--> current (signs) --rotate--> retired (published) --expired--> gone
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::token::{SigningKey, SigningKeyError};
use crate::snapshot::key_set::Algorithm;

/// Keys published before they sign: so many rotations a gateway has to fetch a key.
const UPCOMING: usize = 3;
/// A token lives for so many rotations, so that a set holds so many retired keys; a gateway takes
/// 128 at most.
const TOKEN_ROTATIONS: u32 = 30;
/// No token lives longer.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// The keys.
pub(super) struct KeyRing {
    rotate_every: Duration,
    /// The next to sign first.
    upcoming: VecDeque<SigningKey>,
    current: SigningKey,
    /// The oldest first, each with the time at which its last token has expired.
    retired: VecDeque<(SigningKey, Instant)>,
    made: u32,
}

impl KeyRing {
    /// A ring with its first keys.
    pub(super) fn new(rotate_every: Duration) -> Result<Self, SigningKeyError> {
        let mut ring = Self {
            rotate_every,
            upcoming: VecDeque::new(),
            current: new_key(1)?,
            retired: VecDeque::new(),
            made: 1,
        };
        for _ in 0..UPCOMING {
            ring.publish_another()?;
        }
        Ok(ring)
    }

    fn publish_another(&mut self) -> Result<(), SigningKeyError> {
        self.made += 1;
        self.upcoming.push_back(new_key(self.made)?);
        Ok(())
    }

    /// The next key signs from now on, another is published, and keys without a living token go.
    pub(super) fn rotate(&mut self, now: Instant) -> Result<(), SigningKeyError> {
        self.publish_another()?;
        if let Some(next) = self.upcoming.pop_front() {
            let old = std::mem::replace(&mut self.current, next);
            self.retired.push_back((old, now + self.token_lifetime()));
        }
        while self.retired.front().is_some_and(|(_, expired)| *expired <= now) {
            self.retired.pop_front();
        }
        Ok(())
    }

    /// How long a token signed now is good for.
    pub(super) fn token_lifetime(&self) -> Duration {
        self.rotate_every.saturating_mul(TOKEN_ROTATIONS).min(TOKEN_LIFETIME_MAX)
    }

    /// The key that signs.
    pub(super) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The public halves as a JWK set.
    pub(super) fn jwks(&self) -> Value {
        let retired = self.retired.iter().map(|(key, _)| key);
        let keys = retired.chain([&self.current]).chain(&self.upcoming);
        json!({ "keys": keys.map(SigningKey::public_jwk).collect::<Vec<_>>() })
    }
}

fn new_key(number: u32) -> Result<SigningKey, SigningKeyError> {
    SigningKey::generate(Algorithm::Es256, &format!("demo-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(ring: &KeyRing) -> Vec<String> {
        let jwks = ring.jwks();
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        let every = Duration::from_secs(60);
        let mut ring = KeyRing::new(every).unwrap();
        let mut now = Instant::now();
        assert_eq!(kids(&ring), ["demo-1", "demo-2", "demo-3", "demo-4"]);
        assert_eq!(ring.current().kid(), Some("demo-1"));
        now += every;
        ring.rotate(now).unwrap();
        assert_eq!(ring.current().kid(), Some("demo-2"));
        assert_eq!(kids(&ring), ["demo-1", "demo-2", "demo-3", "demo-4", "demo-5"]);
    }

    #[test]
    fn a_retired_key_goes_when_its_last_token_has_expired() {
        let every = Duration::from_secs(60);
        let mut ring = KeyRing::new(every).unwrap();
        let retired_at = Instant::now();
        ring.rotate(retired_at).unwrap();
        let expired = retired_at + ring.token_lifetime();
        ring.rotate(expired - Duration::from_nanos(1)).unwrap();
        assert!(kids(&ring).contains(&"demo-1".to_owned()));
        ring.rotate(expired).unwrap();
        assert!(!kids(&ring).contains(&"demo-1".to_owned()));
    }

    #[test]
    fn a_set_stays_small_and_private_however_long_it_rotates() {
        let every = Duration::from_secs(1);
        let mut ring = KeyRing::new(every).unwrap();
        let mut now = Instant::now();
        for _ in 0..200 {
            now += every;
            ring.rotate(now).unwrap();
        }
        assert!(kids(&ring).len() <= 64, "{} keys", kids(&ring).len());
        assert!(ring.jwks()["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()));
    }
}
