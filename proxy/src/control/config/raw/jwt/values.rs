//! Values of the `jwt` section that JSON spells in several ways.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::snapshot::key_set::Algorithm;

/// Gives a type that JSON spells in several ways its schema, in place.
macro_rules! inline_schema {
    ($type:ident, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(super) use inline_schema;

/// A signature algorithm by its registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(in crate::control::config) enum AlgorithmName {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "Ed25519")]
    Ed25519,
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Rs256 => Self::Rs256,
            AlgorithmName::Rs384 => Self::Rs384,
            AlgorithmName::Rs512 => Self::Rs512,
            AlgorithmName::Ps256 => Self::Ps256,
            AlgorithmName::Ps384 => Self::Ps384,
            AlgorithmName::Ps512 => Self::Ps512,
            AlgorithmName::Es256 => Self::Es256,
            AlgorithmName::Es384 => Self::Es384,
            AlgorithmName::EdDsa | AlgorithmName::Ed25519 => Self::EdDsa,
            AlgorithmName::Hs256 => Self::Hs256,
            AlgorithmName::Hs384 => Self::Hs384,
            AlgorithmName::Hs512 => Self::Hs512,
        }
    }
}

/// `any`, or a list of which a token must have one.
#[derive(Debug)]
pub(in crate::control::config) enum Audiences {
    Any,
    List(Vec<String>),
}

inline_schema!(Audiences, {
    "anyOf": [
        { "const": "any" },
        { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }
    ]
});

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(list) => strings(list).map(Self::List),
            _ => Ok(Self::Any),
        }
    }
}

/// A claim by its name or JSON Pointer, or by the names that lead to it.
#[derive(Debug)]
pub(in crate::control::config) enum Claim {
    Name(String),
    Steps(Vec<String>),
}

inline_schema!(Claim, {
    "anyOf": [
        { "type": "string", "minLength": 1 },
        { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 }
    ]
});

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self::Name(name)),
            Value::Array(list) => strings(list).map(Self::Steps),
            _ => Err(D::Error::custom("expected a string or an array of strings")),
        }
    }
}

fn strings<E: serde::de::Error>(list: Vec<Value>) -> Result<Vec<String>, E> {
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(E::custom("expected an array of strings")),
    };
    list.into_iter().map(text).collect()
}

/// A scalar that a claim is compared with. A number is compared as typed, so only its place is kept.
#[derive(Debug)]
pub(in crate::control::config) enum Scalar {
    String(String),
    Number,
    Bool(bool),
}

inline_schema!(Scalar, { "type": ["string", "number", "boolean"] });

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::String(text)),
            Value::Number(_) => Ok(Self::Number),
            Value::Bool(flag) => Ok(Self::Bool(flag)),
            _ => Err(D::Error::custom("expected a string, a number or a boolean")),
        }
    }
}
