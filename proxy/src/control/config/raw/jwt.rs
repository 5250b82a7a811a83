//! `jwt` as it is typed: providers of tokens and the rules for them.

mod keys;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub(in crate::control::config) use keys::{InlineJwks, Jwks, MaxStale, Places};
use values::inline_schema;
pub(in crate::control::config) use values::{AlgorithmName, Audiences, Claim, Scalar};

use crate::control::config::quantity::{Size, Span};
use crate::snapshot::provider as defaults;

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
    /// the issuer, and what /deny of the admin listener has revoked. Nobody else should be able to
    /// write to it. Absent: not kept.
    cache_directory: Option<String>,
    /// Tokens that are refused although they are good: revoked ones.
    #[serde(default)]
    deny_list: DenyList,
    /// What a start does about providers whose keys are not there yet. serve: nothing, their routes
    /// answer 503 until they are. wait: no listener accepts until every provider that a route asks
    /// for has keys, or startup_wait is over. fail: the same, but at its end the process ends with 1.
    #[serde(default)]
    startup: Startup,
    /// How long wait and fail wait; 1s to 5m.
    #[serde(default = "default_startup_wait")]
    startup_wait: Span,
    /// Issuers of tokens, by the name that routes give them.
    #[serde(default)]
    providers: BTreeMap<String, Provider>,
    /// Groups of routes that clients know as one protected resource (RFC 9728), by name. The
    /// metadata of each is served at /.well-known/oauth-protected-resource, followed by its path.
    #[serde(default)]
    resources: BTreeMap<String, Resource>,
}

/// Tokens that are refused although they are good, beside those that /deny of the admin listener
/// names.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct DenyList {
    /// A file {"entries": [...]}, read again when it changes. An entry has until, in seconds since
    /// the epoch, and iss and jti (one token), iss and sid (a session), iss, sub and issued_before
    /// (a subject's tokens from before then), or kid with or without iss (a key).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) file: Option<String>,
    /// Entries that the file may have, and as many the admin listener.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::control::config) max_entries: usize,
}

impl Default for DenyList {
    fn default() -> Self {
        Self { file: None, max_entries: 100_000 }
    }
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

/// What a start does about keys that are not there yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::control::config) enum Startup {
    #[default]
    Serve,
    Wait,
    Fail,
}

pub(in crate::control::config) fn default_startup_wait() -> Span {
    Span(std::time::Duration::from_secs(10))
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
    /// The signature algorithms that its tokens may use. HS256, HS384 and HS512 need jwks.secret_file
    /// and go with no others.
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
    /// What `typ` in a token's header must be one of, such as `at+jwt`. Absent: any string, or none.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) typ: Option<Vec<String>>,
    /// Ask for all that a profile of tokens does.
    pub(in crate::control::config) profile: Option<Profile>,
    /// Refuse tokens whose header names no key.
    #[serde(default)]
    pub(in crate::control::config) require_kid: bool,
    /// Keys tried for a token whose header names none, or a name that several have; each costs a
    /// verification. With more that would fit, such a token is refused.
    #[serde(default = "default_max_keyless_tries")]
    #[schemars(range(min = 1, max = 16))]
    pub(in crate::control::config) max_keyless_tries: usize,
    /// Refuse tokens whose header brings its own key or says where to fetch one. Absent or false:
    /// such a key is ignored.
    #[serde(default)]
    pub(in crate::control::config) reject_embedded_keys: bool,
    /// What is made of a token that is bound to a client's certificate, by `cnf.x5t#S256` (RFC 8705):
    /// enforce refuses it where the client has not shown that certificate, require so does with a token
    /// that is bound to none.
    #[serde(default)]
    pub(in crate::control::config) cnf: Cnf,
    /// Refuse tokens issued longer ago, or that do not say when; 1s to 10years.
    pub(in crate::control::config) max_age: Option<Span>,
    /// Refuse tokens that have longer to live, or that do not say how long; 1s to 10years.
    pub(in crate::control::config) max_lifetime: Option<Span>,
    /// Keys that could not be confirmed for this long are dropped, and the provider's routes answer
    /// 503; 1s to 10years, or `forever`.
    #[serde(default)]
    pub(in crate::control::config) max_stale: MaxStale,
    /// How long a key is still believed that its set has no more, unless a key of its name has taken
    /// its place; 0s to 24h. For issuers that drop a key before its last token has expired.
    #[serde(default = "default_key_grace")]
    pub(in crate::control::config) key_grace: Span,
    /// How long a request waits while a key is looked for that its token names and nobody has; 0s
    /// to 10s. With 0s it is refused at once, and the key is looked for all the same.
    #[serde(default = "default_unknown_kid_wait")]
    pub(in crate::control::config) unknown_kid_wait: Span,
    /// How often such keys may make the set be fetched out of turn, beyond two times at once; 1s to 1h.
    #[serde(default = "default_unknown_kid_interval")]
    pub(in crate::control::config) unknown_kid_interval: Span,
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

/// What is made of a token that is bound to a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Cnf {
    #[default]
    Ignore,
    Enforce,
    Require,
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

fn default_max_keyless_tries() -> usize {
    defaults::Provider::KEY_TRIES_DEFAULT
}

fn default_key_grace() -> Span {
    Span(std::time::Duration::ZERO)
}

fn default_unknown_kid_wait() -> Span {
    Span(std::time::Duration::from_millis(500))
}

fn default_unknown_kid_interval() -> Span {
    Span(std::time::Duration::from_secs(10))
}

fn default_max_token_bytes() -> Size {
    Size(8 * 1024)
}

fn default_algorithms() -> Vec<AlgorithmName> {
    vec![AlgorithmName::Rs256, AlgorithmName::Ps256, AlgorithmName::Es256, AlgorithmName::EdDsa]
}
