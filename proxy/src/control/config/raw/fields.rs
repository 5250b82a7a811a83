//! What is said in the fields of messages, as it is typed: by routes, and by the gateway of itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::config::quantity::Span;

/// What is done to the fields of messages: first remove and set, then add. A name is in one of them.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct FieldRules {
    /// Fields to have exactly so: those of this name that are there already are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::control::config) set: BTreeMap<String, String>,
    /// Fields to have as well, behind those of this name that are there already.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::control::config) add: BTreeMap<String, String>,
    /// Names of fields to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::control::config) remove: Vec<String>,
}

/// Which pages of other origins may use a route: browsers ask before they let them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Cors {
    /// Origins of the pages, such as `https://app.example.com`, `https://*.example.com` for every
    /// name below it, or `*` alone for any.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) origins: Vec<String>,
    /// Methods that they may use, beside GET, HEAD and POST, for which nobody asks.
    #[serde(default)]
    pub(in crate::control::config) methods: Vec<String>,
    /// Request fields that they may set, such as `Authorization`.
    #[serde(default)]
    pub(in crate::control::config) headers: Vec<String>,
    /// Response fields that their scripts may read, beside the few that they always may.
    #[serde(default)]
    pub(in crate::control::config) expose_headers: Vec<String>,
    /// Whether they may send cookies and client certificates, and so act as the user. Not for any
    /// origin.
    #[serde(default)]
    pub(in crate::control::config) credentials: bool,
    /// For how long a browser remembers the answer.
    #[serde(default = "default_max_age")]
    pub(in crate::control::config) max_age: Span,
    /// answer: preflights are answered here, before a token is asked for. forward: they are requests
    /// like any other.
    #[serde(default)]
    pub(in crate::control::config) preflight: Preflight,
}

fn default_max_age() -> Span {
    Span(std::time::Duration::from_secs(600))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Preflight {
    #[default]
    Answer,
    Forward,
}

/// A name for each request, by which its lines in all logs are found: sent to the upstream and to the
/// client, and written to the access log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct RequestId {
    /// The field that holds it.
    pub(in crate::control::config) header: String,
    /// Whether a client's own is kept, if it is one, of 1 to 64 letters, digits and -._~+/=:@.
    /// Otherwise, and always where this is false, a UUID is made.
    pub(in crate::control::config) keep: bool,
}

impl Default for RequestId {
    fn default() -> Self {
        Self { header: "X-Request-Id".into(), keep: false }
    }
}

/// Strict-Transport-Security (RFC 6797), in every response, also the gateway's own, to a client that has
/// come by https, in place of the upstream's. Those to others have none. A client comes by https where a
/// trusted proxy says so: in X-Forwarded-Proto, or in Forwarded with `"client_from": "forwarded"`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Hsts {
    /// How long browsers remember to come by https, up to 10 years; 0s: they forget it.
    pub(in crate::control::config) max_age: Span,
    /// For every host below the one that was asked, too.
    #[serde(default)]
    pub(in crate::control::config) include_subdomains: bool,
    /// Agree to be put on the list that browsers come with, which takes a year at least and
    /// include_subdomains. It is hard to leave.
    #[serde(default)]
    pub(in crate::control::config) preload: bool,
}
