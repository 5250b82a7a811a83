//! `match` of a route as it is typed.

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
