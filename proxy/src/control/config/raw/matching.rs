//! `match` and `rewrite` of a route as they are typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests a route takes: those to which all that is given applies. Between routes that
/// take the same request the listener decides first, then the host, the path, the method, the number
/// of headers and parameters asked for, and last the order in the file.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct Match {
    /// Received on the listener of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) listener: Option<String>,
    /// For this host, without a port: `api.example.com`, `*.example.com` for every name below
    /// it, or `*` for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) host: Option<String>,
    /// For exactly this path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) path: Option<String>,
    /// For this path and what is below it: `/orders` takes `/orders` and `/orders/1`, not `/orders1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) path_prefix: Option<String>,
    /// With one of these methods. Other methods on the same path have no route, unless another
    /// route for that path takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(in crate::control::config) methods: Option<Vec<String>>,
    /// With these headers. No route takes a request that has several of a name whose value a route of
    /// the same path and method asks for. 16 at most, with those of query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::control::config) headers: Vec<MatchCondition>,
    /// With these parameters in the query, by their decoded names and values; several of a name as in
    /// headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::control::config) query: Vec<MatchCondition>,
}

/// A name with exactly one of value and present.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct MatchCondition {
    /// Of a header, in any spelling that upstreams may take for the same (`X_Team`, `x-team`); or of
    /// a parameter.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) name: String,
    /// It is there once, and has exactly this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) value: Option<String>,
    /// It is there, whatever its value and number; or it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) present: Option<bool>,
}

/// The path that the upstream is asked for: prefix, or pattern with to. The query stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Rewrite {
    /// This in place of the match's path_prefix: of `/orders`, `/v2` makes `/v2/1` of `/orders/1`.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) prefix: Option<String>,
    /// A regular expression, without look-around and back-references, for the whole path in normal
    /// form. A path that it does not take is refused (404, `route.rewrite_unmatched`). Up to 1024 bytes.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) pattern: Option<String>,
    /// The whole new path, in which `$1` or `${name}` stands for what a group of the pattern took, and
    /// `$$` for `$`. One that is no path in normal form is not sent (500, `route.rewrite_invalid`).
    #[schemars(length(min = 1))]
    pub(in crate::control::config) to: Option<String>,
}
