//! `jwt` as it is typed: providers of tokens and where their keys come from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::control::config::quantity::{DURATION_FORMAT, Size, Span};
use crate::snapshot::key_set::Algorithm;

/// Gives a type that JSON spells in several ways its schema, in place.
macro_rules! inline_schema {
    ($type:ident, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// Whose tokens are believed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read part by part; as a whole it is a part of the schema")]
pub(in crate::control::config) struct Jwt {
    /// The `realm` that refusals name. Printable ASCII without quotes and backslashes.
    #[serde(default = "default_realm")]
    #[schemars(length(min = 1))]
    realm: String,
    /// Leave out of refusals what is wrong with the token; logs and metrics still say it.
    #[serde(default)]
    strip_failure_details: bool,
    /// The status for a token whose issuer's keys were never loaded.
    #[serde(default)]
    on_no_keys: OnNoKeys,
    /// A directory that exists, in which fetched key sets are kept, so that a restart does not need
    /// the issuer. Nobody else should be able to write to it. Absent: not kept.
    cache_directory: Option<String>,
    /// Issuers of tokens, by the name that routes give them.
    #[serde(default)]
    providers: BTreeMap<String, Provider>,
    /// Groups of routes that clients know as one protected resource (RFC 9728), by name. The
    /// metadata of each is served at /.well-known/oauth-protected-resource, followed by its path.
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

/// A protected resource and what its metadata says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Resource {
    /// Its identifier: the https URL that clients call, without query and fragment.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) resource: String,
    /// Whom clients ask for tokens. Absent: the issuers of the providers of its routes.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) authorization_servers: Option<Vec<String>>,
    /// The scopes that clients may ask for.
    #[serde(default)]
    pub(in crate::control::config) scopes_supported: Vec<String>,
}

/// 503 or 401.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::control::config) enum OnNoKeys {
    #[default]
    Unavailable,
    Unauthorized,
}

inline_schema!(OnNoKeys, { "anyOf": [{ "const": 503 }, { "const": 401 }] });

impl<'de> Deserialize<'de> for OnNoKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let unauthorized = Value::deserialize(deserializer)? == 401;
        Ok(if unauthorized { Self::Unauthorized } else { Self::Unavailable })
    }
}

impl Serialize for OnNoKeys {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(match self {
            Self::Unavailable => 503,
            Self::Unauthorized => 401,
        })
    }
}

pub(in crate::control::config) fn default_realm() -> String {
    "ringgate".into()
}

/// One issuer of tokens and the rules for them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Provider {
    /// The `iss` of its tokens, compared exactly; or `any`, and then it is the only provider of its routes.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) issuer: String,
    /// The `aud` values of which a token must have one, or `any` to accept every audience.
    pub(in crate::control::config) audiences: Audiences,
    /// Where its keys come from: one place, or several in order. The keys are those of the first
    /// place that has some.
    pub(in crate::control::config) jwks: Places,
    /// Where its tokens are in a request. Absent: in Authorization behind Bearer. A route may say otherwise.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) from: Option<Vec<Location>>,
    /// The signature algorithms that its tokens may use.
    #[serde(default = "default_algorithms")]
    #[schemars(length(min = 1))]
    pub(in crate::control::config) algorithms: Vec<AlgorithmName>,
    /// Tolerance for clocks that differ, for `exp`, `nbf` and `iat`; 0s to 300s.
    #[serde(default = "default_leeway")]
    pub(in crate::control::config) leeway: Span,
    /// Refuse tokens without `exp`.
    #[serde(default = "yes")]
    pub(in crate::control::config) require_exp: bool,
    /// Refuse longer tokens unread; 256B to 16KiB.
    #[serde(default = "default_max_token_bytes")]
    pub(in crate::control::config) max_token_bytes: Size,
    /// Leave the token in the request that the upstream sees.
    #[serde(default)]
    pub(in crate::control::config) forward: bool,
    /// Request header names, each with the claim that sets it. What a client sends under these
    /// names is removed on every route of the listener.
    #[serde(default)]
    pub(in crate::control::config) claim_headers: BTreeMap<String, Claim>,
    /// How the claim is written, by the names of claim_headers: text (the default) writes scalars
    /// and lists of them, json any claim, base64url that JSON in base64url.
    #[serde(default)]
    pub(in crate::control::config) claim_encodings: BTreeMap<String, Encoding>,
    /// What separates the names of nested claims, usually a dot. Empty: names are of top-level claims.
    #[serde(default)]
    pub(in crate::control::config) nested_claim_delimiter: String,
    /// What `typ` in a token's header must be one of, such as `at+jwt`. Absent: anything or nothing.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) typ: Option<Vec<String>>,
    /// Ask for all that a profile of tokens does.
    pub(in crate::control::config) profile: Option<Profile>,
    /// Refuse tokens whose header names no key.
    #[serde(default)]
    pub(in crate::control::config) require_kid: bool,
    /// Refuse tokens whose header brings its own key or says where to fetch one. Absent or false:
    /// such a key is ignored.
    #[serde(default)]
    pub(in crate::control::config) reject_embedded_keys: bool,
    /// Refuse tokens issued longer ago, or that do not say when; 1s to 10years.
    pub(in crate::control::config) max_age: Option<Span>,
    /// Refuse tokens that have longer to live, or that do not say how long; 1s to 10years.
    pub(in crate::control::config) max_lifetime: Option<Span>,
    /// Keys that could not be confirmed for this long are dropped, and the provider's routes answer
    /// 503; 1s to 10years, or `forever`.
    #[serde(default)]
    pub(in crate::control::config) max_stale: MaxStale,
}

/// A place of a token in a request: exactly one of header, cookie and query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Location {
    /// The header of this name.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) header: Option<String>,
    /// With header: the word before the token. Absent: Bearer in Authorization and
    /// Proxy-Authorization, elsewhere none.
    pub(in crate::control::config) prefix: Option<String>,
    /// The cookie of this name.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) cookie: Option<String>,
    /// The query parameter of this name. Targets stand in histories and in logs of others: prefer a header.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) query: Option<String>,
}

/// How a claim is written into a request header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::control::config) enum Encoding {
    Text,
    Json,
    Base64Url,
}

/// A profile of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(in crate::control::config) enum Profile {
    /// Access tokens of RFC 9068.
    #[serde(rename = "rfc9068")]
    Rfc9068,
}

fn yes() -> bool {
    true
}

fn default_leeway() -> Span {
    Span(std::time::Duration::from_secs(60))
}

fn default_max_token_bytes() -> Size {
    Size(8 * 1024)
}

fn default_algorithms() -> Vec<AlgorithmName> {
    vec![AlgorithmName::Rs256, AlgorithmName::Ps256, AlgorithmName::Es256, AlgorithmName::EdDsa]
}

/// Where keys come from: exactly one of url, discover, file and inline. What goes with url goes with
/// discover as well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Jwks {
    /// An https URL. http only to a loopback address, or with allow_http.
    pub(in crate::control::config) url: Option<String>,
    /// Take the key set that the issuer's metadata names (OpenID Connect Discovery, RFC 8414). The
    /// provider's issuer is the URL then, and the metadata must name it exactly.
    #[serde(default)]
    pub(in crate::control::config) discover: bool,
    /// A file, watched for changes.
    pub(in crate::control::config) file: Option<String>,
    /// The key set itself, as a JSON object or as a string that holds one.
    pub(in crate::control::config) inline: Option<InlineJwks>,
    /// With url: how often to fetch, 1s to 24h. Absent: as the response's caching fields say, or 5m.
    pub(in crate::control::config) refresh_interval: Option<Span>,
    /// With url: accept an http URL to an address that is not loopback. Whoever is on the way can
    /// then replace the keys.
    #[serde(default)]
    pub(in crate::control::config) allow_http: bool,
    /// With url: connect to private and loopback addresses as well. A URL whose host is itself a
    /// loopback address or `localhost` may be loopback without. Link-local addresses, where clouds
    /// keep their metadata, never.
    #[serde(default)]
    pub(in crate::control::config) allow_private: bool,
    /// With url: a PEM file of certificates that are trusted instead of the system's.
    pub(in crate::control::config) ca_file: Option<String>,
    /// With url: a PEM file of the certificate that is shown to the server, and of its chain.
    pub(in crate::control::config) client_certificate: Option<String>,
    /// With client_certificate: a PEM file of its private key.
    pub(in crate::control::config) client_key: Option<String>,
    /// With url: fields that are sent with each request.
    #[serde(default)]
    pub(in crate::control::config) headers: BTreeMap<String, String>,
    /// With url: an HTTP proxy that is asked to CONNECT, as http://host:port. It looks up the name
    /// and decides what it connects to. Proxies that the environment names are not used.
    pub(in crate::control::config) proxy: Option<String>,
    /// With url: redirects that are followed, to the same host over https.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub(in crate::control::config) redirects: u32,
}

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

/// One place of keys, or several in order.
#[derive(Debug)]
pub(in crate::control::config) enum Places {
    One(Box<Jwks>),
    InOrder(Vec<Jwks>),
}

impl JsonSchema for Places {
    fn schema_name() -> Cow<'static, str> {
        "Places".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Jwks>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let one = |value| serde_json::from_value(value).map_err(D::Error::custom);
        match Value::deserialize(deserializer)? {
            Value::Array(list) => {
                list.into_iter().map(one).collect::<Result<_, _>>().map(Self::InOrder)
            }
            value => one(value).map(|place| Self::One(Box::new(place))),
        }
    }
}

/// `forever`, or how long.
#[derive(Debug, Clone, Copy)]
pub(in crate::control::config) enum MaxStale {
    Forever,
    Span(Span),
}

inline_schema!(MaxStale, {
    "anyOf": [
        { "const": "forever" },
        { "type": "string", "format": DURATION_FORMAT, "examples": ["24h"] }
    ]
});

impl Default for MaxStale {
    fn default() -> Self {
        Self::Span(Span(std::time::Duration::from_secs(24 * 3600)))
    }
}

impl Serialize for MaxStale {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Forever => serializer.serialize_str("forever"),
            Self::Span(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MaxStale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "forever" {
            return Ok(Self::Forever);
        }
        text.parse().map(Self::Span).map_err(D::Error::custom)
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

/// The text of a key set, taken from the file as it stands.
#[derive(Debug)]
pub(in crate::control::config) enum InlineJwks {
    /// An object: its text is that of the file, so that the key parser sees what was typed.
    Object,
    /// A string that holds the JSON.
    Text(String),
}

inline_schema!(InlineJwks, { "type": ["object", "string"] });

impl<'de> Deserialize<'de> for InlineJwks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self::Text(text)),
            _ => Ok(Self::Object),
        }
    }
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
