//! What a certificate says of its owner (RFC 5280), as far as the gateway tells of it. Whether it is
//! to be believed, the library judges.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;

use super::der::{
    BOOLEAN, Der, GENERALIZED_TIME, OBJECT_ID, OCTET_STRING, SEQUENCE, SET, UTC_TIME,
};

/// Context-specific tags of a certificate's parts.
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
/// Of alternative names.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// `subjectAltName`, 2.5.29.17.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The distinguished name as RFC 4514 writes it: the last part first.
    pub subject: String,
    /// Alternative names, in their order; of kinds that are not known none.
    pub names: Vec<AlternativeName>,
    /// Seconds since 1970, from which on it is valid.
    pub not_before: i64,
    /// Seconds since 1970, up to which it is valid.
    pub not_after: i64,
}

/// A name beside the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlternativeName {
    /// A host, perhaps with `*` for its first label.
    Dns(String),
    /// A mailbox.
    Email(String),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// An address.
    Ip(String),
}

impl Certificate {
    /// What this certificate says; none where it is malformed.
    #[must_use]
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let mut whole = Der(Der(certificate).expect(SEQUENCE)?);
        let mut signed = Der(whole.expect(SEQUENCE)?);
        let _ = signed.optional(VERSION);
        let (_serial, _algorithm) = (signed.next()?, signed.expect(SEQUENCE)?);
        let _issuer = signed.expect(SEQUENCE)?;
        let mut validity = Der(signed.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = distinguished_name(signed.expect(SEQUENCE)?)?;
        let _key = signed.expect(SEQUENCE)?;
        let _ = (signed.optional(ISSUER_ID), signed.optional(SUBJECT_ID));
        let names = match signed.optional(EXTENSIONS) {
            Some(extensions) => alternative_names(Der(extensions).expect(SEQUENCE)?)?,
            None => Vec::new(),
        };
        Some(Self { subject, names, not_before, not_after })
    }

    /// The hosts among its names.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            AlternativeName::Dns(name) => Some(name.as_str()),
            AlternativeName::Email(_) | AlternativeName::Uri(_) | AlternativeName::Ip(_) => None,
        })
    }
}

/// The alternative names among extensions; none of them where an extension is malformed.
fn alternative_names(extensions: &[u8]) -> Option<Vec<AlternativeName>> {
    let mut extensions = Der(extensions);
    while !extensions.0.is_empty() {
        let mut extension = Der(extensions.expect(SEQUENCE)?);
        let id = extension.expect(OBJECT_ID)?;
        let _is_critical = extension.optional(BOOLEAN);
        let value = extension.expect(OCTET_STRING)?;
        if id == ALTERNATIVE_NAMES {
            return general_names(Der(value).expect(SEQUENCE)?);
        }
    }
    Some(Vec::new())
}

fn general_names(names: &[u8]) -> Option<Vec<AlternativeName>> {
    let mut names = Der(names);
    let mut read = Vec::new();
    while !names.0.is_empty() {
        let (tag, value) = names.next()?;
        let text = || Some(str::from_utf8(value).ok().filter(|text| is_plain(text))?.to_owned());
        match tag {
            EMAIL => read.extend(text().map(AlternativeName::Email)),
            DNS => read.extend(text().map(|name| AlternativeName::Dns(name.to_ascii_lowercase()))),
            URI => read.extend(text().map(AlternativeName::Uri)),
            IP => read.extend(address(value).map(AlternativeName::Ip)),
            _ => {}
        }
    }
    Some(read)
}

/// Whether a name is what it has to be, visible ASCII: another could not stand in a field.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|four| Ipv4Addr::from(four).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|sixteen| Ipv6Addr::from(sixteen).to_string());
    v4.or(v6).ok()
}

/// A name in the form of RFC 4514.
fn distinguished_name(name: &[u8]) -> Option<String> {
    let mut parts = Der(name);
    let mut written = Vec::new();
    while !parts.0.is_empty() {
        let mut part = Der(parts.expect(SET)?);
        let mut attributes = Vec::new();
        while !part.0.is_empty() {
            let mut attribute = Der(part.expect(SEQUENCE)?);
            let id = attribute.expect(OBJECT_ID)?;
            let (_, value) = attribute.next()?;
            attributes.push(format!("{}={}", attribute_name(id)?, escaped(value)));
        }
        written.push(attributes.join("+"));
    }
    written.reverse();
    Some(written.join(","))
}

/// The short names of RFC 4514 section 3, or numbers.
fn attribute_name(id: &[u8]) -> Option<String> {
    let known = match id {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 6] => "C",
        [0x55, 4, 9] => "STREET",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        _ => return dotted(id),
    };
    Some(known.to_owned())
}

fn dotted(id: &[u8]) -> Option<String> {
    let (first, rest) = id.split_first()?;
    let mut text = format!("{}.{}", (first / 40).min(2), first - 40 * (first / 40).min(2));
    let mut number = 0_u64;
    for byte in rest {
        number = number.checked_mul(128)? + u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            write!(text, ".{number}").ok()?;
            number = 0;
        }
    }
    Some(text)
}

/// A value with what is special escaped, and what is no visible ASCII as hexadecimal pairs, so that
/// it can stand in a field of a message.
fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, &byte) in value.iter().enumerate() {
        let is_edge = (at == 0 && matches!(byte, b' ' | b'#')) || (at == last && byte == b' ');
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.extend(['\\', char::from(byte)]);
            }
            b' '..=b'~' if is_edge => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let written = write!(text, "\\{byte:02X}");
                debug_assert!(written.is_ok(), "a string takes all");
            }
        }
    }
    text
}

/// A time, in seconds since 1970 (RFC 5280 section 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let mut pairs = rest.chunks(2).map(number);
    let mut pair = || pairs.next().flatten();
    let (month, day, hour, minute, second) = (pair()?, pair()?, pair()?, pair()?, pair()?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Days since 1970 in the Gregorian calendar, by years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests;
