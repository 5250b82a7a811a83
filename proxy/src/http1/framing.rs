//! Where a message body ends (RFC 9112 section 6), from the fields that say so.

use super::Version;
use super::fields::{Sole, Survey};

/// How long a body is, and how its end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks, up to the last one.
    Chunked,
    /// Up to the end of the connection; responses only.
    UntilClose,
}

/// Why the framing of a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramingFault {
    LengthSyntax,
    LengthDuplicate,
    CodingAndLength,
    CodingDuplicate,
    CodingSyntax,
    CodingUnknown,
    CodingHttp10,
    FramingAlias,
}

/// What the framing fields declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads the framing fields of a request or response. Stricter than RFC 9112 section 6.3 allows: a
/// repeated Content-Length is refused though its values agree, because not all recipients compare.
pub(super) fn declared(survey: &Survey<'_>, version: Version) -> Result<Declared, FramingFault> {
    if survey.framing_alias {
        return Err(FramingFault::FramingAlias);
    }
    if survey.transfer_encoding.is_present() && survey.content_length.is_present() {
        return Err(FramingFault::CodingAndLength);
    }
    match survey.transfer_encoding {
        Sole::Absent => {}
        Sole::Several => return Err(FramingFault::CodingDuplicate),
        Sole::Once(_) if version == Version::Http10 => return Err(FramingFault::CodingHttp10),
        Sole::Once(coding) if coding.eq_ignore_ascii_case(b"chunked") => {
            return Ok(Declared::Chunked);
        }
        Sole::Once(codings) => return Err(refused_coding(codings)),
    }
    match survey.content_length {
        Sole::Absent => Ok(Declared::Nothing),
        Sole::Several => Err(FramingFault::LengthDuplicate),
        Sole::Once(digits) => {
            parse_length(digits).map(Declared::Length).ok_or(FramingFault::LengthSyntax)
        }
    }
}

/// Digits a Content-Length may have: the most that always fit a u64.
const LENGTH_DIGITS_MAX: usize = 19;

fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0_u64, |length, digit| {
        digit.is_ascii_digit().then(|| length * 10 + u64::from(digit - b'0'))
    })
}

/// Tells a coding we do not have before a final `chunked` (RFC 9112 section 6.1: 501) from a list
/// whose end of body cannot be known (section 6.3: 400).
fn refused_coding(codings: &[u8]) -> FramingFault {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut from_last = codings.rsplit(|&byte| byte == b',');
    let final_chunked = from_last.next().is_some_and(is_chunked);
    if final_chunked
        && from_last.all(|coding| !is_chunked(coding) && !coding.trim_ascii().is_empty())
    {
        FramingFault::CodingUnknown
    } else {
        FramingFault::CodingSyntax
    }
}
