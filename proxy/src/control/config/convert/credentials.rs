//! `from`: where a token is in a request.

use super::providers::FRAMING_HEADERS;
use super::{JsonPath, Reader};
use crate::control::config::raw::jwt::Location;
use crate::snapshot::credentials::{LOCATIONS_MAX, TokenLocation};

/// The locations in a list; none where there is no list or nothing of it is usable.
pub(super) fn locations(
    reader: &mut Reader<'_>,
    list: &JsonPath,
    raw: Option<&[Location]>,
) -> Option<Vec<TokenLocation>> {
    let mut locations: Vec<TokenLocation> = Vec::new();
    if raw?.len() > LOCATIONS_MAX {
        reader.problem(list, format!("more places than {LOCATIONS_MAX}"));
    }
    for (index, raw) in raw?.iter().enumerate() {
        let path = list.join(index);
        let Some(location) = location(reader, &path, raw) else { continue };
        if locations.iter().any(|other| is_same_place(other, &location)) {
            reader.problem(&path, "is the same place as another; allowed: each once");
        }
        locations.push(location);
    }
    (!locations.is_empty()).then_some(locations)
}

fn is_same_place(one: &TokenLocation, other: &TokenLocation) -> bool {
    match (one, other) {
        (TokenLocation::Header { name: one, .. }, TokenLocation::Header { name: other, .. }) => {
            one == other
        }
        (one, other) => one == other,
    }
}

fn location(reader: &mut Reader<'_>, path: &JsonPath, raw: &Location) -> Option<TokenLocation> {
    if raw.prefix.is_some() && raw.header.is_none() {
        reader.problem(&path.join("prefix"), "says nothing without header; allowed: beside header");
    }
    match (&raw.header, &raw.cookie, &raw.query) {
        (Some(typed), None, None) => Some(header(reader, path, typed, raw.prefix.as_deref())),
        (None, Some(name), None) => {
            if !is_word(name) {
                let what = "is no cookie name; allowed: letters, digits and !#$%&'*+-.^_`|~";
                reader.problem(&path.join("cookie"), format!("{name:?} {what}"));
            }
            Some(TokenLocation::Cookie(name.as_str().into()))
        }
        (None, None, Some(name)) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if !name.bytes().all(plain) {
                let what = "is no parameter name to look for; allowed: letters, digits and -._~";
                reader.problem(&path.join("query"), format!("{name:?} {what}"));
            }
            Some(TokenLocation::Query(name.as_str().into()))
        }
        (header, cookie, query) => {
            let given = [header.is_some(), cookie.is_some(), query.is_some()];
            let count = given.iter().filter(|given| **given).count();
            let what =
                format!("names {count} places; allowed: exactly one of header, cookie, query");
            reader.problem(path, what);
            None
        }
    }
}

fn header(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    typed: &str,
    prefix: Option<&str>,
) -> TokenLocation {
    let name = typed.to_ascii_lowercase();
    let carries = matches!(&*name, "authorization" | "proxy-authorization");
    if !is_word(&name) || FRAMING_HEADERS.contains(&&*name) {
        let what =
            "is no header to carry a token; allowed: such as \"Authorization\" or \"X-Token\"";
        reader.problem(&path.join("header"), format!("{typed:?} {what}"));
    }
    let prefix = prefix.unwrap_or(if carries { "Bearer" } else { "" });
    if !prefix.is_empty() && !is_word(prefix) {
        let what = "is no word before a token; allowed: such as \"Bearer\", without the space";
        reader.problem(&path.join("prefix"), format!("{prefix:?} {what}"));
    }
    TokenLocation::Header { name: name.into(), prefix: prefix.into() }
}

/// A token of RFC 9110 section 5.6.2.
fn is_word(text: &str) -> bool {
    let word_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(word_char)
}
