//! Answers that a route gives itself, as they are typed.

use schemars::JsonSchema;
use serde::Deserialize;

/// An answer given here.
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

/// Where a client is sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Redirect {
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "default_redirect_status")]
    #[schemars(range(min = 301, max = 308))]
    pub(in crate::control::config) status: u16,
    /// The Location that is sent, as it is.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) location: String,
}

fn default_redirect_status() -> u16 {
    302
}
