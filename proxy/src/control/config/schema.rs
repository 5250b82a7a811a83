//! The JSON Schema of the configuration, made from the raw types.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::raw;

/// The schema as a JSON value, of draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(forbid_null))
        .with_transform(RecursiveTransform(unwrap_description));
    settings.into_generator().into_root_schema_for::<raw::Config>().to_value()
}

/// The schema as `config/schema.json` holds it.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// A key that may be absent may not be `null`: takes out what schemars adds for an `Option`.
fn forbid_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

/// A description is one paragraph: takes out where the doc comment's lines end.
fn unwrap_description(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
