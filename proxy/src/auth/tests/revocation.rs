//! The deny list, asked after the cache.

use serde_json::json;

use super::*;
use crate::snapshot::deny_list::{Denial, Revoked};

const LATER: UnixTime = UnixTime(NOW + 100);

fn gateway_that_revokes(revoked: Revoked) -> Gateway {
    let deny_list = DenyList::new([&Denial::new(revoked, LATER)]);
    Gateway { deny_list, ..Gateway::new() }
}

fn issuer() -> Box<str> {
    "https://issuer/".into()
}

#[test]
fn a_token_is_revoked_by_each_of_its_names() {
    let claims = with(claims(), json!({ "jti": "t", "sid": 77, "iat": 1_699_999_994.5 }));
    let subject = |issued_before| Revoked::Subject {
        issuer: issuer(),
        subject: "alice".into(),
        issued_before: UnixTime(issued_before),
    };
    let cases = [
        (Revoked::Token { issuer: issuer(), id: "t".into() }, true),
        (Revoked::Token { issuer: "https://other/".into(), id: "t".into() }, false),
        // A number counts by its digits.
        (Revoked::Session { issuer: issuer(), session: "77".into() }, true),
        (subject(NOW - 5), true),
        (subject(NOW - 6), false),
        (Revoked::Key { issuer: None, kid: "k1".into() }, true),
        (Revoked::Key { issuer: Some(issuer()), kid: "k1".into() }, true),
        (Revoked::Key { issuer: Some(issuer()), kid: "k2".into() }, false),
    ];
    for (revoked, expected) in cases {
        let mut gateway = gateway_that_revokes(revoked.clone());
        let expected = expected.then_some(Reason::Revoked);
        assert_eq!(gateway.refuses_claims(&claims), expected, "{revoked:?}");
        assert_eq!(gateway.refuses_claims(&claims), expected, "cached: {revoked:?}");
        gateway.now = LATER.0;
        assert_eq!(gateway.refuses_claims(&claims), None, "its time is over: {revoked:?}");
    }
}

#[test]
fn a_token_without_iat_is_older_than_any_date() {
    let revoked =
        Revoked::Subject { issuer: issuer(), subject: "alice".into(), issued_before: UnixTime(1) };
    assert_eq!(gateway_that_revokes(revoked).refuses_claims(&claims()), Some(Reason::Revoked));
}

#[test]
fn a_token_that_is_in_the_cache_is_refused_from_the_next_request_on() {
    let mut gateway = Gateway::new();
    let token = Key(1).sign(&header(), &with(claims(), json!({ "jti": "t" })));
    assert_eq!(gateway.refuses(&token), None);
    let revoked = Revoked::Token { issuer: issuer(), id: "t".into() };
    gateway.deny_list = DenyList::new([&Denial::new(revoked, LATER)]);
    assert_eq!(gateway.refuses(&token), Some(Reason::Revoked), "the generation is the same");
    gateway.deny_list = DenyList::default();
    assert_eq!(gateway.refuses(&token), None, "taken back");
}

#[test]
fn a_revoked_key_does_not_sign_for_tokens_that_do_not_name_it() {
    let revoked = Revoked::Key { issuer: None, kid: "k1".into() };
    let mut gateway = gateway_that_revokes(revoked);
    let nameless = with(header(), json!({ "kid": null }));
    assert_eq!(gateway.refuses_header(&nameless), Some(Reason::Revoked));
    gateway.deny_list = DenyList::default();
    assert_eq!(gateway.refuses_header(&nameless), None);
}

#[test]
fn a_permissive_route_takes_a_revoked_token_for_a_bad_one() {
    let mut gateway = gateway_that_revokes(Revoked::Key { issuer: None, kid: "k1".into() });
    gateway.policy.mode = Mode::Permissive;
    let value = format!("Bearer {}", Key(1).sign(&header(), &claims()));
    let field = Field { name: "authorization", value: value.as_bytes() };
    match gateway.authorize(&[field]) {
        Authorization::Tolerated(refusal, _) => assert_eq!(refusal.reason, Reason::Revoked),
        other => panic!("{other:?}"),
    }
}
