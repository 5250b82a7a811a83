//! From text to nodes: the grammar of RFC 8259, the limits, and the search for duplicates.

use super::{Kind, MEMBERS_MAX, Node, Tag, View};

/// Why a text is not an object that can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A byte-order mark in front.
    #[error("begins with a byte-order mark")]
    ByteOrderMark,
    /// A value, but no object.
    #[error("not an object")]
    NotAnObject,
    /// Not JSON.
    #[error("not JSON at byte {0}")]
    Syntax(usize),
    /// Objects and arrays inside each other beyond the limit.
    #[error("more levels of objects and arrays than allowed")]
    TooDeep,
    /// An object with more members than the limit.
    #[error("more than {MEMBERS_MAX} members in one object")]
    TooManyMembers,
    /// A name that its object has already.
    #[error("duplicate member at byte {0}")]
    DuplicateMember(usize),
    /// Something after the object.
    #[error("something after the object at byte {0}")]
    TrailingBytes(usize),
    /// Longer than positions reach.
    #[error("longer than 4 GiB")]
    TooLong,
}

/// Puts the nodes of the one object that `text` is into `nodes`, which is empty.
pub(super) fn read(text: &str, depth_max: usize, nodes: &mut Vec<Node>) -> Result<(), JsonError> {
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError::TooLong);
    }
    let mut reader = Reader { text, at: 0, nodes };
    reader.skip_whitespace();
    if reader.peek() != Some(b'{') {
        // Told apart for the message only: both are refused.
        let result = reader.value(depth_max);
        return Err(result.err().unwrap_or(JsonError::NotAnObject));
    }
    reader.value(depth_max)?;
    reader.skip_whitespace();
    if reader.at < text.len() {
        return Err(JsonError::TrailingBytes(reader.at));
    }
    Ok(())
}

struct Reader<'t, 'n> {
    text: &'t str,
    at: usize,
    nodes: &'n mut Vec<Node>,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it is next.
    fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.accept(byte) { Ok(()) } else { Err(self.syntax()) }
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }

    /// Adds a node that ends with itself; a container's `next` is set when its end is known.
    fn push(&mut self, kind: Kind, tag: Tag, start: usize, end: usize) -> usize {
        let index = self.nodes.len();
        // Positions are below the text's length, which fits, and a node takes at least one byte.
        self.nodes.push(Node {
            kind,
            tag,
            start: start as u32,
            end: end as u32,
            next: index as u32 + 1,
        });
        index
    }

    fn close(&mut self, index: usize) {
        self.nodes[index].next = self.nodes.len() as u32;
    }

    /// Reads a value with `levels` levels to go, which bounds the recursion.
    fn value(&mut self, levels: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.object(levels.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Some(b'[') => self.array(levels.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Kind::True),
            Some(b'f') => self.literal("false", Kind::False),
            Some(b'n') => self.literal("null", Kind::Null),
            _ => Err(self.syntax()),
        }
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<(), JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, Tag::NONE, start, self.at);
        Ok(())
    }

    fn object(&mut self, levels: usize) -> Result<(), JsonError> {
        let object = self.push(Kind::Object, Tag::NONE, self.at, self.at);
        self.at += 1;
        self.skip_whitespace();
        if self.accept(b'}') {
            return Ok(());
        }
        for _ in 0..MEMBERS_MAX {
            let start = self.at;
            let name = self.string()?;
            if self.is_duplicate(object, name) {
                return Err(JsonError::DuplicateMember(start));
            }
            self.skip_whitespace();
            self.expect(b':')?;
            self.skip_whitespace();
            self.value(levels)?;
            self.skip_whitespace();
            if self.accept(b'}') {
                self.close(object);
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_whitespace();
        }
        Err(JsonError::TooManyMembers)
    }

    fn array(&mut self, levels: usize) -> Result<(), JsonError> {
        let array = self.push(Kind::Array, Tag::NONE, self.at, self.at);
        self.at += 1;
        self.skip_whitespace();
        if self.accept(b']') {
            return Ok(());
        }
        loop {
            self.value(levels)?;
            self.skip_whitespace();
            if self.accept(b']') {
                self.close(array);
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_whitespace();
        }
    }

    /// Whether the name at node `name` is that of an earlier member of `object`. Every pair is
    /// compared, which [`MEMBERS_MAX`] bounds: 256 members are 33,000 comparisons, almost all of
    /// which end at the tag.
    fn is_duplicate(&self, object: usize, name: usize) -> bool {
        let read = View { text: self.text, nodes: self.nodes };
        let is_same = |earlier| read.text_at(earlier) == read.text_at(name);
        read.find_name((object + 1, name), self.nodes[name].tag, is_same).is_some()
    }

    fn string(&mut self) -> Result<usize, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_plain();
        let escaped = self.peek() == Some(b'\\');
        while self.accept(b'\\') {
            self.escape()?;
            self.skip_plain();
        }
        let end = self.at;
        self.expect(b'"')?;
        let raw = &self.text.as_bytes()[start..end];
        let tag = if escaped { Tag::ESCAPED } else { Tag::of(raw) };
        Ok(self.push(Kind::String { escaped }, tag, start, end))
    }

    /// Steps over what is neither a quote nor a backslash nor a control character.
    fn skip_plain(&mut self) {
        self.at += plain_bytes(&self.text.as_bytes()[self.at..]);
    }

    /// Steps over what follows a backslash.
    fn escape(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                match self.code_unit()? {
                    0xd800..0xdc00 => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        match self.code_unit()? {
                            0xdc00..0xe000 => Ok(()),
                            _ => Err(self.syntax()),
                        }
                    }
                    0xdc00..0xe000 => Err(self.syntax()),
                    _ => Ok(()),
                }
            }
            _ => Err(self.syntax()),
        }
    }

    fn code_unit(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.syntax()) };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.accept(b'-');
        if !self.accept(b'0') {
            self.digits()?;
        }
        if self.accept(b'.') {
            self.digits()?;
        }
        if self.accept(b'e') || self.accept(b'E') {
            if !self.accept(b'+') {
                self.accept(b'-');
            }
            self.digits()?;
        }
        self.push(Kind::Number, Tag::NONE, start, self.at);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.syntax()) } else { Ok(()) }
    }
}

/// How many bytes in front are neither a quote nor a backslash nor a control character. Eight are
/// looked at together, by the exact test of "Bit Twiddling Hacks" for a byte that is zero or below
/// 128: what it finds beyond the first such byte may be wrong, and is not looked at.
pub(super) fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, b' ') | is(word, b'"') | is(word, b'\\');
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
    words.len() * 8 + in_rest.unwrap_or(rest.len())
}
