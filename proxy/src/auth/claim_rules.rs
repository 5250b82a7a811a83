//! The rules of a route about claims: which hold, and what it means that one does not.
//!
//! A claim of another type than its rule expects does not match: a rule that cannot be evaluated
//! refuses.

use super::claims::Claims;
use super::json::{Decimal, Text, Value};
use super::refusal::{Class, Reason};
use crate::snapshot::claims_policy::{
    AuthPolicy, ClaimPath, Condition, Matcher, Requirement, Scalar,
};

/// Claims that say who a token is from, for or about, where a rule that fails makes the token
/// the wrong one, instead of its bearer one who may not.
const IDENTITY_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "azp", "client_id", "jti", "sid", "nonce"];

/// The two names of the scope claim: RFC 8693 section 4.2, and that of Entra and Okta.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

/// Whether every rule of the route holds.
pub(super) fn check(policy: &AuthPolicy, claims: Claims<'_>) -> Result<(), Reason> {
    match policy.require.iter().find(|rule| !holds(rule, claims)) {
        None => Ok(()),
        Some(broken) => Err(reason(broken)),
    }
}

/// What a broken rule says about the token. One whose alternatives are about different things
/// is about what its bearer may.
pub(super) fn reason(rule: &Requirement) -> Reason {
    let all = |names: &[&str]| {
        rule.any_of.iter().all(|condition| names.contains(&condition.claim.name()))
    };
    if all(&SCOPE_CLAIMS) {
        Reason::ScopeRule
    } else if all(&IDENTITY_CLAIMS) {
        Reason::IdentityRule
    } else {
        Reason::EntitlementRule
    }
}

/// The scopes that the route's rules name, each once, in the order of the rules.
pub(super) fn scopes(policy: &AuthPolicy) -> Vec<&str> {
    let mut scopes = Vec::new();
    let conditions = policy
        .require
        .iter()
        .filter(|rule| reason(rule).class() == Class::InsufficientScope)
        .flat_map(|rule| &rule.any_of);
    for condition in conditions {
        let wanted = match &condition.matcher {
            Matcher::Equals(scalar) | Matcher::Contains(scalar) => std::slice::from_ref(scalar),
            Matcher::OneOf(scalars) => scalars,
            Matcher::Exists | Matcher::Prefix(_) => &[],
        };
        for scalar in wanted {
            if let Scalar::String(scope) = scalar
                && !scopes.contains(&&**scope)
            {
                scopes.push(&**scope);
            }
        }
    }
    scopes
}

/// How a rule reads in an explanation.
pub(super) fn describe(rule: &Requirement) -> String {
    let conditions: Vec<_> = rule
        .any_of
        .iter()
        .map(|condition| {
            let name = condition.claim.name();
            match &condition.matcher {
                Matcher::Exists => format!("{name} exists"),
                Matcher::Equals(scalar) => format!("{name} equals {scalar:?}"),
                Matcher::OneOf(scalars) => format!("{name} one of {scalars:?}"),
                Matcher::Contains(scalar) => format!("{name} contains {scalar:?}"),
                Matcher::Prefix(prefix) => format!("{name} begins with {prefix:?}"),
            }
        })
        .collect();
    conditions.join(" or ")
}

pub(super) fn holds(rule: &Requirement, claims: Claims<'_>) -> bool {
    rule.any_of.iter().any(|condition| matches(condition, claims))
}

fn matches(condition: &Condition, claims: Claims<'_>) -> bool {
    let words_of_scope = |wanted: &[Scalar]| {
        wanted.iter().any(|scalar| match scalar {
            Scalar::String(word) => scope_contains(claims, word),
            Scalar::Number(_) | Scalar::Bool(_) => false,
        })
    };
    match &condition.matcher {
        Matcher::Contains(wanted) if is_scope(&condition.claim) => {
            words_of_scope(std::slice::from_ref(wanted))
        }
        Matcher::OneOf(wanted) if is_scope(&condition.claim) => words_of_scope(wanted),
        matcher => claims.find(&condition.claim).is_some_and(|value| value_matches(matcher, value)),
    }
}

fn value_matches(matcher: &Matcher, value: Value<'_>) -> bool {
    match (matcher, value) {
        (Matcher::Exists, value) => !matches!(value, Value::Null),
        (Matcher::Equals(wanted), value) => scalar_equals(wanted, value),
        (Matcher::OneOf(wanted), value) => wanted.iter().any(|one| scalar_equals(one, value)),
        (Matcher::Contains(wanted), Value::Array(array)) => {
            array.elements().any(|element| scalar_equals(wanted, element))
        }
        (Matcher::Prefix(prefix), Value::String(text)) => text.starts_with(prefix),
        (Matcher::Contains(_) | Matcher::Prefix(_), _) => false,
    }
}

fn scalar_equals(wanted: &Scalar, value: Value<'_>) -> bool {
    match (wanted, value) {
        (Scalar::String(wanted), Value::String(text)) => text == **wanted,
        (Scalar::Bool(wanted), Value::Bool(value)) => *wanted == value,
        (Scalar::Number(wanted), Value::Number(text)) => {
            match (Decimal::parse(wanted), Decimal::parse(text)) {
                (Some(wanted), Some(value)) => wanted == value,
                _ => false,
            }
        }
        (Scalar::String(_) | Scalar::Number(_) | Scalar::Bool(_), _) => false,
    }
}

fn is_scope(claim: &ClaimPath) -> bool {
    match claim {
        ClaimPath::Name { literal, .. } => SCOPE_CLAIMS.contains(&&**literal),
        ClaimPath::Steps(steps) => {
            matches!(&steps[..], [only] if SCOPE_CLAIMS.contains(&&**only))
        }
    }
}

/// Whether the one set of words that `scope` and `scp` are together has this one. Where either is
/// no string and no array of strings, there is no set.
fn scope_contains(claims: Claims<'_>, word: &str) -> bool {
    let mut found = false;
    for value in SCOPE_CLAIMS.into_iter().filter_map(|name| claims.get(name)) {
        match value {
            Value::String(text) => found |= has_word(text, word),
            Value::Array(array) => {
                for element in array.elements() {
                    let Value::String(text) = element else { return false };
                    found |= text == *word;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return false,
        }
    }
    found
}

fn has_word(text: Text<'_>, word: &str) -> bool {
    let text = text.to_cow();
    let text = text.as_bytes();
    let mut start = 0;
    memchr::memchr_iter(b' ', text).chain([text.len()]).any(|end| {
        let one = &text[start..end];
        start = end + 1;
        !one.is_empty() && one == word.as_bytes()
    })
}

#[cfg(test)]
mod tests;
