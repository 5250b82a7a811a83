//! The token in a field of a request (RFC 6750 section 2.1, RFC 9110 section 11).

use super::refusal::Reason;
use crate::http1::Field;

/// The token in the field of this lower-case name, behind this scheme, as sent; none where there
/// are no credentials or those of another scheme. An empty scheme: the value is the token.
pub(super) fn extract<'b>(
    fields: &[Field<'b>],
    name: &str,
    scheme: &str,
) -> Result<Option<&'b [u8]>, Reason> {
    let mut values = fields.iter().filter(|field| is_named(field, name)).map(|field| field.value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::MultipleCredentials);
    }
    if scheme.is_empty() { bare(value).map(Some) } else { token(value, scheme.as_bytes()) }
}

/// Whether a field has this lower-case name.
fn is_named(field: &Field<'_>, name: &str) -> bool {
    let (typed, name) = (field.name.as_bytes(), name.as_bytes());
    // Looked for on every request: `eq_ignore_ascii_case` would lower both sides.
    typed.len() == name.len()
        && typed.iter().zip(name).all(|(typed, lower)| typed.to_ascii_lowercase() == *lower)
}

/// A value that is a token and nothing else.
fn bare(value: &[u8]) -> Result<&[u8], Reason> {
    let token = value.trim_ascii();
    match memchr::memchr2(b',', b'\t', token).map(|at| token[at]) {
        Some(b',') => Err(Reason::MultipleCredentials),
        Some(_) => Err(Reason::MalformedCredentials),
        None if token.is_empty() => Err(Reason::MalformedCredentials),
        None => Ok(token),
    }
}

fn token<'b>(value: &'b [u8], wanted: &[u8]) -> Result<Option<&'b [u8]>, Reason> {
    let Some(rest) = behind_scheme(value, wanted) else {
        // An upstream that splits lists would find a bearer token here that nobody verified.
        let hidden = value
            .split(|byte| *byte == b',')
            .skip(1)
            .any(|part| behind_scheme(part.trim_ascii_start(), wanted).is_some());
        return if hidden { Err(Reason::MultipleCredentials) } else { Ok(None) };
    };
    match memchr::memchr2(b',', b'\t', rest).map(|at| rest[at]) {
        // A comma is in no token: this is a list of credentials.
        Some(b',') => return Err(Reason::MultipleCredentials),
        Some(_) => return Err(Reason::MalformedCredentials),
        None => {}
    }
    let token = rest.trim_ascii();
    if rest.first() != Some(&b' ') || token.is_empty() {
        return Err(Reason::MalformedCredentials);
    }
    Ok(Some(token))
}

/// What follows the scheme in credentials (RFC 9110 section 11.4) of this one; none in others.
fn behind_scheme<'b>(value: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    let (scheme, rest) = value.split_at_checked(wanted.len())?;
    let ends = rest.first().is_none_or(|byte| !is_tchar(*byte));
    // Most clients write it as it is configured.
    let same = scheme == wanted || scheme.eq_ignore_ascii_case(wanted);
    (ends && same).then_some(rest)
}

fn is_tchar(byte: u8) -> bool {
    let mark =
        matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
    byte.is_ascii_alphanumeric() || mark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(value: &str) -> Field<'_> {
        Field { name: "AuthoriZation", value: value.as_bytes() }
    }

    fn extract<'b>(fields: &[Field<'b>]) -> Result<Option<&'b [u8]>, Reason> {
        super::extract(fields, "authorization", "Bearer")
    }

    fn extracted(value: &str) -> Result<Option<&str>, Reason> {
        extract(&[field(value)]).map(|token| token.map(|token| str::from_utf8(token).unwrap()))
    }

    #[test]
    fn e1_no_field_is_no_token() {
        assert_eq!(extract(&[]), Ok(None));
        assert_eq!(extract(&[Field { name: "Authorizations", value: b"Bearer x" }]), Ok(None));
    }

    #[test]
    fn e2_the_scheme_is_compared_without_case() {
        for scheme in ["bearer", "BEARER", "Bearer", "bEaReR"] {
            assert_eq!(extracted(&format!("{scheme} a.b.c")), Ok(Some("a.b.c")));
        }
    }

    #[test]
    fn e3_other_schemes_are_no_token() {
        for value in ["Basic dXNlcjpwdw==", "Digest a=\"b\", c=\"d\"", "BearerX a.b.c", "", "x"] {
            assert_eq!(extracted(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn e4_spaces_around_the_token() {
        assert_eq!(extracted("Bearer   a.b.c"), Ok(Some("a.b.c")));
        assert_eq!(extracted("Bearer a.b.c  "), Ok(Some("a.b.c")));
        for value in ["Bearer", "Bearer ", "Bearer\ta.b.c", "Bearer \ta.b.c", "Bearer=a.b.c"] {
            assert_eq!(extracted(value), Err(Reason::MalformedCredentials), "{value:?}");
        }
    }

    #[test]
    fn e6_a_field_without_a_scheme_is_the_token() {
        let bare = |value: &'static str| {
            let fields = [Field { name: "X-Token", value: value.as_bytes() }];
            super::extract(&fields, "x-token", "")
        };
        assert_eq!(bare(" a.b.c "), Ok(Some(&b"a.b.c"[..])));
        assert_eq!(bare(""), Err(Reason::MalformedCredentials));
        assert_eq!(bare("a\tb"), Err(Reason::MalformedCredentials));
        assert_eq!(bare("a.b.c,d.e.f"), Err(Reason::MultipleCredentials));
    }

    #[test]
    fn e5_two_fields_or_a_list_are_refused() {
        for (a, b) in [("Bearer a", "Bearer a"), ("Basic x", "Bearer a"), ("Basic x", "Basic x")] {
            assert_eq!(extract(&[field(a), field(b)]), Err(Reason::MultipleCredentials));
        }
        for value in
            ["Bearer a, Bearer b", "Bearer a,b", "Bearer, a", "Basic x, Bearer a", "x,bearer a"]
        {
            assert_eq!(extracted(value), Err(Reason::MultipleCredentials), "{value}");
        }
    }
}
