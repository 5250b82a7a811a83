//! Who the client is, by what proxies say of it: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Each proxy appends who has connected to it, so the list is read from its end: an element is
//! believed where a trusted proxy has written it, which is where the one behind it, or the peer for
//! the last one, is a trusted proxy. What stands before the first other address may have been sent
//! by anybody and is not looked at, so that it cannot change how the rest is read.

use std::net::{IpAddr, Ipv6Addr};
use std::str;

use super::Field;
use crate::snapshot::ClientFrom;

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldClient {
    /// IPv4-mapped addresses stand as IPv4 ones.
    pub address: IpAddr,
    /// Where what is believed of the list begins; none where nothing is.
    begin: Option<Place>,
}

/// A place in the field with this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    field: usize,
    offset: usize,
}

impl ToldClient {
    /// The peer, about whom nothing is told.
    #[must_use]
    pub fn peer(peer: IpAddr) -> Self {
        Self { address: peer.to_canonical(), begin: None }
    }

    /// The client of a request with these fields from `peer`: the last address in the list that
    /// `is_proxy` does not know. An element that is no address ends the list.
    #[must_use]
    pub fn find(
        fields: &[Field<'_>],
        from: ClientFrom,
        peer: IpAddr,
        is_proxy: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let mut client = Self::peer(peer);
        for (field, line) in fields.iter().enumerate().rev() {
            if !line.name.eq_ignore_ascii_case(from.field()) {
                continue;
            }
            for (offset, element) in FromTheEnd::of(line.value) {
                if !is_proxy(client.address) {
                    return client;
                }
                let Some(address) = address_of(element, from) else { return client };
                client = Self { address, begin: Some(Place { field, offset }) };
            }
        }
        client
    }

    /// Whether a proxy has told of the client.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.begin.is_some()
    }

    /// Whether the list says that the client has come by https. `fields` are those that the client was
    /// found in.
    #[must_use]
    pub fn is_told_https(&self, fields: &[Field<'_>], from: ClientFrom) -> bool {
        match from {
            ClientFrom::XForwardedFor => is_https_by_field(fields),
            ClientFrom::Forwarded => {
                let line = self.believed(fields, from).next();
                let proto = line.and_then(|line| sole_pair(first_element(line), b"proto"));
                proto.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
            }
        }
    }

    /// The part of the list that is believed, line by line, from the client on. `fields` are those
    /// that the client was found in.
    pub fn believed<'f, 'b>(
        &self,
        fields: &'f [Field<'b>],
        from: ClientFrom,
    ) -> impl Iterator<Item = &'b [u8]> + use<'f, 'b> {
        let begin = self.begin;
        fields.iter().enumerate().filter_map(move |(at, line)| {
            let begin = begin.filter(|_| line.name.eq_ignore_ascii_case(from.field()))?;
            match at.cmp(&begin.field) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => line.value.get(begin.offset..),
                std::cmp::Ordering::Greater => Some(line.value),
            }
        })
    }
}

/// Whether `X-Forwarded-Proto` says https, and nothing else.
fn is_https_by_field(fields: &[Field<'_>]) -> bool {
    let lines = fields.iter().filter(|one| one.name.eq_ignore_ascii_case("x-forwarded-proto"));
    let mut elements = lines.flat_map(|line| line.value.split(|byte| *byte == b',')).peekable();
    elements.peek().is_some()
        && elements.all(|element| element.trim_ascii().eq_ignore_ascii_case(b"https"))
}

fn address_of(element: &[u8], from: ClientFrom) -> Option<IpAddr> {
    match from {
        ClientFrom::XForwardedFor => node(element),
        ClientFrom::Forwarded => forwarded_for(element),
    }
}

/// The elements of a list from the last to the first, each with its place; empty ones are passed
/// over.
struct FromTheEnd<'b> {
    left: Option<&'b [u8]>,
}

impl<'b> FromTheEnd<'b> {
    fn of(value: &'b [u8]) -> Self {
        Self { left: Some(value) }
    }
}

impl<'b> Iterator for FromTheEnd<'b> {
    type Item = (usize, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(left) = self.left {
            let begin = begin_of_last(left);
            self.left = begin.checked_sub(1).map(|comma| &left[..comma]);
            let element = left[begin..].trim_ascii_start();
            let offset = left.len() - element.len();
            let element = element.trim_ascii_end();
            if !element.is_empty() {
                return Some((offset, element));
            }
        }
        None
    }
}

/// Where the last element begins: behind the last comma that stands in no quoted string. A quote
/// whose partner is missing takes all that is left, and makes it no address.
fn begin_of_last(value: &[u8]) -> usize {
    let mut at = value.len();
    while let Some(before) = at.checked_sub(1) {
        at = match value[before] {
            b',' => return at,
            b'"' => opening(&value[..before]).unwrap_or(0),
            _ => before,
        };
    }
    0
}

/// The quote that opens the string which ends behind `value`.
fn opening(value: &[u8]) -> Option<usize> {
    memchr::memrchr_iter(b'"', value).find(|&at| {
        let escapes = value[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        escapes % 2 == 0
    })
}

/// An address, with or without a port.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let address = if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else if let Ok(address) = text.parse() {
        address
    } else {
        let (address, _) = text.split_once(':').filter(|(_, port)| is_port(port))?;
        IpAddr::V4(address.parse().ok()?)
    };
    Some(address.to_canonical())
}

/// Digits, or what hides them (RFC 7239 section 6.2).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => {
            !hidden.is_empty()
                && hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => matches!(text.len(), 1..=5) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// What stands before the first comma that is in no quoted string.
fn first_element(list: &[u8]) -> &[u8] {
    let mut is_quoted = false;
    let mut at = 0;
    while let Some(byte) = list.get(at) {
        match byte {
            b',' if !is_quoted => break,
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => at += 1,
            _ => {}
        }
        at += 1;
    }
    list[..at.min(list.len())].trim_ascii()
}

/// The address that the one `for` of an element of `Forwarded` names; none where the element is no
/// list of pairs, or the name is hidden or unknown.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    node(sole_pair(element, b"for")?)
}

/// The value of the one pair of this name; none where the element is no list of pairs.
fn sole_pair<'b>(element: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        let equals = memchr::memchr(b'=', rest)?;
        let (name, value) = (rest[..equals].trim_ascii(), &rest[equals + 1..]);
        let (value, behind) = pair_value(value)?;
        if name.eq_ignore_ascii_case(wanted) {
            if found.is_some() {
                return None;
            }
            found = Some(value);
        } else if name.is_empty() || !name.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        rest = match behind.trim_ascii_start() {
            [] => &[],
            [b';', more @ ..] => more.trim_ascii_start(),
            _ => return None,
        };
    }
    found
}

/// A value, without its quotes, and what stands behind it.
fn pair_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [b'"', inner @ ..] = text {
        let mut at = 0;
        loop {
            match inner.get(at)? {
                b'"' => return Some((&inner[..at], &inner[at + 1..])),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    let value = text[..end].trim_ascii_end();
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\,".contains(byte);
    (!value.is_empty() && value.iter().all(is_plain)).then(|| (value, &text[end..]))
}

#[cfg(test)]
mod tests;
