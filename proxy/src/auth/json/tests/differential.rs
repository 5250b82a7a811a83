//! The reader beside serde_json on texts in every spelling: the same are accepted, with the same values.

use proptest::prelude::*;

use super::*;

/// White space, or none.
fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

/// A character of a string, in one of its spellings.
fn character() -> impl Strategy<Value = String> {
    let any_char = any::<char>().prop_map(|character| match character {
        '"' | '\\' => format!("\\{character}"),
        control @ ..' ' => format!("\\u{:04x}", u32::from(control)),
        plain => plain.to_string(),
    });
    let escaped = any::<char>().prop_map(|character| {
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.iter().map(|unit| format!("\\u{unit:04X}")).collect()
    });
    prop_oneof![
        4 => "[a-c ]",
        2 => any_char,
        2 => escaped,
        1 => "\\\\[\"\\\\/bfnrt]",
        // Lone and reversed surrogates, escapes that are none.
        1 => "\\\\u[dD][89a-fA-F][0-9a-f]{2}",
    ]
}

fn string() -> impl Strategy<Value = String> {
    prop::collection::vec(character(), 0..5).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i128>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter_map("JSON has no infinity", |number| {
            number.is_finite().then(|| format!("{number:e}"))
        }),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        // Not always a number.
        "[-+]?[0-9]{0,2}\\.?[0-9]{0,2}[eE]?[-+]?[0-9]{0,2}",
    ]
}

/// A value as text; the members of an object have different names, unless their spellings meet.
fn value() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("null"), Just("true"), Just("false"), Just("nul"), Just("True")];
    let leaf = prop_oneof![
        1 => word.prop_map(str::to_owned),
        4 => string(),
        4 => number(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec((space(), inner.clone(), space()), 0..4);
        let members = prop::collection::vec((string(), space(), inner, space()), 0..4);
        prop_oneof![
            list.prop_map(|list| {
                let each = list.into_iter().map(|(a, value, b)| format!("{a}{value}{b}"));
                format!("[{}]", each.collect::<Vec<_>>().join(","))
            }),
            members.prop_map(|members| {
                let each = members
                    .into_iter()
                    .map(|(name, a, value, b)| format!("{a}{name}{b}:{a}{value}{b}"));
                format!("{{{}}}", each.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Whether two readings are of one value. Integers are exact; of other numbers serde_json keeps a
/// double, which it may round to one near by.
fn same(ours: Value<'_>, theirs: &serde_json::Value) -> bool {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(ours), serde_json::Value::Bool(theirs)) => ours == *theirs,
        (Value::String(ours), serde_json::Value::String(theirs)) => {
            ours == **theirs && ours.to_cow() == *theirs && ours.len() == theirs.len()
        }
        (Value::Number(ours), serde_json::Value::Number(theirs)) if theirs.is_f64() => {
            let (ours, theirs) = (ours.parse::<f64>().unwrap(), theirs.as_f64().unwrap());
            (ours - theirs).abs() <= (ours.abs() * 4.0 * f64::EPSILON).max(f64::MIN_POSITIVE)
        }
        (Value::Number(ours), serde_json::Value::Number(theirs)) => {
            ours.parse::<i128>() == theirs.to_string().parse::<i128>()
        }
        (Value::Array(ours), serde_json::Value::Array(theirs)) => {
            let mut theirs = theirs.iter();
            ours.elements().all(|value| theirs.next().is_some_and(|other| same(value, other)))
                && theirs.next().is_none()
        }
        (Value::Object(ours), serde_json::Value::Object(theirs)) => {
            ours.members().count() == theirs.len()
                && theirs
                    .iter()
                    .all(|(name, other)| ours.get(name).is_some_and(|value| same(value, other)))
        }
        _ => false,
    }
}

/// Compares the two on one text. Only what this reader refuses on purpose may differ.
fn compare(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<serde_json::Value>(text);
    match (parse(text), theirs) {
        (Ok(ours), Ok(theirs)) => {
            prop_assert!(same(Value::Object(ours.root()), &theirs), "{text:?}: {theirs}");
        }
        // A number beyond every double is none to serde_json.
        (Ok(_), Err(error)) => {
            prop_assert!(error.to_string().starts_with("number out of range"), "{text:?}: {error}");
        }
        (Err(_), Err(_)) => {}
        (Err(fault), Ok(theirs)) => {
            let on_purpose = match fault {
                JsonError::NotAnObject => !theirs.is_object(),
                JsonError::DuplicateMember(_) | JsonError::TooDeep => true,
                _ => false,
            };
            prop_assert!(on_purpose, "{text:?}: {fault}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_spelling_is_read_as_serde_json_reads_it(
        members in prop::collection::vec((string(), space(), value()), 0..5),
        after in space(),
    ) {
        let each = members.iter().map(|(name, space, value)| format!("{space}{name}:{space}{value}"));
        compare(&format!("{{{}}}{after}", each.collect::<Vec<_>>().join(",")))?;
    }

    #[test]
    fn one_changed_byte_makes_no_difference_between_them(
        value in value(),
        at in any::<prop::sample::Index>(),
        byte in "[\\x00-\\x7f]",
        cut in 0_usize..2,
    ) {
        let text = format!("{{\"a\":{value},\"b\":[{value}]}}");
        let starts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        let at = starts[at.index(starts.len())];
        let rest: String = text[at..].chars().skip(cut).collect();
        compare(&format!("{}{byte}{rest}", &text[..at]))?;
    }

    /// C14: two spellings are one number exactly when their integers are.
    #[test]
    fn decimals_compare_as_exact_integers_do(
        a in any::<i64>(), b in any::<i64>(), near in -2_i64..3, zeros in 0_u32..12, point in any::<bool>(),
    ) {
        // `a` and a number beside it, the second written with an exponent or a point.
        for b in [b, a.saturating_add(near)] {
            let scaled = i128::from(b) * 10_i128.pow(zeros);
            let spelling = if point {
                format!("{b}.{}e{zeros}", "0".repeat(zeros as usize + 1))
            } else {
                format!("{scaled}e-{zeros}")
            };
            let one = a.to_string();
            let (one, other) = (Decimal::parse(&one).unwrap(), Decimal::parse(&spelling).unwrap());
            let wanted = if point { i128::from(a) == scaled } else { a == b };
            prop_assert_eq!(one == other, wanted, "{} {}", a, spelling);
        }
    }
}
