//! Matchers against values of the right and of the wrong type, and paths that lead nowhere.

use super::*;
use crate::auth::claims::KeptClaims;
use crate::auth::trace::Untraced;

const CLAIMS: &str = r#"{
    "name": "alice", "flag": true, "none": null, "big": 9007199254740993, "float": 1.0,
    "list": ["a", 7, true], "org": {"team": {"id": 7}, "list": [{"id": 1}]},
    "a.b": "literal", "a": {"b": "nested"}, "scope": "read  write", "scp": ["admin"]
}"#;

fn claims(text: &str) -> KeptClaims {
    Claims::parse(text.as_bytes(), &mut Vec::new(), &mut Untraced).unwrap().keep()
}

fn path(name: &str) -> ClaimPath {
    ClaimPath::Name { literal: name.into(), segments: name.split('.').map(Into::into).collect() }
}

fn holds_in(text: &str, claim: ClaimPath, matcher: Matcher) -> bool {
    holds(&Requirement { any_of: vec![Condition { claim, matcher }] }, claims(text).claims())
}

fn holds_for(name: &str, matcher: Matcher) -> bool {
    holds_in(CLAIMS, path(name), matcher)
}

fn text(text: &str) -> Scalar {
    Scalar::String(text.into())
}

fn number(text: &str) -> Scalar {
    Scalar::Number(text.into())
}

#[test]
fn c12_matchers_match_values_of_their_type() {
    assert!(holds_for("name", Matcher::Equals(text("alice"))));
    assert!(!holds_for("name", Matcher::Equals(text("Alice"))));
    assert!(holds_for("flag", Matcher::Equals(Scalar::Bool(true))));
    assert!(!holds_for("flag", Matcher::Equals(text("true"))));
    assert!(holds_for("name", Matcher::OneOf(vec![text("bob"), text("alice")])));
    assert!(!holds_for("name", Matcher::OneOf(vec![text("bob")])));
    assert!(holds_for("name", Matcher::Prefix("ali".into())));
    assert!(!holds_for("name", Matcher::Prefix("alicex".into())));
    assert!(!holds_for("big", Matcher::Prefix("9".into())));
    assert!(holds_for("list", Matcher::Contains(number("7.0"))));
    assert!(!holds_for("list", Matcher::Contains(text("7"))));
    assert!(!holds_for("name", Matcher::Contains(text("alice"))));
    assert!(holds_for("org", Matcher::Exists));
    assert!(!holds_for("none", Matcher::Exists));
    assert!(!holds_for("missing", Matcher::Exists));
}

#[test]
fn c14_large_integers_compare_exactly() {
    assert!(holds_for("big", Matcher::Equals(number("9007199254740993"))));
    assert!(!holds_for("big", Matcher::Equals(number("9007199254740992"))));
    assert!(holds_for("float", Matcher::Equals(number("1"))));
}

#[test]
fn s6_nested_names_take_the_literal_first_and_lead_nowhere_otherwise() {
    assert!(holds_for("a.b", Matcher::Equals(text("literal"))));
    assert!(holds_for("org.team.id", Matcher::Equals(number("7"))));
    for name in ["org.none.id", "name.x", "org.list.0", "org.list.id", "org.team.id.x"] {
        assert!(!holds_for(name, Matcher::Exists), "{name}");
    }
    let undelimited = ClaimPath::Name { literal: "org.team".into(), segments: Vec::new() };
    assert!(!holds_in(CLAIMS, undelimited, Matcher::Exists));
    let steps = ClaimPath::Steps(vec!["a".into(), "b".into()]);
    assert!(holds_in(CLAIMS, steps, Matcher::Equals(text("nested"))));
}

#[test]
fn c13_scope_and_scp_are_one_set_of_words() {
    for word in ["read", "write", "admin"] {
        assert!(holds_for("scope", Matcher::Contains(text(word))), "{word}");
        assert!(holds_for("scp", Matcher::Contains(text(word))), "{word}");
        assert!(holds_for("scope", Matcher::OneOf(vec![text("x"), text(word)])), "{word}");
    }
    for word in ["rea", "read write", "", "x"] {
        assert!(!holds_for("scope", Matcher::Contains(text(word))), "{word}");
    }
}

#[test]
fn c16_a_scope_of_a_wrong_type_is_no_scope() {
    for claims in [
        r#"{"scope":"read","scp":7}"#,
        r#"{"scope":{"read":true}}"#,
        r#"{"scope":["read",7]}"#,
        r#"{"scope":null}"#,
    ] {
        assert!(!holds_in(claims, path("scope"), Matcher::Contains(text("read"))), "{claims}");
    }
    assert!(holds_in(r#"{"scope":["read"]}"#, path("scp"), Matcher::Contains(text("read"))));
    assert!(holds_in(r#"{"scp":"a read"}"#, path("scope"), Matcher::Contains(text("read"))));
}
