//! The reader against examples and against serde_json, a slower reader of the same grammar.

mod differential;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Document, JsonError> {
    Document::parse(text.as_bytes())
}

fn fault(text: impl AsRef<[u8]>) -> Option<JsonError> {
    Document::parse(text.as_ref()).err()
}

/// The value in serde_json's type; the test's own way of looking at a document.
fn to_serde(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => value.into(),
        Value::Number(text) => serde_json::from_str(text).unwrap(),
        Value::String(text) => text.to_cow().into(),
        Value::Array(array) => array.elements().map(to_serde).collect(),
        Value::Object(object) => object
            .members()
            .map(|(name, value)| (name.to_cow().into_owned(), to_serde(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[test]
fn values_are_found_at_every_depth() {
    let text =
        r#" {"a": [1, {"b": "x\n\u00e9\ud83d\ude00"}, []], "c": {}, "d": -0.5e+1, "e": null} "#;
    let document = parse(text).unwrap();
    let expected: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(to_serde(Value::Object(document.root())), expected);
    assert!(document.root().get("b").is_none());
}

#[test]
fn j4_what_is_not_one_utf8_object_is_refused() {
    assert_eq!(fault(b"{\"a\":\"\xff\"}"), Some(JsonError::NotUtf8));
    assert_eq!(fault("\u{feff}{}"), Some(JsonError::ByteOrderMark));
    for text in ["[]", "\"x\"", "1", "null", " true"] {
        assert_eq!(fault(text), Some(JsonError::NotAnObject), "{text}");
    }
    assert_eq!(fault("{}{}"), Some(JsonError::TrailingBytes(2)));
    assert_eq!(fault("{} x"), Some(JsonError::TrailingBytes(3)));
    assert_eq!(fault("{}\0"), Some(JsonError::TrailingBytes(2)));
}

#[test]
fn j4_depth_and_members_end_at_their_limits() {
    let nested =
        |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(fault(nested(16)), None);
    assert_eq!(fault(nested(17)), Some(JsonError::TooDeep));
    assert_eq!(fault("[".repeat(100_000)), Some(JsonError::TooDeep));
    let wide = |members: usize| {
        let members: Vec<_> = (0..members).map(|n| format!("\"m{n}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(fault(wide(256)), None);
    assert_eq!(fault(wide(257)), Some(JsonError::TooManyMembers));
    assert_eq!(fault(format!("{{\"a\":{}}}", wide(257))), Some(JsonError::TooManyMembers));
}

#[test]
fn j5_duplicate_member_after_unescaping_is_refused() {
    assert_eq!(fault(r#"{"sub":1,"sub":1}"#), Some(JsonError::DuplicateMember(9)));
    assert_eq!(fault(r#"{"sub":1,"s\u0075b":2}"#), Some(JsonError::DuplicateMember(9)));
    assert_eq!(fault(r#"{"s\u0075b":1,"\u0073ub":2}"#), Some(JsonError::DuplicateMember(14)));
    assert_eq!(fault(r#"{"a":[{"b":{},"c":[1,2],"b":0}]}"#), Some(JsonError::DuplicateMember(24)));
    assert_eq!(fault(r#"{"\ud83d\ude00":1,"😀":2}"#), Some(JsonError::DuplicateMember(18)));
    assert_eq!(fault(r#"{"a":{"a":{"a":1}},"A":[{"a":1},{"a":1}]}"#), None);
}

#[test]
fn malformed_json_is_refused() {
    for text in [
        "",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "/**/{}",
        "{\"a\":0x1}",
        "{\"a\":1\u{a0}}",
    ] {
        assert!(matches!(fault(text), Some(JsonError::Syntax(_))), "{text:?}");
    }
}

#[test]
fn c14_numbers_compare_by_exact_value() {
    let equal = |a: &str, b: &str| match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    };
    for (a, b) in [
        ("1000", "1e3"),
        ("1.50", "15e-1"),
        ("0", "-0.0e7"),
        ("100.0", "1E+2"),
        ("0.001", "1e-3"),
        ("9007199254740993", "9007199254740993.0"),
    ] {
        assert!(equal(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("9007199254740993", "9007199254740992"),
        ("1", "-1"),
        ("1", "10"),
        ("0.1", "0.10000001"),
        ("1e99999999999", "1e99999999999"),
    ] {
        assert!(!equal(a, b), "{a} {b}");
    }
}

#[test]
fn c9_dates_round_up_to_whole_seconds() {
    let ceil =
        |text: &str| Decimal::parse(text).and_then(|value| value.ceil_within(253_402_300_799));
    assert_eq!(ceil("1.5e9"), Some(1_500_000_000));
    assert_eq!(ceil("1700000000.5"), Some(1_700_000_001));
    assert_eq!(ceil("1700000000.0"), Some(1_700_000_000));
    assert_eq!(ceil("0"), Some(0));
    assert_eq!(ceil("-0"), Some(0));
    assert_eq!(ceil("1e-400"), Some(1));
    assert_eq!(ceil("253402300799"), Some(253_402_300_799));
    assert_eq!(ceil("253402300799.1"), None);
    assert_eq!(ceil("253402300800"), None);
    assert_eq!(ceil("1e2147483647"), None);
    assert_eq!(ceil("99999999999999999999999"), None);
    assert_eq!(ceil("-1"), None);
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A byte of a string, of which some end it or stand beside those that do.
fn string_byte() -> impl Strategy<Value = u8> {
    let edge = prop::sample::select(&[0_u8, 0x1f, b' ', b'!', b'"', b'#', b'[', b'\\', b']', 0xa2]);
    prop_oneof![8 => any::<u8>().prop_map(|byte| byte | 0x40), 1 => edge, 1 => any::<u8>()]
}

proptest! {
    #[test]
    fn plain_bytes_end_at_the_first_other_byte(text in prop::collection::vec(string_byte(), 0..60)) {
        let slow = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        prop_assert_eq!(reader::plain_bytes(&text), slow.unwrap_or(text.len()));
    }

    #[test]
    fn reads_what_serde_json_writes(value in json_value()) {
        let value = serde_json::json!({ "value": value });
        let text = serde_json::to_vec(&value).unwrap();
        let document = Document::parse(&text).unwrap();
        prop_assert_eq!(to_serde(Value::Object(document.root())), value);
    }

    #[test]
    fn accepts_nothing_that_serde_json_refuses(text in "[{}\\[\\]:,\"\\\\a0-9eu.\\- tfn]{0,40}") {
        if let Ok(document) = parse(&text) {
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(to_serde(Value::Object(document.root())), expected);
        }
    }
}
