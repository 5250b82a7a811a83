//! The normal form of a path (RFC 3986 sections 5.2.4 and 6.2.2): the one that is matched and
//! forwarded.
//!
//! ```text
//! /a/./b/../c   /a/c       dot segments are resolved
//! //a///b/      /a/b/      empty segments are left out
//! /%7euser      /~user     what needs no encoding has none
//! /a%2fb        /a%2Fb     what is encoded is so in upper case, and stays so
//! ```
//!
//! An encoded slash or backslash separates segments for some recipients and not for others. It is
//! never decoded, and a dot segment beside one is refused: there is no form of it that means the same
//! to all. So is one that leads above the root.

use std::borrow::Cow;

use super::RequestError;
use crate::snapshot::path_normalization::PathNormalization;
use crate::snapshot::route_match::hex_octet;

/// The path in the form asked for. It begins with `/` and has none but allowed bytes.
pub(super) fn normalize(
    path: &str,
    asked: PathNormalization,
) -> Result<Cow<'_, str>, RequestError> {
    let is_normal = check(path.as_bytes(), asked)?;
    if is_normal || asked == PathNormalization::Off {
        Ok(Cow::Borrowed(path))
    } else {
        normal(path).map(Cow::Owned)
    }
}

/// What was read of a segment.
#[derive(Default)]
struct Segment {
    dots: usize,
    others: usize,
    /// An encoded separator stands before it.
    behind_encoded: bool,
}

impl Segment {
    fn is_dots(&self) -> bool {
        self.others == 0 && (self.dots == 1 || self.dots == 2)
    }

    fn is_empty(&self) -> bool {
        self.others == 0 && self.dots == 0
    }
}

/// Whether a path is in normal form, where it has one.
fn check(path: &[u8], asked: PathNormalization) -> Result<bool, RequestError> {
    let mut is_normal = true;
    let mut segment = Segment::default();
    let mut rest = path.get(1..).unwrap_or_default();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'%' => {
                let escape = Escape::read(after)?;
                rest = &after[2..];
                is_normal &= escape.is_normal();
                match escape.octet {
                    b'/' | b'\\' => {
                        if asked == PathNormalization::RejectEncodedSlash {
                            return Err(RequestError::TargetEncodedSlash);
                        }
                        if segment.is_dots() {
                            return Err(RequestError::TargetDotSegment);
                        }
                        segment = Segment { behind_encoded: true, ..Segment::default() };
                    }
                    b'.' => segment.dots += 1,
                    _ => segment.others += 1,
                }
            }
            b'/' => {
                is_normal &= ends_normal(&segment, asked)?;
                is_normal &= !segment.is_empty() || segment.behind_encoded;
                segment = Segment::default();
            }
            b'.' => segment.dots += 1,
            _ => segment.others += 1,
        }
    }
    Ok(is_normal & ends_normal(&segment, asked)?)
}

/// Whether a segment before a slash or the end is none of dots.
fn ends_normal(segment: &Segment, asked: PathNormalization) -> Result<bool, RequestError> {
    match segment.is_dots() {
        true if segment.behind_encoded || asked == PathNormalization::Off => {
            Err(RequestError::TargetDotSegment)
        }
        is_dots => Ok(!is_dots),
    }
}

/// An encoded octet.
struct Escape {
    octet: u8,
    is_upper: bool,
}

impl Escape {
    /// Reads what follows a `%`.
    fn read(digits: &[u8]) -> Result<Self, RequestError> {
        let &[high, low, ..] = digits else { return Err(RequestError::TargetEncoding) };
        let octet = hex_octet(&[high, low]).filter(|&octet| octet != 0);
        let octet = octet.ok_or(RequestError::TargetEncoding)?;
        let is_upper = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
        Ok(Self { octet, is_upper })
    }

    /// Unreserved characters need no encoding (RFC 3986 section 2.3).
    fn is_needless(&self) -> bool {
        self.octet.is_ascii_alphanumeric() || b"-._~".contains(&self.octet)
    }

    fn is_normal(&self) -> bool {
        self.is_upper && !self.is_needless()
    }
}

/// The normal form of a path that [`check`] has passed.
#[cold]
fn normal(path: &str) -> Result<String, RequestError> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push('/');
        push_normal(&mut out, segment)?;
        let is_last = segments.peek().is_none();
        match &out[start + 1..] {
            "" | "." => out.truncate(start),
            ".." => {
                let parent = out[..start].rfind('/').ok_or(RequestError::TargetDotSegment)?;
                out.truncate(parent);
            }
            _ => continue,
        }
        if is_last {
            out.push('/');
        }
    }
    Ok(out)
}

fn push_normal(out: &mut String, segment: &str) -> Result<(), RequestError> {
    let mut pieces = segment.split('%');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let escape = Escape::read(piece.as_bytes())?;
        if escape.is_needless() {
            out.push(char::from(escape.octet));
        } else {
            out.push('%');
            out.extend(piece[..2].chars().map(|digit| digit.to_ascii_uppercase()));
        }
        out.push_str(&piece[2..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
