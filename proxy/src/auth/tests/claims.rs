//! Sections 4 to 6: claims, rules and claim headers through the whole way.

use super::*;
use crate::snapshot::claims_policy::Scalar;
use crate::snapshot::provider::{Binding, ClaimEncoding, ClaimHeader};

fn refuses(members: Value) -> Option<Reason> {
    Gateway::new().refuses_claims(&with(claims(), members))
}

#[test]
fn c1_iss_is_compared_exactly() {
    for iss in [
        json!(null),
        json!(1),
        json!(["https://issuer/"]),
        json!("https://issuer"),
        json!("https://ISSUER/"),
        json!("https://issuer//"),
        json!(""),
    ] {
        assert_eq!(refuses(json!({ "iss": iss })), Some(Reason::Issuer), "{iss}");
    }
    let mut gateway = Gateway::new();
    gateway.providers[0].issuer = Issuer::Any;
    assert_eq!(gateway.refuses_claims(&with(claims(), json!({ "iss": "x" }))), None);
    assert_eq!(gateway.refuses_claims(&with(claims(), json!({ "iss": null }))), None);
    assert_eq!(gateway.refuses_claims(&with(claims(), json!({ "iss": 1 }))), Some(Reason::Issuer));
}

#[test]
fn c2_aud_is_a_string_or_an_array_of_strings() {
    for aud in [json!("orders"), json!(["orders"]), json!(["x", "orders"])] {
        assert_eq!(refuses(json!({ "aud": aud })), None, "{aud}");
    }
    for aud in [json!([]), json!(1), json!({}), json!(["orders", 1]), json!([["orders"]])] {
        assert_eq!(refuses(json!({ "aud": aud })), Some(Reason::Audience), "{aud}");
        let mut gateway = Gateway::new();
        gateway.providers[0].audiences = Audiences::Any;
        let claims = with(claims(), json!({ "aud": aud }));
        assert_eq!(gateway.refuses_claims(&claims), Some(Reason::Audience), "any, {aud}");
    }
}

#[test]
fn c3_a_wrong_or_missing_aud_is_an_invalid_token() {
    for aud in [json!(null), json!("other"), json!("Orders"), json!(["a", "b"])] {
        assert_eq!(refuses(json!({ "aud": aud })), Some(Reason::Audience), "{aud}");
    }
    assert_eq!(Reason::Audience.class(), Class::InvalidToken);
    let mut gateway = Gateway::new();
    gateway.providers[0].audiences = Audiences::Any;
    assert_eq!(gateway.refuses_claims(&with(claims(), json!({ "aud": null }))), None);
}

#[test]
fn c5_exp_is_required_unless_configured() {
    let claims = with(claims(), json!({ "exp": null }));
    assert_eq!(Gateway::new().refuses_claims(&claims), Some(Reason::ExpiryMissing));
    let mut gateway = Gateway::new();
    gateway.providers[0].require_exp = false;
    assert_eq!(gateway.refuses_claims(&claims), None);
}

#[test]
fn c6_c7_c8_boundaries_with_and_without_leeway() {
    for leeway in [0_i64, 60] {
        let refuses = |members| {
            let mut gateway = Gateway::new();
            gateway.providers[0].leeway = Duration::from_secs(leeway.unsigned_abs());
            gateway.refuses_claims(&with(claims(), members))
        };
        assert_eq!(refuses(json!({ "exp": NOW - leeway })), Some(Reason::Expired));
        assert_eq!(refuses(json!({ "exp": NOW - leeway + 1 })), None);
        assert_eq!(refuses(json!({ "nbf": NOW + leeway })), None);
        assert_eq!(refuses(json!({ "nbf": NOW + leeway + 1 })), Some(Reason::NotYetValid));
        assert_eq!(refuses(json!({ "iat": NOW + leeway })), None);
        assert_eq!(refuses(json!({ "iat": NOW + leeway + 1 })), Some(Reason::IssuedInFuture));
    }
}

#[test]
fn c8_age_and_lifetime_have_limits_where_configured() {
    let mut gateway = Gateway::new();
    gateway.providers[0].checks.max_age = Some(Duration::from_secs(100));
    let mut at = |iat: Value| gateway.refuses_claims(&with(claims(), json!({ "iat": iat })));
    assert_eq!(at(json!(NOW - 100)), None);
    assert_eq!(at(json!(NOW - 101)), Some(Reason::TooOld));
    assert_eq!(at(json!(null)), Some(Reason::TooOld));
    let mut gateway = Gateway::new();
    gateway.providers[0].checks.max_lifetime = Some(Duration::from_secs(600));
    assert_eq!(gateway.refuses_claims(&claims()), None);
    let longer = with(claims(), json!({ "exp": NOW + 601 }));
    assert_eq!(gateway.refuses_claims(&longer), Some(Reason::LifetimeTooLong));
    gateway.providers[0].require_exp = false;
    let endless = with(claims(), json!({ "exp": null }));
    assert_eq!(gateway.refuses_claims(&endless), Some(Reason::LifetimeTooLong));
}

#[test]
fn c8_s5_the_lifetime_is_checked_again_on_each_hit() {
    let mut gateway = Gateway::new();
    gateway.providers[0].leeway = Duration::from_secs(60);
    gateway.providers[0].checks.max_lifetime = Some(Duration::from_secs(600));
    let token = Key(1).sign(&header(), &claims());
    // The clock goes on and is set back.
    for (now, expected) in [
        (NOW + 500, None),
        (NOW - 60, None),
        (NOW - 61, Some(Reason::LifetimeTooLong)),
        (NOW - 60, None),
    ] {
        gateway.now = now;
        assert_eq!(gateway.refuses(&token), expected, "at {now}");
    }
}

#[test]
fn c9_dates_are_numbers_in_range() {
    assert_eq!(refuses(json!({ "nbf": 1.5e9 })), None);
    assert_eq!(refuses(json!({ "exp": NOW as f64 + 0.5 })), None);
    assert_eq!(refuses(json!({ "nbf": NOW as f64 + 0.5 })), Some(Reason::NotYetValid));
    for name in ["exp", "nbf", "iat"] {
        for date in [
            json!("1700000600"),
            json!(true),
            json!(-1),
            json!(253_402_300_800_i64),
            json!([NOW]),
            json!({}),
        ] {
            assert_eq!(refuses(json!({ name: date })), Some(Reason::Date), "{name} {date}");
        }
        let mut claims = claims();
        claims[name] = Value::Null;
        assert_eq!(Gateway::new().refuses_claims(&claims), Some(Reason::Date), "{name} null");
    }
}

#[test]
fn c10_leeway_never_stretches_the_cached_token() {
    let mut gateway = Gateway::new();
    gateway.providers[0].leeway = Duration::from_secs(60);
    let token = Key(1).sign(&header(), &claims());
    let verified = gateway.judge(&token).unwrap();
    assert_eq!(verified.ends_at(), Some(UnixTime(NOW + 660)));
    gateway.now = NOW + 659;
    assert!(Rc::ptr_eq(&gateway.judge(&token).unwrap(), &verified));
    gateway.now = NOW + 660;
    assert_eq!(gateway.refuses(&token), Some(Reason::Expired));
}

#[test]
fn c11_a_clock_that_jumps_and_returns_leaves_nothing_behind() {
    let mut gateway = Gateway::new();
    let token = Key(1).sign(&header(), &with(claims(), json!({ "nbf": NOW - 10 })));
    for (now, expected) in [
        (NOW, None),
        (NOW + 100_000, Some(Reason::Expired)),
        (NOW + 100_001, Some(Reason::Expired)),
        (NOW, None),
        (NOW - 11, Some(Reason::NotYetValid)),
        (NOW, None),
    ] {
        gateway.now = now;
        assert_eq!(gateway.refuses(&token), expected, "at {now}");
    }
}

#[test]
fn c12_rules_refuse_by_what_they_are_about() {
    let text = |text: &str| Scalar::String(text.into());
    let judge = |rules: Vec<Requirement>| {
        let mut gateway = Gateway::new();
        gateway.policy.require = rules;
        let members = json!({ "org": { "team": "a" }, "roles": ["x", "y"], "azp": "web" });
        gateway.refuses_claims(&with(claims(), members))
    };
    assert_eq!(judge(vec![rule("org.team", Matcher::Equals(text("a")))]), None);
    assert_eq!(
        judge(vec![rule("org.team", Matcher::Equals(text("b")))]),
        Some(Reason::EntitlementRule)
    );
    assert_eq!(judge(vec![rule("roles", Matcher::Contains(text("y")))]), None);
    assert_eq!(judge(vec![rule("azp", Matcher::Prefix("mob".into()))]), Some(Reason::IdentityRule));
    assert_eq!(judge(vec![rule("scope", Matcher::Contains(text("r")))]), Some(Reason::ScopeRule));
    let either = Requirement {
        any_of: vec![
            condition("scope", Matcher::Contains(text("r"))),
            condition("roles", Matcher::Contains(text("x"))),
        ],
    };
    assert_eq!(judge(vec![either.clone()]), None);
    let exists = rule("missing", Matcher::Exists);
    assert_eq!(judge(vec![either, exists]), Some(Reason::EntitlementRule));
}

#[test]
fn s5_rules_belong_to_the_route_and_not_to_the_cached_token() {
    let mut gateway = Gateway::new();
    let token = Key(1).sign(&header(), &claims());
    assert_eq!(gateway.refuses(&token), None);
    gateway.policy.require = vec![rule("admin", Matcher::Exists)];
    assert_eq!(gateway.refuses(&token), Some(Reason::EntitlementRule));
    gateway.policy.require.clear();
    assert_eq!(gateway.refuses(&token), None);
}

#[test]
fn c15_claim_headers_come_with_the_token() {
    let mut gateway = Gateway::new();
    let name = |name: &str| ClaimPath::Name { literal: name.into(), segments: Vec::new() };
    gateway.providers[0].claim_headers = vec![
        ClaimHeader { name: "x-user".into(), claim: name("sub"), encoding: ClaimEncoding::Text },
        ClaimHeader { name: "x-none".into(), claim: name("none"), encoding: ClaimEncoding::Text },
        ClaimHeader { name: "x-big".into(), claim: name("big"), encoding: ClaimEncoding::Text },
    ];
    let token = Key(1).sign_text(
        header().to_string(),
        r#"{"iss":"https://issuer/","aud":"orders","exp":1700000600,"sub":"a\r\nx: y","big":9007199254740993}"#,
    );
    let verified = gateway.judge(&token).unwrap();
    assert_eq!(
        str::from_utf8(&verified.header_block).unwrap(),
        "x-user: a%0D%0Ax: y\r\nx-big: 9007199254740993\r\n"
    );
    let long = with(claims(), json!({ "sub": "s".repeat(5000), "big": "b".repeat(500) }));
    gateway.providers[0].claim_headers = vec![
        ClaimHeader {
            name: "x-user".into(),
            claim: name("sub"),
            encoding: ClaimEncoding::Text
        };
        2
    ];
    gateway.providers[0].token_bytes_max = 16_384;
    assert_eq!(gateway.refuses_claims(&long), Some(Reason::ClaimHeaders));
}

#[test]
fn c17_a_token_bound_to_a_certificate_is_of_use_with_it_alone() {
    let bound = json!({ "x5t#S256": "abc" });
    let other_kinds = json!({ "jkt": "abc" });
    let cases = [
        // cnf, what the client shows, refused where it is ignored, enforced, required
        (json!(null), None, [false, false, true]),
        (json!(null), Some("abc"), [false, false, true]),
        (other_kinds, Some("abc"), [false, false, true]),
        (bound.clone(), None, [false, true, true]),
        (bound.clone(), Some("abd"), [false, true, true]),
        (bound.clone(), Some("ab"), [false, true, true]),
        (bound, Some("abc"), [false, false, false]),
        (json!({ "x5t#S256": null }), Some("abc"), [false, true, true]),
        (json!({ "x5t#S256": ["abc"] }), Some("abc"), [false, true, true]),
        (json!("abc"), Some("abc"), [false, true, true]),
        (json!([]), Some("abc"), [false, true, true]),
    ];
    for (cnf, shown, refused) in cases {
        let bindings = [Binding::Ignored, Binding::Enforced, Binding::Required];
        for (binding, refused) in bindings.into_iter().zip(refused) {
            let mut gateway = Gateway::new();
            gateway.providers[0].checks.binding = binding;
            gateway.certificate = shown.map(Into::into);
            let claims = with(claims(), json!({ "cnf": cnf }));
            let expected = refused.then_some(Reason::Certificate);
            assert_eq!(gateway.refuses_claims(&claims), expected, "{cnf} {shown:?} {binding:?}");
        }
    }
}

#[test]
fn c17_is_looked_at_anew_for_each_client() {
    let mut gateway = Gateway::new();
    gateway.providers[0].checks.binding = Binding::Enforced;
    let claims = with(claims(), json!({ "cnf": { "x5t#S256": "abc" } }));
    for (shown, refused) in [(Some("abc"), false), (None, true), (Some("abc"), false)] {
        gateway.certificate = shown.map(Into::into);
        let expected = refused.then_some(Reason::Certificate);
        assert_eq!(gateway.refuses_claims(&claims), expected, "{shown:?}");
    }
}
