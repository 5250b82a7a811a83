//! Why a field section is refused, found by walking it again: only refused heads pay for the walk.

use super::connection::is_token_byte;

/// A fault in the lines of a head, of a request and of a response alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadFault {
    BareLf,
    BareCr,
    ControlByte,
    ObsoleteFold,
    SpaceInName,
    FieldName,
}

/// Where the walk is in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Name,
    Value,
}

/// The first fault of a head whose start line is good, or `FieldName` where the walk finds none.
///
/// It depends on nothing after the fault, so that bytes that come one by one get the same answer.
pub(super) fn field_fault(head: &[u8]) -> HeadFault {
    let Some(start_line_end) = memchr::memchr(b'\n', head) else { return HeadFault::BareCr };
    if !head[..start_line_end].ends_with(b"\r") {
        return HeadFault::BareLf;
    }
    let mut place = Place::Start;
    let mut bytes = head[start_line_end + 1..].iter().copied();
    while let Some(byte) = bytes.next() {
        place = match (byte, place) {
            (b'\n', Place::Start | Place::Value) => return HeadFault::BareLf,
            (b'\r', Place::Start | Place::Value) => match bytes.next() {
                Some(b'\n') => Place::Start,
                _ => return HeadFault::BareCr,
            },
            (b' ' | b'\t', Place::Start) => return HeadFault::ObsoleteFold,
            (b' ' | b'\t', Place::Name) => return HeadFault::SpaceInName,
            (b':', Place::Name) => Place::Value,
            (_, Place::Start | Place::Name) if is_token_byte(byte) => Place::Name,
            (_, Place::Start | Place::Name) => return HeadFault::FieldName,
            (0..b' ' | 0x7f, Place::Value) if byte != b'\t' => return HeadFault::ControlByte,
            (_, Place::Value) => Place::Value,
        };
    }
    HeadFault::FieldName
}
