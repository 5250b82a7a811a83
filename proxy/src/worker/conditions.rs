//! Whether a request meets a condition of a route: what its query and its fields say.

use std::borrow::Cow;

use crate::http1::{RequestHead, names_alike};
use crate::snapshot::route_condition::{Condition, Held, Subject, Wanted};
use crate::snapshot::route_match::hex_octet;

/// What a request says to a condition.
pub(super) fn held(condition: &Condition, head: &RequestHead<'_, '_>) -> Held {
    match &condition.subject {
        Subject::Header(name) => {
            let fields = head.fields.iter().filter(|field| names_alike(field.name, name));
            condition.wanted.judge(fields.map(|field| field.value))
        }
        Subject::Query(name) => held_by_query(head.target.query(), name, &condition.wanted),
    }
}

/// Some readers of a query take `;` for a separator, too. Where that makes a difference it cannot be
/// told what the query says.
fn held_by_query(query: Option<&str>, name: &str, wanted: &Wanted) -> Held {
    let query = query.unwrap_or_default();
    let judge = |separators: &[char]| wanted.judge(values(query, name, separators));
    let held = judge(&['&']);
    if query.contains(';') && judge(&['&', ';']) != held { Held::Unclear } else { held }
}

/// The decoded values of the parameters of this name; of one without `=` the empty one.
fn values<'q>(
    query: &'q str,
    name: &str,
    separators: &[char],
) -> impl Iterator<Item = Cow<'q, [u8]>> {
    query.split(separators).filter_map(move |part| {
        let (typed, value) = part.split_once('=').unwrap_or((part, ""));
        (*decoded(typed) == *name.as_bytes()).then(|| decoded(value))
    })
}

/// As forms are encoded: `+` is a space, and an escape that is none stands for itself.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let octet = match first {
            b'+' => b' ',
            b'%' => match after.get(..2).and_then(hex_octet) {
                Some(octet) => {
                    rest = &after[2..];
                    octet
                }
                None => b'%',
            },
            other => *other,
        };
        out.push(octet);
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_compared_as_a_form_is_read() {
        let wanted = |value: &str| Wanted::Value(value.as_bytes().into());
        for (query, name, value, expected) in [
            ("env=a b", "env", "a b", Held::Yes),
            ("x=1&env=a+b", "env", "a b", Held::Yes),
            ("x=1&%65nv=%61%20b", "env", "a b", Held::Yes),
            ("env=A", "env", "a", Held::No),
            ("Env=a", "env", "a", Held::No),
            ("env", "env", "", Held::Yes),
            ("env=a%2", "env", "a%2", Held::Yes),
            ("env=a%zz", "env", "a%zz", Held::Yes),
            ("env=a=b", "env", "a=b", Held::Yes),
            ("", "env", "", Held::No),
            ("env=a&env=a", "env", "a", Held::Unclear),
            ("env=a&e%6Ev=b", "env", "a", Held::Unclear),
            ("x=1;env=a", "env", "a", Held::Unclear),
            ("env=a;x=1", "env", "a", Held::Unclear),
            ("x=1;y=2", "env", "a", Held::No),
        ] {
            assert_eq!(held_by_query(Some(query), name, &wanted(value)), expected, "{query}");
        }
        assert_eq!(held_by_query(None, "env", &wanted("")), Held::No);
        assert_eq!(held_by_query(None, "env", &Wanted::Absent), Held::Yes);
        assert_eq!(held_by_query(Some("x;env"), "env", &Wanted::Present), Held::Unclear);
        assert_eq!(held_by_query(Some("x;env"), "env", &Wanted::Absent), Held::Unclear);
    }

    proptest::proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes in proptest::collection::vec(0..=255_u8, 0..20), plus in 0..2) {
            let encode = |byte: &u8| match byte {
                b' ' if plus == 1 => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
                byte => format!("%{byte:02x}"),
            };
            let text: String = bytes.iter().map(encode).collect();
            proptest::prop_assert_eq!(&*decoded(&text), &*bytes);
        }
    }
}
