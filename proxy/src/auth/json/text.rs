//! A string of a document: compared and copied without unescaping it first.

use std::borrow::Cow;

/// The inside of a string literal that the reader has accepted.
#[derive(Clone, Copy)]
pub struct Text<'d> {
    raw: &'d str,
    escaped: bool,
}

impl<'d> Text<'d> {
    /// `raw` is the text between the quotes; `escaped` says whether it has a backslash.
    pub(super) fn new(raw: &'d str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The string itself; copied only where it has escapes.
    #[must_use]
    pub fn to_cow(self) -> Cow<'d, str> {
        if self.escaped { Cow::Owned(self.chars().collect()) } else { Cow::Borrowed(self.raw) }
    }

    /// The characters, unescaped.
    pub fn chars(self) -> impl Iterator<Item = char> + 'd {
        let mut raw = self.raw.chars();
        std::iter::from_fn(move || match raw.next()? {
            '\\' => Some(unescape(&mut raw)),
            plain => Some(plain),
        })
    }

    /// The bytes of the string in UTF-8.
    #[must_use]
    pub fn len(self) -> usize {
        if self.escaped { self.chars().map(char::len_utf8).sum() } else { self.raw.len() }
    }

    /// Whether it is the empty string.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Whether it begins with `prefix`.
    #[must_use]
    pub fn starts_with(self, prefix: &str) -> bool {
        let mut chars = self.chars();
        prefix.chars().all(|wanted| chars.next() == Some(wanted))
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.escaped { self.chars().eq(other.chars()) } else { self.raw == other }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.escaped || other.escaped {
            self.chars().eq(other.chars())
        } else {
            self.raw == other.raw
        }
    }
}

/// What follows a backslash. The reader has made sure that it is one of these and that surrogates
/// come in pairs, so the replacement character is never made.
fn unescape(raw: &mut std::str::Chars<'_>) -> char {
    match raw.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let first = code_unit(raw);
            if (0xd800..0xdc00).contains(&first) {
                let _backslash_and_u = (raw.next(), raw.next());
                let second = code_unit(raw);
                let scalar =
                    0x1_0000 + ((first - 0xd800) << 10) + (second.wrapping_sub(0xdc00) & 0x3ff);
                char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
            } else {
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        }
        Some(itself) => itself,
        None => char::REPLACEMENT_CHARACTER,
    }
}

fn code_unit(raw: &mut std::str::Chars<'_>) -> u32 {
    raw.by_ref().take(4).fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or_default())
}
