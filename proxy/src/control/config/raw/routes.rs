//! `routes` as it is typed: which requests, what is asked of them, what is done with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{RouteLimits, RouteTimeouts};
use super::fields::{Cors, FieldRules};
use super::jwt::{Claim, Location, Scalar};

/// Which requests go where, and what is asked of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Route {
    /// Its name in metrics and log lines. Absent: `routes[N]`, by position.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) name: Option<String>,
    /// Which requests it takes. Absent or empty: every request that no other route takes.
    #[serde(default, rename = "match")]
    pub(in crate::control::config) selects: Match,
    /// Addresses and prefixes of clients, such as `203.0.113.0/24`, that alone may use it (else 403),
    /// whatever their token. Absent: all.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) allow_from: Option<Vec<String>>,
    /// Addresses and prefixes of clients that may not use it (403), also where they are in
    /// `allow_from`.
    #[serde(default)]
    pub(in crate::control::config) deny_from: Vec<String>,
    /// Whether the client must have shown a certificate (else 403): `required`. Absent: no.
    pub(in crate::control::config) client_certificate: Option<RouteCertificate>,
    /// The token rules. Absent: anyone passes.
    pub(in crate::control::config) jwt: Option<RouteJwt>,
    /// Forward to the upstream of this name.
    pub(in crate::control::config) upstream: Option<String>,
    /// Answer here.
    pub(in crate::control::config) respond: Option<Respond>,
    /// Send the client elsewhere.
    pub(in crate::control::config) redirect: Option<Redirect>,
    /// What is done to the fields of requests on their way to the upstream.
    #[serde(default)]
    pub(in crate::control::config) request_headers: FieldRules,
    /// What is done to the fields of responses, those of the gateway's own among them, where they do
    /// not have the field for a reason of theirs.
    #[serde(default)]
    pub(in crate::control::config) response_headers: FieldRules,
    /// Which pages of other origins may use it. Absent: that is up to the upstream.
    pub(in crate::control::config) cors: Option<Cors>,
    /// Bounds of its own.
    #[serde(default)]
    pub(in crate::control::config) limits: RouteLimits,
    /// Bounds of its own.
    #[serde(default)]
    pub(in crate::control::config) timeouts: RouteTimeouts,
}

/// Which requests a route takes: those to which all that is given applies. Between routes that
/// take the same request the listener decides first, then the host, the path, the method.
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
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum RouteCertificate {
    Required,
}

/// The token rules of a route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct RouteJwt {
    /// What happens without a good token: strict refuses; optional refuses a bad one and passes
    /// requests without any; permissive passes all and says so in x-jwt-status.
    #[serde(default)]
    pub(in crate::control::config) mode: Mode,
    /// Names of the providers whose tokens are accepted.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) providers: Vec<String>,
    /// Where the token is in a request. Absent: where the providers say.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) from: Option<Vec<Location>>,
    /// Verify all tokens where there are several in different places, and take the first. Absent or
    /// false: such a request is refused.
    #[serde(default)]
    pub(in crate::control::config) all_must_verify: bool,
    /// Pass a browser's CORS preflight without a token: OPTIONS with Origin and
    /// Access-Control-Request-Method. The upstream answers it.
    #[serde(default)]
    pub(in crate::control::config) bypass_preflight: bool,
    /// Origins of web pages, such as `https://app.example.com`, whose scripts may read refusals and
    /// their challenge: CORS fields for them are sent with a refusal. What the upstream answers has
    /// its own.
    #[serde(default)]
    pub(in crate::control::config) allowed_origins: Vec<String>,
    /// The protected resource that the route is a part of: refusals say where its metadata is.
    pub(in crate::control::config) resource: Option<String>,
    /// Which streams end with the token that opened them: when it has expired, is revoked, or its key
    /// is taken away. tunnels are WebSockets, closed with status 1008, and what else a connection is
    /// switched to; all are those and responses on their way, which are cut.
    #[serde(default)]
    pub(in crate::control::config) end_with_token: EndWithToken,
    /// Rules for claims; all must hold.
    #[serde(default)]
    pub(in crate::control::config) require: Vec<Require>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum EndWithToken {
    None,
    #[default]
    Tunnels,
    All,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Mode {
    #[default]
    Strict,
    Optional,
    Permissive,
}

/// A rule: a claim with exactly one of exists, equals, one_of, contains and prefix; or any_of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Require {
    /// The claim, by its name, by a JSON Pointer (`/realm/roles`), or by the names that lead to it.
    pub(in crate::control::config) claim: Option<Claim>,
    /// It is there and not null. Only `true`: no token passes for lacking a claim.
    #[schemars(extend("const" = true))]
    pub(in crate::control::config) exists: Option<bool>,
    /// It is this.
    pub(in crate::control::config) equals: Option<Scalar>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) one_of: Option<Vec<Scalar>>,
    /// It is an array with this member, or, for scope, a text with this word.
    pub(in crate::control::config) contains: Option<Scalar>,
    /// It is a string that begins with this.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) prefix: Option<String>,
    /// Instead of a claim: rules of which one is enough.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) any_of: Option<Vec<Condition>>,
}

/// A claim with exactly one of exists, equals, one_of, contains and prefix.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Condition {
    /// The claim, by its name, by a JSON Pointer (`/realm/roles`), or by the names that lead to it.
    pub(in crate::control::config) claim: Claim,
    /// It is there and not null. Only `true`: no token passes for lacking a claim.
    #[schemars(extend("const" = true))]
    pub(in crate::control::config) exists: Option<bool>,
    /// It is this.
    pub(in crate::control::config) equals: Option<Scalar>,
    /// It is one of these.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) one_of: Option<Vec<Scalar>>,
    /// It is an array with this member, or, for scope, a text with this word.
    pub(in crate::control::config) contains: Option<Scalar>,
    /// It is a string that begins with this.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) prefix: Option<String>,
}

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
