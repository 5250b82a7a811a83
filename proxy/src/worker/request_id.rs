//! A name for each request, by which its lines in all logs are found.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

use crate::http1::{Field, names_alike};
use crate::snapshot::field_edits::RequestIdRule;

/// The longest that is kept.
const BYTES_MAX: usize = 64;

/// The name of a request: visible characters that stand in a field, a log and a URL as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId {
    bytes: [u8; BYTES_MAX],
    length: u8,
}

impl RequestId {
    /// Takes over a name that somebody else has chosen, if it is a valid one.
    fn parse(text: &[u8]) -> Option<Self> {
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
        let length = u8::try_from(text.len()).ok().filter(|length| *length > 0)?;
        let mut bytes = [0; BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        text.iter().all(is_valid).then_some(Self { bytes, length })
    }

    /// The name a request goes by under a rule: the client's own, or a new one.
    pub(super) fn of(
        rule: &RequestIdRule,
        fields: &[Field<'_>],
        source: &RequestIds,
        time: SystemTime,
    ) -> Self {
        let mut own = fields.iter().filter(|field| names_alike(field.name, &rule.header));
        let kept = match (own.next(), own.next()) {
            (Some(one), None) if rule.keep => Self::parse(one.value),
            _ => None,
        };
        kept.unwrap_or_else(|| source.make(time))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(super) fn as_str(&self) -> &str {
        // Nothing else is accepted or made.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes names that no other request has: UUIDs of version 7 (RFC 9562 section 5.7), which sort by
/// time. Their bits are not secret.
#[derive(Debug)]
pub(super) struct RequestIds(Cell<u64>);

impl RequestIds {
    pub(super) fn new() -> Self {
        // Seeded by the system, as the standard library's hash maps are.
        Self(Cell::new(RandomState::new().hash_one(SystemTime::now())))
    }

    /// SplitMix64: a full period, and no two workers begin at the same place but by chance.
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn make(&self, time: SystemTime) -> RequestId {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let high = (milliseconds << 16) | 0x7000 | (self.next() >> 52);
        let low = (1 << 63) | (self.next() >> 2);
        let mut bytes = [0; BYTES_MAX];
        let mut digits = (u128::from(high) << 64) | u128::from(low);
        for at in (0..UUID_BYTES).rev() {
            bytes[at] = if matches!(at, 8 | 13 | 18 | 23) {
                b'-'
            } else {
                let digit = b"0123456789abcdef"[(digits & 0xf) as usize];
                digits >>= 4;
                digit
            };
        }
        RequestId { bytes, length: UUID_BYTES as u8 }
    }
}

const UUID_BYTES: usize = 36;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_made_one_is_a_uuid_of_version_7() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(0x0123_4567_89ab);
        let ids = RequestIds::new();
        let all: HashSet<String> = (0..10_000).map(|_| ids.make(time).as_str().into()).collect();
        assert_eq!(all.len(), 10_000);
        for id in &all {
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(id.starts_with("01234567-89ab-7"), "{id}");
            assert!(matches!(parts[3].as_bytes()[0], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }

    #[test]
    fn a_clients_own_is_kept_only_if_it_is_a_valid_one_and_the_only_one() {
        let rule = |keep| RequestIdRule { header: "x-request-id".into(), keep };
        let ids = RequestIds::new();
        let field = |name, value: &'static str| Field { name, value: value.as_bytes() };
        let of = |keep, fields: &[Field<'_>]| {
            let id = RequestId::of(&rule(keep), fields, &ids, SystemTime::now());
            id.as_str().to_owned()
        };
        let long = Box::leak("a".repeat(65).into_boxed_str());
        assert_eq!(of(true, &[field("X-Request-Id", "abc-1")]), "abc-1");
        assert_eq!(of(true, &[field("x_request_id", "a/b+c=")]), "a/b+c=");
        for fields in [
            &[][..],
            &[field("X-Request-Id", "")],
            &[field("X-Request-Id", "a b")],
            &[field("X-Request-Id", "a\"b")],
            &[field("X-Request-Id", long)],
            &[field("X-Request-Id", "a"), field("X-Request-Id", "a")],
        ] {
            assert_eq!(of(true, fields).len(), UUID_BYTES, "{fields:?}");
        }
        assert_eq!(of(false, &[field("X-Request-Id", "abc-1")]).len(), UUID_BYTES);
    }
}
