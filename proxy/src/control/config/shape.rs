//! Checks the shape of a document against the schema: every unknown key, wrong type and value out
//! of range at once, where serde stops at the first.
//!
//! The schema is made from the raw types, so what passes here deserialises, and an editor that
//! uses the schema agrees with the gateway. Only the keywords that this schema uses are understood;
//! a test fails when another one appears in it.

use std::net::SocketAddr;

use serde_json::Value;

use super::json_path::JsonPath;
use super::quantity::{DURATION_FORMAT, SIZE_FORMAT, Size, Span};

/// What is wrong and where.
pub(super) type Finding = (JsonPath, String);

/// Everything in `value` that does not have the shape that `schema` describes.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Finding> {
    let mut checker = Checker { root: schema, findings: Vec::new() };
    checker.check(schema, value, &JsonPath::default());
    checker.findings
}

struct Checker<'s> {
    root: &'s Value,
    findings: Vec<Finding>,
}

impl<'s> Checker<'s> {
    fn report(&mut self, path: &JsonPath, what: String) {
        self.findings.push((path.clone(), what));
    }

    fn check(&mut self, schema: &'s Value, value: &Value, path: &JsonPath) {
        let schema = self.resolve(schema);
        if let Some(branches) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
            return self.check_branches(
                branches.as_array().map_or(&[], Vec::as_slice),
                value,
                path,
            );
        }
        if let Some(allowed) = constants(schema) {
            if !allowed.contains(&value) {
                let what = format!("{} is not known; allowed: {}", shown(value), list(&allowed));
                self.report(path, what);
            }
            return;
        }
        if !has_type(schema, value) {
            let what = format!("expected {}, found {}", type_names(schema), shown(value));
            return self.report(path, what);
        }
        match value {
            Value::Object(_) => self.check_object(schema, value, path),
            Value::Array(elements) => self.check_array(schema, elements, path),
            Value::String(text) => self.check_string(schema, text, path),
            Value::Number(_) => self.check_range(schema, value, path),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| self.root.pointer(pointer));
        target.unwrap_or(schema)
    }

    /// Of alternatives, the one whose type the value has tells what is wrong with it.
    fn check_branches(&mut self, branches: &'s [Value], value: &Value, path: &JsonPath) {
        let branches: Vec<&Value> = branches.iter().map(|branch| self.resolve(branch)).collect();
        let matches = |branch: &&&Value| constants(branch).is_some_and(|all| all.contains(&value));
        if branches.iter().any(|branch| matches(&branch)) {
            return;
        }
        let typed = |branch: &&&Value| constants(branch).is_none() && has_type(branch, value);
        if let Some(branch) = branches.iter().find(typed) {
            return self.check(branch, value, path);
        }
        let names: Vec<&Value> = branches.iter().filter_map(|b| constants(b)).flatten().collect();
        let types: Vec<String> = branches
            .iter()
            .filter(|branch| constants(branch).is_none())
            .map(|branch| type_names(branch))
            .collect();
        let found = shown(value);
        let what = match (names.as_slice(), types.as_slice()) {
            (_, []) => format!("{found} is not known; allowed: {}", list(&names)),
            ([], _) => format!("expected {}, found {found}", types.join(" or ")),
            _ => format!("expected {} or {}, found {found}", list(&names), types.join(" or ")),
        };
        self.report(path, what);
    }

    fn check_object(&mut self, schema: &'s Value, value: &Value, path: &JsonPath) {
        let Some(object) = value.as_object() else { return };
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        for (key, member) in object {
            let here = path.join(key.as_str());
            if let Some(property) = properties.and_then(|properties| properties.get(key)) {
                self.check(property, member, &here);
            } else if additional == Some(&Value::Bool(false)) {
                let known: Vec<&str> =
                    properties.into_iter().flatten().map(|(k, _)| &**k).collect();
                self.report(&here, unknown_key(key, &known));
            } else if let Some(additional) = additional {
                self.check(additional, member, &here);
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(key) = key.as_str() else { continue };
            if !object.contains_key(key) {
                self.report(path, format!("lacks the key {key:?}, which has no default"));
            }
        }
    }

    fn check_array(&mut self, schema: &'s Value, elements: &[Value], path: &JsonPath) {
        let fewest = schema.get("minItems").and_then(Value::as_u64).unwrap_or_default();
        if (elements.len() as u64) < fewest {
            self.report(path, format!("is empty; allowed: {fewest} or more"));
        }
        let Some(items) = schema.get("items") else { return };
        for (index, element) in elements.iter().enumerate() {
            self.check(items, element, &path.join(index));
        }
    }

    fn check_string(&mut self, schema: &Value, text: &str, path: &JsonPath) {
        let fewest = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
        if (text.chars().count() as u64) < fewest {
            self.report(path, "is empty; allowed: a text".to_owned());
        }
        let wrong = match schema.get("format").and_then(Value::as_str) {
            Some(DURATION_FORMAT) => text.parse::<Span>().err().map(|error| error.to_string()),
            Some(SIZE_FORMAT) => text.parse::<Size>().err().map(|error| error.to_string()),
            Some("socket-address") if text.parse::<SocketAddr>().is_err() => Some(
                "not an address and port; allowed: such as \"127.0.0.1:8080\" or \"[::1]:8080\""
                    .to_owned(),
            ),
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.report(path, format!("{text:?} is {wrong}"));
        }
    }

    fn check_range(&mut self, schema: &Value, value: &Value, path: &JsonPath) {
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let (low, high) = (bound("minimum"), bound("maximum"));
        let number = value.as_f64().unwrap_or(f64::NAN);
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            let shown = |bound: Option<f64>| bound.map_or(String::new(), |bound| bound.to_string());
            let what =
                format!("{value} is out of range; allowed: {}..={}", shown(low), shown(high));
            self.report(path, what);
        }
    }
}

/// What is said of a key that is not known: the nearest one that is, and all of them.
fn unknown_key(key: &str, known: &[&str]) -> String {
    format!("unknown key{}; allowed: {}", suggestion(key, known.iter().copied()), known.join(", "))
}

/// `; did you mean "x"?` where one of the known names is close to what was typed.
pub(super) fn suggestion<'k>(typed: &str, known: impl Iterator<Item = &'k str>) -> String {
    let close = |name: &&str| strsim::damerau_levenshtein(typed, name) <= 1 + name.len() / 4;
    let nearest = known.filter(close).min_by_key(|name| strsim::damerau_levenshtein(typed, name));
    nearest.map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}

/// The values of a schema that lists them.
fn constants(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(only) = schema.get("const") {
        return Some(vec![only]);
    }
    schema.get("enum").and_then(Value::as_array).map(|all| all.iter().collect())
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|name| match *name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            // 1.0 is an integer to JSON Schema and none to serde.
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            _ => false,
        })
}

fn type_names(schema: &Value) -> String {
    let names: Vec<&str> = types(schema)
        .into_iter()
        .map(|name| match name {
            "object" => "an object",
            "array" => "an array",
            "string" => "a string",
            "number" => "a number",
            "integer" => "a whole number",
            "boolean" => "true or false",
            other => other,
        })
        .collect();
    names.join(" or ")
}

/// A scalar as typed; anything larger by its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string(),
    }
}

fn list(values: &[&Value]) -> String {
    let names: Vec<String> = values.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every keyword that a schema uses, names of properties left out.
    fn keywords(schema: &Value, found: &mut std::collections::BTreeSet<String>) {
        match schema {
            Value::Array(list) => list.iter().for_each(|one| keywords(one, found)),
            Value::Object(object) => {
                for (keyword, inner) in object {
                    found.insert(keyword.clone());
                    match (keyword.as_str(), inner) {
                        ("properties" | "$defs", Value::Object(named)) => {
                            named.values().for_each(|one| keywords(one, found));
                        }
                        ("default" | "const" | "enum" | "examples" | "required", _) => {}
                        _ => keywords(inner, found),
                    }
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_schema_uses_only_keywords_that_are_checked_or_say_nothing_of_shape() {
        let checked = [
            "$ref",
            "additionalProperties",
            "anyOf",
            "const",
            "enum",
            "format",
            "items",
            "maximum",
            "minItems",
            "minLength",
            "minimum",
            "oneOf",
            "properties",
            "required",
            "type",
        ];
        let annotations = ["$defs", "$schema", "default", "description", "examples", "title"];
        let mut found = std::collections::BTreeSet::new();
        keywords(&super::super::schema(), &mut found);
        let unknown: Vec<_> = found
            .iter()
            .filter(|k| !checked.contains(&k.as_str()) && !annotations.contains(&k.as_str()))
            .collect();
        assert_eq!(unknown, Vec::<&String>::new());
    }

    #[test]
    fn a_suggestion_is_near() {
        let known = ["listeners", "routes", "timeouts"];
        assert_eq!(suggestion("listener", known.into_iter()), r#"; did you mean "listeners"?"#);
        assert_eq!(suggestion("tiemouts", known.into_iter()), r#"; did you mean "timeouts"?"#);
        assert_eq!(suggestion("kernel", known.into_iter()), "");
    }
}
