//! Two bytes of a string by which most are told apart without a look at the text.

/// Of a string as it is after unescaping. Claims are looked up by name on every request, and names
/// are compared with each other for every token: few of these comparisons get to the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u16);

impl Tag {
    /// Of what is no string.
    pub(super) const NONE: Self = Self(0);
    /// Of a string with escapes, whatever it is without them. No other has it: the first byte of a
    /// UTF-8 text is never 0xff.
    pub(super) const ESCAPED: Self = Self(u16::MAX);

    /// Of a string without escapes.
    pub(super) fn of(plain: &[u8]) -> Self {
        let (Some(first), Some(last)) = (plain.first(), plain.last()) else { return Self::NONE };
        Self(u16::from_be_bytes([*first, last.wrapping_add(plain.len() as u8)]))
    }

    /// Whether two strings with these may be the same.
    pub(super) fn may_match(self, other: Self) -> bool {
        self == other || self == Self::ESCAPED || other == Self::ESCAPED
    }
}
