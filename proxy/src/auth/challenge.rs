//! The challenge of a refusal (RFC 6750 section 3): the value of `WWW-Authenticate`, or of
//! `Proxy-Authenticate` on a route whose token is in `Proxy-Authorization`.

use super::claim_rules;
use super::refusal::{Class, Refusal};
use crate::snapshot::answers::NoKeys;
use crate::snapshot::claims_policy::AuthPolicy;

/// Appends the challenge; nothing where the refusal has none.
pub fn write_challenge(refusal: &Refusal, policy: &AuthPolicy, out: &mut Vec<u8>) {
    let error = match refusal.reason.class() {
        // RFC 6750 section 3.1: no error where no credentials were sent.
        Class::Missing => None,
        Class::InvalidRequest => Some("invalid_request"),
        Class::InvalidToken => Some("invalid_token"),
        Class::InsufficientScope => Some("insufficient_scope"),
        Class::NoKeys if policy.answers.no_keys == NoKeys::Unauthorized => Some("invalid_token"),
        Class::Denied | Class::NoKeys => return,
    };
    parameter(out, "Bearer realm", [&*policy.realm]);
    if let Some(error) = error {
        parameter(out, ", error", [error]);
    }
    match refusal.reason.class() {
        Class::InvalidToken | Class::NoKeys => {
            if !policy.answers.strip_details {
                parameter(out, ", error_description", [refusal.reason.description()]);
            }
        }
        Class::InsufficientScope => {
            let scopes = claim_rules::scopes(policy).into_iter().filter(|scope| is_scope(scope));
            parameter(out, ", scope", scopes);
        }
        Class::Missing | Class::InvalidRequest | Class::Denied => {}
    }
    if let Some(url) = &policy.answers.resource_metadata
        && matches!(refusal.reason.class(), Class::Missing | Class::InvalidToken)
    {
        parameter(out, ", resource_metadata", [&**url]);
    }
}

/// A parameter whose value is these words, none of which needs escaping.
fn parameter<'w>(out: &mut Vec<u8>, name: &str, words: impl IntoIterator<Item = &'w str>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for (index, word) in words.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b'"');
}

/// scope-token of RFC 6749 section 3.3: what it leaves out could end the quoted string.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::refusal::Reason;
    use crate::snapshot::answers::Answers;
    use crate::snapshot::claims_policy::{
        ClaimPath, Condition, Matcher, Mode, Requirement, Scalar,
    };
    use crate::snapshot::credentials::Credentials;

    fn condition(claim: &str, matcher: Matcher) -> Condition {
        Condition {
            claim: ClaimPath::Name { literal: claim.into(), segments: Vec::new() },
            matcher,
        }
    }

    fn challenge(reason: Reason, require: Vec<Requirement>) -> String {
        let policy = AuthPolicy {
            mode: Mode::Strict,
            providers: Vec::new(),
            credentials: Credentials::default(),
            bypass_preflight: false,
            require,
            realm: "r".into(),
            answers: Answers::default(),
        };
        let mut out = Vec::new();
        write_challenge(&reason.into(), &policy, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_class_has_its_challenge() {
        assert_eq!(challenge(Reason::Missing, Vec::new()), "Bearer realm=\"r\"");
        assert_eq!(
            challenge(Reason::MultipleCredentials, Vec::new()),
            "Bearer realm=\"r\", error=\"invalid_request\""
        );
        assert_eq!(
            challenge(Reason::Expired, Vec::new()),
            "Bearer realm=\"r\", error=\"invalid_token\", error_description=\"token expired\""
        );
        assert_eq!(challenge(Reason::EntitlementRule, Vec::new()), "");
        assert_eq!(challenge(Reason::NoKeys, Vec::new()), "");
    }

    #[test]
    fn r_missing_says_where_the_metadata_is() {
        let answers = Answers {
            resource_metadata: Some("https://a/.well-known/oauth-protected-resource".into()),
            strip_details: true,
            ..Answers::default()
        };
        let policy = AuthPolicy {
            mode: Mode::Strict,
            providers: Vec::new(),
            credentials: Credentials::default(),
            bypass_preflight: false,
            require: Vec::new(),
            realm: "r".into(),
            answers,
        };
        let challenge = |reason: Reason| {
            let mut out = Vec::new();
            write_challenge(&reason.into(), &policy, &mut out);
            String::from_utf8(out).unwrap()
        };
        let metadata = "resource_metadata=\"https://a/.well-known/oauth-protected-resource\"";
        assert_eq!(challenge(Reason::Missing), format!("Bearer realm=\"r\", {metadata}"));
        let invalid = format!("Bearer realm=\"r\", error=\"invalid_token\", {metadata}");
        assert_eq!(challenge(Reason::Expired), invalid);
        let scope = "Bearer realm=\"r\", error=\"insufficient_scope\", scope=\"\"";
        assert_eq!(challenge(Reason::ScopeRule), scope);
    }

    #[test]
    fn c13_the_needed_scopes_are_listed_once() {
        let word = |word: &str| Matcher::Contains(Scalar::String(word.into()));
        let either = Matcher::OneOf(vec![
            Scalar::String("a".into()),
            Scalar::String("c".into()),
            Scalar::String("no\"quote".into()),
        ]);
        let require = vec![
            Requirement { any_of: vec![condition("scope", word("a"))] },
            Requirement { any_of: vec![condition("scope", word("b")), condition("scp", either)] },
            Requirement { any_of: vec![condition("role", word("admin"))] },
        ];
        assert_eq!(
            challenge(Reason::ScopeRule, require),
            "Bearer realm=\"r\", error=\"insufficient_scope\", scope=\"a b c\""
        );
    }

    #[test]
    fn phrases_and_codes_are_safe_and_codes_differ() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            let safe = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(reason.description().bytes().all(safe), "{reason:?}");
        }
    }
}
