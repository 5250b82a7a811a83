//! Claim names, matchers and the rules made of them.

use super::{JsonPath, Reader};
use crate::auth::json::Decimal;
use crate::control::config::raw::jwt::{Claim, Scalar as RawScalar};
use crate::control::config::raw::routes::{Condition as RawCondition, Require};
use crate::snapshot::claims_policy::{ClaimPath, Condition, Matcher, Requirement, Scalar};

/// A claim as configured. `delimiter` separates nested names; empty: none does.
pub(super) fn claim(
    reader: &mut Reader<'_>,
    raw: &Claim,
    delimiter: &str,
    path: &JsonPath,
) -> Option<ClaimPath> {
    let steps = match raw {
        Claim::Name(name) => match name.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(unescape_pointer).collect(),
            None => {
                let nested = !delimiter.is_empty() && name.contains(delimiter);
                let segments: Vec<Box<str>> = if nested {
                    name.split(delimiter).map(Box::from).collect()
                } else {
                    Vec::new()
                };
                if segments.iter().any(|segment| segment.is_empty()) {
                    let what = "has an empty name between two delimiters; allowed: names on each side, \
                                or an array of names";
                    reader.problem(path, format!("{name:?} {what}"));
                    return None;
                }
                return Some(ClaimPath::Name { literal: name.as_str().into(), segments });
            }
        },
        Claim::Steps(names) => names.iter().map(|name| Some(Box::from(name.as_str()))).collect(),
    };
    let steps: Option<Vec<Box<str>>> = steps;
    match steps {
        Some(steps) if steps.iter().all(|step| !step.is_empty()) => Some(ClaimPath::Steps(steps)),
        _ => {
            let what =
                "is no JSON Pointer to a claim; allowed: /name/name with ~0 for ~ and ~1 for /";
            reader.problem(path, what);
            None
        }
    }
}

/// One reference token of a JSON Pointer (RFC 6901 section 4), none where a `~` is not an escape.
fn unescape_pointer(token: &str) -> Option<Box<str>> {
    let mut pieces = token.split('~');
    let mut unescaped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(1)?;
        unescaped.push(match escape {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        unescaped.push_str(rest);
    }
    Some(unescaped.into())
}

/// One element of `require`.
pub(super) fn requirement(
    reader: &mut Reader<'_>,
    raw: Require,
    delimiter: &str,
    path: &JsonPath,
) -> Option<Requirement> {
    let Require { claim, exists, equals, one_of, contains, prefix, any_of } = raw;
    let Some(alternatives) = any_of else {
        let Some(claim) = claim else {
            reader.problem(path, "has no claim; allowed: claim with one matcher, or any_of");
            return None;
        };
        let one = RawCondition { claim, exists, equals, one_of, contains, prefix };
        let any_of = vec![condition(reader, &one, delimiter, path)?];
        return Some(Requirement { any_of });
    };
    let alone = claim.is_none()
        && exists.is_none()
        && equals.is_none()
        && one_of.is_none()
        && contains.is_none()
        && prefix.is_none();
    if !alone {
        let what = "stands beside a claim or matcher; allowed: any_of alone, with those inside it";
        reader.problem(&path.join("any_of"), what);
    }
    let mut any_of = Vec::with_capacity(alternatives.len());
    for (index, raw) in alternatives.iter().enumerate() {
        let here = path.join("any_of").join(index);
        any_of.extend(condition(reader, raw, delimiter, &here));
    }
    // With an alternative missing the rule would be stricter, never more open; it is an error anyway.
    (!any_of.is_empty()).then_some(Requirement { any_of })
}

fn condition(
    reader: &mut Reader<'_>,
    raw: &RawCondition,
    delimiter: &str,
    path: &JsonPath,
) -> Option<Condition> {
    let claim = claim(reader, &raw.claim, delimiter, &path.join("claim"));
    let mut matchers = Vec::new();
    if raw.exists == Some(true) {
        matchers.push(Matcher::Exists);
    }
    if let Some(value) = &raw.equals {
        matchers.push(Matcher::Equals(scalar(reader, value, &path.join("equals"))));
    }
    if let Some(values) = &raw.one_of {
        let at = |index: usize| path.join("one_of").join(index);
        let all = values.iter().enumerate();
        matchers.push(Matcher::OneOf(all.map(|(i, v)| scalar(reader, v, &at(i))).collect()));
    }
    if let Some(value) = &raw.contains {
        matchers.push(Matcher::Contains(scalar(reader, value, &path.join("contains"))));
    }
    if let Some(text) = &raw.prefix {
        matchers.push(Matcher::Prefix(text.as_str().into()));
    }
    let count = matchers.len();
    if count != 1 {
        let allowed = "exactly one of exists, equals, one_of, contains, prefix";
        reader.problem(path, format!("has {count} matchers; allowed: {allowed}"));
    }
    Some(Condition { claim: claim?, matcher: matchers.pop()? })
}

/// A scalar to compare with; numbers from the text, since a parsed one may have lost digits.
fn scalar(reader: &mut Reader<'_>, raw: &RawScalar, path: &JsonPath) -> Scalar {
    match raw {
        RawScalar::String(text) => Scalar::String(text.as_str().into()),
        RawScalar::Bool(flag) => Scalar::Bool(*flag),
        RawScalar::Number => {
            let typed = reader.typed(path);
            if Decimal::parse(typed).is_none() {
                reader.problem(
                    path,
                    format!("{typed} is beyond all use; allowed: exponents of up to nine digits"),
                );
            }
            Scalar::Number(typed.into())
        }
    }
}
