//! Answers that a route gives itself, as they are typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::config::quantity::Span;

/// An answer given here. Fields beside Content-Type are those of `response_headers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Respond {
    /// The status.
    #[schemars(range(min = 200, max = 599))]
    pub(in crate::control::config) status: u16,
    /// The body.
    #[serde(default)]
    pub(in crate::control::config) body: String,
    /// Its Content-Type.
    #[serde(default = "default_content_type")]
    #[schemars(length(min = 1))]
    pub(in crate::control::config) content_type: String,
}

fn default_content_type() -> String {
    "text/plain; charset=utf-8".into()
}

/// Where a client is sent: to location, or to what it has asked for with some of the rest replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Redirect {
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "default_redirect_status")]
    #[schemars(range(min = 301, max = 308))]
    pub(in crate::control::config) status: u16,
    /// The Location that is sent, as it is.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) location: Option<String>,
    /// This scheme; the port goes, where host is absent. Absent: the client's, which is http unless a
    /// trusted proxy says https.
    #[serde(default)]
    #[schemars(with = "Scheme")]
    pub(in crate::control::config) scheme: Option<Scheme>,
    /// This host, with or without a port. Absent: the client's.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) host: Option<String>,
    /// This path. Absent: the client's, in normal form.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) path: Option<String>,
    /// This in place of the match's path_prefix.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) path_prefix: Option<String>,
    /// Whether the query goes along.
    #[serde(default)]
    pub(in crate::control::config) query: Query,
}

fn default_redirect_status() -> u16 {
    302
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Query {
    #[default]
    Keep,
    Drop,
}

/// What clients are told while a service is away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Maintenance {
    /// The body. Absent: that of a refusal.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) body: Option<String>,
    /// The Content-Type of body.
    #[serde(default = "default_content_type")]
    #[schemars(length(min = 1))]
    pub(in crate::control::config) content_type: String,
    /// Retry-After: when clients may come again, 1s to a year. Absent: it is not said.
    pub(in crate::control::config) retry_after: Option<Span>,
}
