//! C15: each kind of claim as a field, and that none can be more than one field.

use proptest::prelude::*;

use super::*;
use crate::auth::trace::Untraced;
use crate::snapshot::claims_policy::ClaimPath;

/// The value of the field made from this claim, or none where there is no field.
fn value(claim: &str) -> Option<String> {
    encoded(claim, ClaimEncoding::Text)
}

fn encoded(claim: &str, encoding: ClaimEncoding) -> Option<String> {
    let text = format!("{{\"c\":{claim}}}");
    let mut nodes = Vec::new();
    let claims = Claims::parse(text.as_bytes(), &mut nodes, &mut Untraced).unwrap();
    let path = ClaimPath::Name { literal: "c".into(), segments: Vec::new() };
    let headers = [ClaimHeader { name: "x-c".into(), claim: path, encoding }];
    let block = build(&headers, claims, &mut Vec::new()).unwrap();
    let block = std::str::from_utf8(&block).unwrap();
    if block.is_empty() {
        return None;
    }
    Some(block.strip_prefix("x-c: ").unwrap().strip_suffix("\r\n").unwrap().to_owned())
}

#[test]
fn c15_scalars_are_written_as_they_are() {
    assert_eq!(value(r#""alice""#).as_deref(), Some("alice"));
    assert_eq!(value(r#""a, b\\c""#).as_deref(), Some("a, b\\c"));
    assert_eq!(value("9007199254740993").as_deref(), Some("9007199254740993"));
    assert_eq!(value("1.50").as_deref(), Some("1.50"));
    assert_eq!(value("true").as_deref(), Some("true"));
    assert_eq!(value(r#""""#).as_deref(), Some(""));
}

#[test]
fn c15_what_could_break_a_field_is_encoded() {
    assert_eq!(value(r#""a\r\nb\u0000""#).as_deref(), Some("a%0D%0Ab%00"));
    assert_eq!(value(r#""é\u007f""#).as_deref(), Some("%C3%A9%7F"));
    assert_eq!(value(r#""100%""#).as_deref(), Some("100%25"));
    assert_eq!(value(r#"" a ""#).as_deref(), Some("%20a%20"));
    assert_eq!(value(r#"" ""#).as_deref(), Some("%20"));
}

#[test]
fn c15_arrays_of_scalars_are_joined() {
    assert_eq!(value(r#"["a","b,c","d\\e",7,false]"#).as_deref(), Some(r"a,b\,c,d\\e,7,false"));
    assert_eq!(value("[]").as_deref(), Some(""));
    assert_eq!(value(r#"["a",{}]"#), None);
    assert_eq!(value(r#"["a",null]"#), None);
}

#[test]
fn c15_what_is_missing_or_no_scalar_gives_no_field() {
    assert_eq!(value("null"), None);
    assert_eq!(value("{}"), None);
}

#[test]
fn c15_json_tells_every_claim_in_visible_ascii() {
    let json = |claim: &str| encoded(claim, ClaimEncoding::Json);
    for (claim, written) in [
        (r#"{ "a" : [1.50, {"b":null}], "c": "x" }"#, r#"{"a":[1.50,{"b":null}],"c":"x"}"#),
        (r#""a\r\n\u0000\"\\é\ud83d\ude00""#, r#""a\u000d\u000a\u0000\"\\\u00e9\ud83d\ude00""#),
        ("9007199254740993", "9007199254740993"),
        (r#"" a ""#, r#"" a ""#),
        ("[]", "[]"),
    ] {
        assert_eq!(json(claim).as_deref(), Some(written));
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(claim), parsed(written));
    }
    assert_eq!(json("null"), None);
}

#[test]
fn c15_base64url_holds_that_json() {
    let base64 = |claim: &str| encoded(claim, ClaimEncoding::Base64Url);
    assert_eq!(base64(r#"{"a": "?>"}"#).as_deref(), Some("eyJhIjoiPz4ifQ"));
    assert_eq!(base64("null"), None);
}

#[test]
fn c15_all_fields_together_are_capped() {
    for encoding in [ClaimEncoding::Text, ClaimEncoding::Json, ClaimEncoding::Base64Url] {
        let text = format!("{{\"c\":\"{}\"}}", "x".repeat(BLOCK_BYTES_MAX));
        let mut nodes = Vec::new();
        let claims = Claims::parse(text.as_bytes(), &mut nodes, &mut Untraced).unwrap();
        let claim = ClaimPath::Name { literal: "c".into(), segments: Vec::new() };
        let header = ClaimHeader { name: "x-c".into(), claim, encoding };
        assert_eq!(build(&[header], claims, &mut Vec::new()), Err(Reason::ClaimHeaders));
    }
}

proptest! {
    #[test]
    fn two_strings_never_give_one_value(a in "[ a%é\\x00-\\x20,]{0,4}", b in "[ a%é\\x00-\\x20,]{0,4}") {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let (first, second) = (value(&json(&a)), value(&json(&b)));
        prop_assert_eq!(a == b, first == second);
        let first = first.unwrap();
        prop_assert!(first.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        prop_assert_eq!(first.trim(), &first);
    }
}
