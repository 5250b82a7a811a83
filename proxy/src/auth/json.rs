//! JSON objects read in one pass and kept beside their text, for header, claims and key sets.
//!
//! Stricter than RFC 8259 where parsers differ, because a token is read by more than one of them:
//! a member name may be there once, compared after unescaping, at every depth; a lone surrogate,
//! a byte-order mark and anything after the object are errors. Numbers stay text and are compared
//! by their exact decimal value.

mod decimal;
mod reader;
mod tag;
mod text;
mod write;

pub use decimal::Decimal;
pub use reader::JsonError;
use tag::Tag;
pub use text::Text;
pub(super) use write::write_json;

/// Levels of objects and arrays in a token, the outermost counted.
const DEPTH_MAX: usize = 16;
/// Members of one object.
const MEMBERS_MAX: usize = 256;

/// One JSON object with everything in it, kept.
pub struct Document {
    text: Box<str>,
    nodes: Box<[Node]>,
}

/// One JSON object with everything in it, where its text and nodes lie.
#[derive(Clone, Copy)]
pub(super) struct View<'d> {
    text: &'d str,
    /// In the order of the text: an object's node is followed by name and value of each member in
    /// turn, an array's by its elements.
    nodes: &'d [Node],
}

/// Where a value is in the text: positions instead of references, so that it can be kept.
#[derive(Clone, Copy)]
pub(super) struct Node {
    kind: Kind,
    /// Of a string.
    tag: Tag,
    /// The bytes of a scalar, without the quotes of a string.
    start: u32,
    end: u32,
    /// The index of the first node after this value.
    next: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    False,
    True,
    Number,
    String { escaped: bool },
    Array,
    Object,
}

/// A value inside an object that was read.
#[derive(Clone, Copy)]
pub enum Value<'d> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written.
    Number(&'d str),
    /// A string.
    String(Text<'d>),
    /// An array.
    Array(Array<'d>),
    /// An object.
    Object(Object<'d>),
}

/// An array inside an object that was read.
#[derive(Clone, Copy)]
pub struct Array<'d> {
    document: View<'d>,
    index: usize,
}

/// An object that was read, or one inside it.
#[derive(Clone, Copy)]
pub struct Object<'d> {
    document: View<'d>,
    index: usize,
}

impl Document {
    /// Reads a text that is one object and nothing else.
    ///
    /// # Errors
    /// When it is not, or is deeper or wider than the limits, or names a member twice.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        Self::parse_within(text, DEPTH_MAX)
    }

    /// As [`Self::parse`], with as many levels of objects and arrays at most.
    ///
    /// # Errors
    /// As there.
    pub fn parse_within(text: &[u8], depth_max: usize) -> Result<Self, JsonError> {
        View::parse(text, depth_max, &mut Vec::new()).map(View::to_document)
    }

    /// The outermost object.
    #[must_use]
    pub fn root(&self) -> Object<'_> {
        View { text: &self.text, nodes: &self.nodes }.root()
    }

    /// The bytes of heap it holds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.nodes)
    }
}

impl<'d> View<'d> {
    /// What a token may have in a segment, as [`Document::parse`] reads it, with the nodes put into
    /// `nodes` in place of what is there.
    pub(super) fn parse_segment(
        text: &'d [u8],
        nodes: &'d mut Vec<Node>,
    ) -> Result<Self, JsonError> {
        Self::parse(text, DEPTH_MAX, nodes)
    }

    fn parse(
        text: &'d [u8],
        depth_max: usize,
        nodes: &'d mut Vec<Node>,
    ) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        nodes.clear();
        reader::read(text, depth_max, nodes)?;
        Ok(Self { text, nodes })
    }

    /// A copy to keep.
    pub(super) fn to_document(self) -> Document {
        Document { text: self.text.into(), nodes: self.nodes.into() }
    }

    /// The outermost object.
    pub(super) fn root(self) -> Object<'d> {
        Object { document: self, index: 0 }
    }

    fn slice(self, node: Node) -> &'d str {
        &self.text[node.start as usize..node.end as usize]
    }

    fn text_at(self, index: usize) -> Text<'d> {
        let node = self.nodes[index];
        Text::new(self.slice(node), node.kind == Kind::String { escaped: true })
    }

    fn value(self, index: usize) -> Value<'d> {
        let node = self.nodes[index];
        match node.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Number => Value::Number(self.slice(node)),
            Kind::String { .. } => Value::String(self.text_at(index)),
            Kind::Array => Value::Array(Array { document: self, index }),
            Kind::Object => Value::Object(Object { document: self, index }),
        }
    }

    /// Where the name is that `is_it` is true of, among those of the members in `start..end` that
    /// have this tag.
    fn find_name(
        self,
        (start, end): (usize, usize),
        tag: Tag,
        is_it: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let nodes = &self.nodes[..end];
        let mut name = start;
        while let Some(value) = nodes.get(name + 1) {
            if nodes[name].tag.may_match(tag) && is_it(name) {
                return Some(name);
            }
            name = value.next as usize;
        }
        None
    }

    fn after(self, index: usize) -> usize {
        self.nodes[index].next as usize
    }
}

impl<'d> Object<'d> {
    /// A copy to keep of the document that this is the outermost object of.
    pub(super) fn to_document(self) -> Document {
        debug_assert_eq!(self.index, 0, "an object inside another is not a document");
        self.document.to_document()
    }

    /// The members in the order of the text.
    pub fn members(self) -> impl Iterator<Item = (Text<'d>, Value<'d>)> {
        let Self { document, index } = self;
        let end = document.after(index);
        let mut at = index + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let (name, value) = (at, at + 1);
                at = document.after(value);
                (document.text_at(name), document.value(value))
            })
        })
    }

    /// The value of the member with this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        let Self { document, index } = self;
        let members = (index + 1, document.after(index));
        let is_it = |at| document.text_at(at) == *name;
        let name = document.find_name(members, Tag::of(name.as_bytes()), is_it)?;
        Some(document.value(name + 1))
    }
}

impl<'d> Array<'d> {
    /// The elements in order.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        let Self { document, index } = self;
        let end = document.after(index);
        let mut at = index + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let element = at;
                at = document.after(element);
                document.value(element)
            })
        })
    }
}

impl<'d> Value<'d> {
    /// The string, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<Text<'d>> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

#[cfg(test)]
mod tests;
