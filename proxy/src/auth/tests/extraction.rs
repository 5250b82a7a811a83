//! Section 1: what passes without a token, what is stripped, and what is refused before decoding.

use super::*;

fn verdict(mode: Mode, value: Option<&str>) -> Authorization {
    let mut gateway = Gateway::new();
    gateway.policy.mode = mode;
    let field = value.map(|value| Field { name: "Authorization", value: value.as_bytes() });
    gateway.authorize(field.as_slice())
}

fn strips_token(authorization: &Authorization) -> bool {
    authorization.removal(Some(&Gateway::new().policy)).takes_field("Authorization")
}

#[test]
fn e1_no_token_passes_unless_strict() {
    let strict = verdict(Mode::Strict, None);
    assert!(matches!(&strict, Authorization::Refused(r) if *r == Reason::Missing.into()));
    for mode in [Mode::Optional, Mode::Permissive] {
        assert!(matches!(verdict(mode, None), Authorization::Anonymous));
    }
}

#[test]
fn e3_another_scheme_is_no_token_and_stays_untouched() {
    let basic = Some("Basic dXNlcjpwdw==");
    let strict = verdict(Mode::Strict, basic);
    assert!(matches!(strict, Authorization::Refused(r) if r.reason == Reason::Missing));
    for mode in [Mode::Optional, Mode::Permissive] {
        let passed = verdict(mode, basic);
        assert!(matches!(passed, Authorization::Anonymous));
        assert!(!strips_token(&passed));
    }
}

#[test]
fn e4_malformed_credentials_are_refused_even_where_none_would_pass() {
    let refused = verdict(Mode::Optional, Some("Bearer"));
    assert!(
        matches!(refused, Authorization::Refused(r) if r.reason == Reason::MalformedCredentials)
    );
}

#[test]
fn e9_foreign_characters_are_refused() {
    let good = Key(1).sign(&header(), &claims());
    for bad in
        [format!("{good}="), good.replace('.', " "), format!("{good}\u{e9}"), format!("+{good}")]
    {
        assert_eq!(Gateway::new().refuses(&bad), Some(Reason::TokenCharacters), "{bad}");
    }
}

#[test]
fn e10_a_token_over_the_limit_is_refused_before_decoding() {
    let mut gateway = Gateway::new();
    let good = Key(1).sign(&header(), &claims());
    gateway.providers[0].token_bytes_max = good.len();
    assert_eq!(gateway.refuses(&good), None);
    gateway.providers[0].token_bytes_max = good.len() - 1;
    gateway.generation = Generation(2);
    assert_eq!(gateway.refuses(&good), Some(Reason::TokenTooLong));
    // The limit that counts is that of the provider, not the largest of the route.
    gateway.providers.push(provider("https://other/", Vec::new()));
    gateway.policy.providers.extend(ProviderId::new(1));
    assert_eq!(gateway.refuses(&good), Some(Reason::TokenTooLong));
}

#[test]
fn e11_a_good_token_is_stripped_unless_forwarded() {
    let value = format!("Bearer {}", Key(1).sign(&header(), &claims()));
    assert!(strips_token(&verdict(Mode::Strict, Some(&value))));
    let mut gateway = Gateway::new();
    gateway.providers[0].forward_token = true;
    let field = Field { name: "Authorization", value: value.as_bytes() };
    assert!(!strips_token(&gateway.authorize(&[field])));
}

#[test]
fn c19_a_permissive_route_strips_a_bad_token_and_says_why() {
    let value = format!("Bearer {}", Key(2).sign(&header(), &claims()));
    let tolerated = verdict(Mode::Permissive, Some(&value));
    assert!(strips_token(&tolerated));
    let Authorization::Tolerated(refusal, _) = tolerated else { panic!("{tolerated:?}") };
    assert_eq!(refusal.reason, Reason::Signature);
    assert_eq!(refusal.provider, ProviderId::new(0));
    assert_eq!(refusal.kid.as_deref(), Some("k1"));
    assert_eq!(refusal.reason.status_field_value(), "invalid;reason=auth.signature");
}

#[test]
fn optional_refuses_a_bad_token() {
    let value = format!("Bearer {}", Key(2).sign(&header(), &claims()));
    let refused = verdict(Mode::Optional, Some(&value));
    assert!(matches!(refused, Authorization::Refused(r) if r.reason == Reason::Signature));
}
