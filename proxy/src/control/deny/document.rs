//! The JSON of a deny list, as a file has it and as the admin listener takes and gives it:
//! `{"entries": [{"iss": "…", "jti": "…", "until": 1900000000}, …]}`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::control::config::{JsonPath, Locator, Position, position_of};
use crate::snapshot::deny_list::{Denial, Revoked};
use crate::snapshot::unix_time::UnixTime;

/// A name that is longer than most tokens is a mistake.
const NAME_BYTES_MAX: usize = 1024;

/// For what the document is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its entries are to be in force: each says until when.
    Add,
    /// Entries like these are to be taken out, whatever their `until`.
    Remove,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    position: Option<Position>,
    path: String,
    what: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for DocumentError {}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    entries: Vec<Object<Entry>>,
}

/// What is typed with names: serde would take a list of values in the order of the fields as well.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// One entry: exactly one of jti, sub, sid and kid, and what belongs to it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// Reads a document of at most `entries_max` entries.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(
    text: &[u8],
    purpose: Purpose,
    entries_max: usize,
) -> Result<Vec<Denial>, DocumentError> {
    let text = std::str::from_utf8(text).map_err(|_| whole("not UTF-8"))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let Object(document): Object<Document> = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| misread(text, &JsonPath::from(error.path()), error.inner()))?;
    reader.end().map_err(|error| misread(text, &JsonPath::default(), &error))?;
    let count = document.entries.len();
    if count > entries_max {
        return Err(whole(format!("has {count} entries; allowed: {entries_max}")));
    }
    let read = |(index, Object(entry))| {
        denial(entry, purpose).map_err(|(key, what): (&str, String)| {
            let entry = JsonPath::from(["entries"]).join(index);
            let path = if key.is_empty() { entry } else { entry.join(key) };
            let position = Some(Locator::new(text).position(&path));
            DocumentError { position, path: path.to_string(), what }
        })
    };
    document.entries.into_iter().enumerate().map(read).collect()
}

fn whole(what: impl Into<String>) -> DocumentError {
    DocumentError { position: None, path: String::new(), what: what.into() }
}

fn misread(text: &str, path: &JsonPath, error: &serde_json::Error) -> DocumentError {
    let full = error.to_string();
    let what = full.split(" at line ").next().unwrap_or(&full);
    if error.is_data() {
        let position = Some(Locator::new(text).position(path));
        DocumentError { position, path: path.to_string(), what: what.to_owned() }
    } else {
        let position = Some(position_of(error, text));
        DocumentError { position, path: String::new(), what: format!("not JSON: {what}") }
    }
}

/// The entry, or the key at fault and what is wrong.
fn denial(entry: Entry, purpose: Purpose) -> Result<Denial, (&'static str, String)> {
    let Entry { iss, jti, sub, issued_before, sid, kid, until } = entry;
    let until = match (until, purpose) {
        (Some(until), _) => date("until", until)?,
        (None, Purpose::Remove) => UnixTime::MAX,
        (None, Purpose::Add) => {
            let what = "does not say until when; allowed: until, in seconds since the epoch";
            return Err(("", what.to_owned()));
        }
    };
    let issuer = iss.map(|iss| name("iss", iss)).transpose()?;
    if sub.is_none() && issued_before.is_some() {
        return Err(("issued_before", "says nothing here; allowed: beside sub".to_owned()));
    }
    let with_issuer = |issuer: Option<Box<str>>| {
        issuer.ok_or(("", "does not say whose; allowed: iss beside jti, sub and sid".to_owned()))
    };
    let revoked = match (jti, sub, sid, kid) {
        (Some(jti), None, None, None) => {
            Revoked::Token { issuer: with_issuer(issuer)?, id: name("jti", jti)? }
        }
        (None, Some(sub), None, None) => {
            let Some(before) = issued_before else {
                let what = "does not say which tokens of the subject; allowed: issued_before";
                return Err(("", what.to_owned()));
            };
            Revoked::Subject {
                issuer: with_issuer(issuer)?,
                subject: name("sub", sub)?,
                issued_before: date("issued_before", before)?,
            }
        }
        (None, None, Some(sid), None) => {
            Revoked::Session { issuer: with_issuer(issuer)?, session: name("sid", sid)? }
        }
        (None, None, None, Some(kid)) => Revoked::Key { issuer, kid: name("kid", kid)? },
        several => {
            let (jti, sub, sid, kid) = several;
            let count = [jti, sub, sid, kid].iter().flatten().count();
            let what = format!("names {count} things; allowed: exactly one of jti, sub, sid, kid");
            return Err(("", what));
        }
    };
    Ok(Denial::new(revoked, until))
}

fn name(key: &'static str, text: String) -> Result<Box<str>, (&'static str, String)> {
    match text.len() {
        1..=NAME_BYTES_MAX => Ok(text.into()),
        length => Err((key, format!("has {length} bytes; allowed: 1 to {NAME_BYTES_MAX}"))),
    }
}

fn date(key: &'static str, seconds: i64) -> Result<UnixTime, (&'static str, String)> {
    if (0..=UnixTime::MAX.0).contains(&seconds) {
        Ok(UnixTime(seconds))
    } else {
        let what = "is no date; allowed: seconds since the epoch, up to the year 9999";
        Err((key, format!("{seconds} {what}")))
    }
}

/// The document of these entries, as [`parse`] reads it.
#[must_use]
pub fn write<'d>(denials: impl Iterator<Item = &'d Denial>) -> String {
    let document = Document { entries: denials.map(entry).map(Object).collect() };
    // Strings and numbers always serialize.
    serde_json::to_string(&document).unwrap_or_default()
}

/// One entry as JSON.
#[must_use]
pub fn describe(denial: &Denial) -> serde_json::Value {
    serde_json::to_value(entry(denial)).unwrap_or_default()
}

fn entry(denial: &Denial) -> Entry {
    let owned = |text: &str| Some(text.to_owned());
    let named = match denial.revoked() {
        Revoked::Token { issuer, id } => {
            Entry { iss: owned(issuer), jti: owned(id), ..Entry::default() }
        }
        Revoked::Subject { issuer, subject, issued_before } => Entry {
            iss: owned(issuer),
            sub: owned(subject),
            issued_before: Some(issued_before.0),
            ..Entry::default()
        },
        Revoked::Session { issuer, session } => {
            Entry { iss: owned(issuer), sid: owned(session), ..Entry::default() }
        }
        Revoked::Key { issuer, kid } => {
            Entry { iss: issuer.as_deref().and_then(owned), kid: owned(kid), ..Entry::default() }
        }
    };
    Entry { until: Some(denial.until().0), ..named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_written_alike() {
        let text = r#"{"entries":[{"iss":"i","jti":"t","until":5},{"iss":"i","sub":"s","issued_before":3,"until":5},{"iss":"i","sid":"o","until":5},{"iss":"i","kid":"k","until":5},{"kid":"k","until":5}]}"#;
        let denials = parse(text.as_bytes(), Purpose::Add, 5).unwrap();
        assert_eq!(denials.len(), 5);
        assert_eq!(write(denials.iter()), text);
        assert_eq!(describe(&denials[4]), serde_json::json!({ "kid": "k", "until": 5 }));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let cases = [
            (
                "{\n \"entries\": [\n  { \"iss\": 5 }] }",
                "3:5: entries[0].iss: invalid type: integer `5`, expected a string",
            ),
            ("{\"entries\": [", "1:13: not JSON: EOF while parsing a list"),
            ("{\"entries\": []} x", "1:17: not JSON: trailing characters"),
            ("[]", "1:1: invalid type: sequence, expected an object"),
            (
                "{\"entries\": [[\"i\"]]}",
                "1:14: entries[0]: invalid type: sequence, expected an object",
            ),
            ("{}", "1:1: missing field `entries`"),
            (
                "{\"entries\": [{\"jti\": \"t\", \"until\": 5}]}",
                "1:14: entries[0]: does not say whose; allowed: iss beside jti, sub and sid",
            ),
            (
                "{\"entries\": [{\"kid\": \"t\"}]}",
                "1:14: entries[0]: does not say until when; allowed: until, in seconds since the epoch",
            ),
            (
                "{\"entries\": [{\"iss\": \"i\", \"until\": 5}]}",
                "1:14: entries[0]: names 0 things; allowed: exactly one of jti, sub, sid, kid",
            ),
            (
                "{\"entries\": [{\"kid\": \"k\", \"sid\": \"s\", \"until\": 5}]}",
                "1:14: entries[0]: names 2 things; allowed: exactly one of jti, sub, sid, kid",
            ),
            (
                "{\"entries\": [{\"iss\": \"i\", \"sub\": \"s\", \"until\": 5}]}",
                "1:14: entries[0]: does not say which tokens of the subject; allowed: issued_before",
            ),
            (
                "{\"entries\": [{\"kid\": \"k\", \"issued_before\": 1, \"until\": 5}]}",
                "1:27: entries[0].issued_before: says nothing here; allowed: beside sub",
            ),
            (
                "{\"entries\": [{\"kid\": \"\", \"until\": 5}]}",
                "1:15: entries[0].kid: has 0 bytes; allowed: 1 to 1024",
            ),
            (
                "{\"entries\": [{\"kid\": \"k\", \"until\": 1700000000000}]}",
                "1:27: entries[0].until: 1700000000000 is no date; allowed: seconds since the epoch, up to the year 9999",
            ),
            (
                "{\"entries\": [{\"kid\": \"k\", \"until\": 5}, {\"kid\": \"k\", \"until\": 5}, {\"kid\": \"k\", \"until\": 5}]}",
                "has 3 entries; allowed: 2",
            ),
        ];
        for (text, expected) in cases {
            let error = parse(text.as_bytes(), Purpose::Add, 2).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
        let misspelt = parse(br#"{"entries": [{"jit": "t"}]}"#, Purpose::Add, 2).unwrap_err();
        let misspelt = misspelt.to_string();
        assert!(misspelt.starts_with("1:15: entries[0].jit: unknown field `jit`"), "{misspelt}");
    }

    #[test]
    fn what_is_taken_out_needs_no_until() {
        let text = br#"{"entries": [{"kid": "k"}]}"#;
        let denials = parse(text, Purpose::Remove, 1).unwrap();
        assert_eq!(*denials[0].revoked(), Revoked::Key { issuer: None, kid: "k".into() });
    }
}
