//! Where keys come from, as it is typed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::values::inline_schema;
use crate::control::config::quantity::{DURATION_FORMAT, Span};

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

/// Where keys come from: exactly one of url, discover, file, secret_file and inline. What goes with
/// url goes with discover as well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Jwks {
    /// An https URL. http only to a loopback address, or with allow_http. Or `unix:SOCKET:PATH`: HTTP
    /// on a Unix socket, such as `unix:/run/keys.sock:/jwks.json`.
    pub(in crate::control::config) url: Option<String>,
    /// Take the key set that the issuer's metadata names (OpenID Connect Discovery, RFC 8414). The
    /// provider's issuer is the URL then, and the metadata must name it exactly.
    #[serde(default)]
    pub(in crate::control::config) discover: bool,
    /// A file, watched for changes.
    pub(in crate::control::config) file: Option<String>,
    /// A file of secrets that the issuer shares, watched for changes; algorithms are HS256, HS384 or
    /// HS512 then. Each line has one secret in base64url, or the `kid` of its tokens, a space and the
    /// secret; up to four, each as long as the hash or longer. It must be the only place.
    pub(in crate::control::config) secret_file: Option<String>,
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
    /// With url: the name that is asked for in the TLS handshake and that the server's certificate
    /// must be for, instead of the URL's host.
    pub(in crate::control::config) server_name: Option<String>,
    /// With url: redirects that are followed, over https to the same host or one of redirect_hosts.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3))]
    pub(in crate::control::config) redirects: u32,
    /// With redirects: other hosts that they may lead to, as `host` or `host:port`. The fields of
    /// headers are not sent there.
    #[serde(default)]
    pub(in crate::control::config) redirect_hosts: Vec<String>,
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
