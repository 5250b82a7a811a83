//! The tokens of a request, in whatever places its route looks.

use super::bearer;
use super::refusal::Reason;
use crate::http1::Field;
use crate::snapshot::credentials::{Credentials, LOCATIONS_MAX, TokenLocation};

/// The parts of a request in which a token may be.
#[derive(Clone, Copy)]
pub struct Presented<'f, 'b> {
    /// All field lines.
    pub fields: &'f [Field<'b>],
    /// What follows the `?` of the target.
    pub query: Option<&'b str>,
}

/// Some of a route's locations, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places(u8);

impl Places {
    pub(super) const ALL: Self = Self(u8::MAX);

    #[cfg(test)]
    pub(super) fn of(index: usize) -> Self {
        Self(1 << index)
    }

    pub(super) fn contains(self, index: usize) -> bool {
        index < LOCATIONS_MAX && self.0 & (1 << index) != 0
    }
}

/// What was found at each location of the route.
pub(super) struct Found<'b>([Option<&'b [u8]>; LOCATIONS_MAX]);

impl<'b> Found<'b> {
    /// Looks at every location of the route. Tokens in several are one fault where the route does
    /// not verify them all.
    pub(super) fn in_request(
        presented: Presented<'_, 'b>,
        credentials: &Credentials,
    ) -> Result<Self, Reason> {
        let mut found = Self([None; LOCATIONS_MAX]);
        for (place, location) in found.0.iter_mut().zip(&credentials.locations) {
            *place = match location {
                TokenLocation::Header { name, prefix } => {
                    bearer::extract(presented.fields, name, prefix)?
                }
                TokenLocation::Cookie(name) => sole(cookies(presented.fields, name))?,
                TokenLocation::Query(name) => sole(parameters(presented.query, name))?,
            };
        }
        if found.tokens().count() > 1 && !credentials.all_must_verify {
            return Err(Reason::MultipleCredentials);
        }
        Ok(found)
    }

    /// In the order of the locations.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &'b [u8]> {
        self.0.iter().copied().flatten()
    }

    /// The positions of the locations that have one.
    pub(super) fn occupied(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter_map(|(index, token)| token.map(|_| index))
    }

    pub(super) fn places(&self) -> Places {
        let bits =
            self.0.iter().enumerate().map(|(index, token)| u8::from(token.is_some()) << index);
        Places(bits.fold(0, |all, bit| all | bit))
    }
}

/// The one value, if any.
fn sole<'b>(mut values: impl Iterator<Item = &'b [u8]>) -> Result<Option<&'b [u8]>, Reason> {
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::MultipleCredentials);
    }
    if value.is_empty() { Err(Reason::MalformedCredentials) } else { Ok(Some(value)) }
}

/// The values of the cookies of this name (RFC 6265 section 5.4), without quotes around them.
fn cookies<'b>(fields: &[Field<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("cookie"))
        .flat_map(|field| field.value.split(|byte| *byte == b';'))
        .filter_map(move |pair| cookie_value(pair, name))
}

/// The value of a pair of this name.
pub(super) fn cookie_value<'b>(pair: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let equals = memchr::memchr(b'=', pair)?;
    if pair[..equals].trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = pair[equals + 1..].trim_ascii();
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(value))
}

/// The values of the query parameters of this name, as sent.
fn parameters<'b>(query: Option<&'b str>, name: &str) -> impl Iterator<Item = &'b [u8]> {
    let parts = query.into_iter().flat_map(|query| query.split('&'));
    parts.filter_map(move |part| parameter_value(part, name)).map(str::as_bytes)
}

/// The value of a parameter of this name. A name written in percent-escapes is the same name to
/// whoever reads the query next.
pub(super) fn parameter_value<'b>(part: &'b str, name: &str) -> Option<&'b str> {
    let (typed, value) = part.split_once('=').unwrap_or((part, ""));
    let mut bytes = typed.bytes();
    let same = name.bytes().all(|wanted| match bytes.next() {
        Some(b'%') => {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next()), digit(bytes.next()));
            high.zip(low).is_some_and(|(high, low)| high * 16 + low == u32::from(wanted))
        }
        byte => byte == Some(wanted),
    });
    (same && bytes.next().is_none()).then_some(value)
}

#[cfg(test)]
mod tests;
