//! Field lines of a head, classified in one pass: what frames the message, what is not forwarded.

use std::mem::MaybeUninit;

use super::connection::{self, ConnectionFault, ConnectionOptions};
use super::diagnosis::HeadFault;
use crate::snapshot::limits::Limits;

/// One field line: its name as sent, its value without surrounding whitespace.
pub type Field<'b> = httparse::Header<'b>;

/// Room on the stack for the fields of one head.
pub struct FieldSlots<'b>([MaybeUninit<Field<'b>>; Limits::HEAD_FIELDS_MAX]);

impl FieldSlots<'_> {
    /// How many there are.
    pub(super) const LEN: usize = Limits::HEAD_FIELDS_MAX;

    /// Empty slots; nothing is written.
    #[must_use]
    pub fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; Limits::HEAD_FIELDS_MAX])
    }
}

impl<'b> FieldSlots<'b> {
    /// As many slots as `limit` allows: the parser refuses the field after the last one.
    pub(super) fn up_to(&mut self, limit: usize) -> &mut [MaybeUninit<Field<'b>>] {
        let len = limit.min(self.0.len());
        &mut self.0[..len]
    }
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A set of positions in a field table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FieldSet(u128);

const _: () = assert!(Limits::HEAD_FIELDS_MAX <= u128::BITS as usize);

impl FieldSet {
    /// Adds a position.
    pub(super) fn insert(&mut self, position: usize) {
        debug_assert!(position < Limits::HEAD_FIELDS_MAX);
        self.0 |= 1 << position;
    }

    /// Whether a position is in the set.
    pub(super) fn contains(self, position: usize) -> bool {
        (self.0 >> position) & 1 == 1
    }

    /// The fields whose position is not in the set, in order.
    pub(super) fn others<'f, 'b>(
        self,
        fields: &'f [Field<'b>],
    ) -> impl Iterator<Item = &'f Field<'b>> {
        fields.iter().enumerate().filter(move |(at, _)| !self.contains(*at)).map(|(_, field)| field)
    }
}

/// A field that a message may carry once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sole<'b> {
    #[default]
    Absent,
    Once(&'b [u8]),
    Several,
}

impl<'b> Sole<'b> {
    fn add(&mut self, value: &'b [u8]) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Several => Self::Several,
        };
    }

    pub(super) fn is_present(self) -> bool {
        self != Self::Absent
    }
}

/// What one pass over the fields found.
#[derive(Debug, Default)]
pub(super) struct Survey<'b> {
    /// The fields that are not forwarded.
    pub(super) withheld: FieldSet,
    pub(super) host: Sole<'b>,
    pub(super) content_length: Sole<'b>,
    pub(super) transfer_encoding: Sole<'b>,
    /// A field is there that [`names_alike`] takes for one of these two, and that is neither.
    pub(super) framing_alias: bool,
    pub(super) upgrade: Sole<'b>,
    pub(super) expect: Sole<'b>,
    pub(super) connection: ConnectionOptions,
}

/// Why the fields of a head are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldFault {
    Head(HeadFault),
    Connection(ConnectionFault),
}

/// Looks once at each field of a head that httparse accepted in `bytes`.
///
/// httparse takes a bare LF for a line end. That is seen here without a second scan: it has checked
/// that a CR is followed by LF, so the one byte after a value tells how its line ends.
pub(super) fn survey<'b>(bytes: &[u8], fields: &[Field<'b>]) -> Result<Survey<'b>, FieldFault> {
    let mut survey = Survey::default();
    for (at, field) in fields.iter().enumerate() {
        if !ends_in_crlf(bytes, field.value) {
            return Err(FieldFault::Head(HeadFault::BareLf));
        }
        if is_withheld(field, &mut survey).map_err(FieldFault::Connection)? {
            survey.withheld.insert(at);
        }
    }
    if survey.connection.nominates() {
        for option in connection::listed(fields) {
            for (at, field) in fields.iter().enumerate() {
                if field.name.as_bytes().eq_ignore_ascii_case(option)
                    && !connection::is_protected(option)
                {
                    survey.withheld.insert(at);
                }
            }
        }
    }
    Ok(survey)
}

/// Whether the line of `value`, a part of `bytes`, ends in CR LF.
pub(super) fn ends_in_crlf(bytes: &[u8], value: &[u8]) -> bool {
    let mut end = (value.as_ptr().addr() + value.len()).wrapping_sub(bytes.as_ptr().addr());
    // Whitespace after a value is not part of it.
    while let Some(b' ' | b'\t') = bytes.get(end) {
        end += 1;
    }
    bytes.get(end) == Some(&b'\r')
}

/// Notes what a field says of the message itself, and whether it stays on this hop.
///
/// By length and first letter, so that a field of no interest costs one jump.
fn is_withheld<'b>(field: &Field<'b>, survey: &mut Survey<'b>) -> Result<bool, ConnectionFault> {
    let name = field.name.as_bytes();
    let Some(first) = name.first() else { return Ok(false) };
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    Ok(match (name.len(), first | 0x20) {
        (4, b'h') if is("host") => {
            survey.host.add(field.value);
            true
        }
        (14, b'c') if is("content-length") => {
            survey.content_length.add(field.value);
            true
        }
        (17, b't') if is("transfer-encoding") => {
            survey.transfer_encoding.add(field.value);
            true
        }
        (14, b'c') => {
            survey.framing_alias |= names_alike(field.name, "content-length");
            false
        }
        (17, b't') => {
            survey.framing_alias |= names_alike(field.name, "transfer-encoding");
            false
        }
        (10, b'c') if is("connection") => {
            survey.connection.add(field.value)?;
            true
        }
        (7, b'u') if is("upgrade") => {
            survey.upgrade.add(field.value);
            true
        }
        (6, b'e') if is("expect") => {
            survey.expect.add(field.value);
            true
        }
        (2, b't') => is("te"),
        (7, b't') => is("trailer"),
        (10, b'k') => is("keep-alive"),
        (14, b'h') => is("http2-settings"),
        // `Proxy` becomes the HTTP_PROXY of CGI programs (CVE-2016-5385).
        (5, b'p') => is("proxy"),
        (7.., b'p') => name[..6].eq_ignore_ascii_case(b"proxy-"),
        _ => false,
    })
}

/// Whether two field names become the same variable in an upstream that follows CGI, where case is
/// folded and, at many servers, everything but letters and digits becomes `_`: such an upstream
/// takes `X_User` and `X.User` for `X-User`.
///
/// Whoever removes a client's copy of a field that the gateway vouches for compares with this.
#[must_use]
pub fn names_alike(one: &str, other: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
    };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| fold(a) == fold(b))
}
