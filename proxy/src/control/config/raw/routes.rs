//! `routes` as it is typed: which requests, what is asked of them, what is done with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answers::{Maintenance, Redirect, Respond};
use super::bounds::{RouteLimits, RouteTimeouts};
use super::fields::{Cors, FieldRules, Hsts};
use super::jwt::{Claim, Location, Scalar};
use super::matching::{Match, Rewrite};
use crate::snapshot::connect_rule::ConnectRule;

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
    /// Certificates of clients that alone may use it (else 403): those that fit one of these. Absent:
    /// as client_certificate says.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) allow_certificates: Option<Vec<CertificatePattern>>,
    /// The token rules. Absent: anyone passes.
    pub(in crate::control::config) jwt: Option<RouteJwt>,
    /// Answer 503 to everyone who asks here, whatever their token; the rest stays as it is, for later.
    /// Absent: no.
    pub(in crate::control::config) maintenance: Option<Maintenance>,
    /// Take CONNECT, which no other route does, and nothing else, for the hosts of the match: the
    /// upstream, a proxy, makes the connection, and with its 2xx the tunnel begins.
    pub(in crate::control::config) connect: Option<Connect>,
    /// Forward to the upstream of this name.
    pub(in crate::control::config) upstream: Option<String>,
    /// Ask the upstream for another path. Routes, the log and the token rules go by the client's.
    pub(in crate::control::config) rewrite: Option<Rewrite>,
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
    /// Strict-Transport-Security in its responses, in place of that of the listener.
    pub(in crate::control::config) hsts: Option<Hsts>,
    /// Which pages of other origins may use it. Absent: that is up to the upstream.
    pub(in crate::control::config) cors: Option<Cors>,
    /// Bounds of its own.
    #[serde(default)]
    pub(in crate::control::config) limits: RouteLimits,
    /// Bounds of its own.
    #[serde(default)]
    pub(in crate::control::config) timeouts: RouteTimeouts,
}

/// What a route leads CONNECT to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Connect {
    /// Ports of targets; others are refused (403).
    #[serde(default = "ports")]
    #[schemars(length(min = 1), inner(range(min = 1)))]
    pub(in crate::control::config) ports: Vec<u16>,
}

fn ports() -> Vec<u16> {
    vec![ConnectRule::PORT_DEFAULT]
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum RouteCertificate {
    Required,
}

/// What a client's certificate must say; all that is typed. A text that ends with `*` stands for all
/// that begin so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct CertificatePattern {
    /// Its subject, such as `CN=a,O=Example` (RFC 4514).
    #[schemars(length(min = 1))]
    pub(in crate::control::config) subject: Option<String>,
    /// One of its alternative names, such as `DNS:a.example` or `URI:spiffe://example.com/*`.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) name: Option<String>,
    /// Its SHA-256 in base64url.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) thumbprint: Option<String>,
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
