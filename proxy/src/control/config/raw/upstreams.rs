//! `upstreams` as it is typed: services and how to reach them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::UpstreamTls;
use crate::control::config::quantity::Span;
use crate::snapshot::upstream_set as defaults;

/// A service behind the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Upstream {
    /// Where it can be reached: `10.0.0.1:80`, `[fd00::1]:80`, `unix:/run/app.sock` or `name:80`,
    /// a name being resolved at start and again regularly.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) endpoints: Vec<String>,
    /// How one endpoint is picked for a request: each in turn, or the one of two picked at random
    /// with fewer requests in flight.
    #[serde(default)]
    pub(in crate::control::config) balance: Balance,
    /// The Host that endpoints see: `keep` for the client's, or another to send in its place.
    #[serde(default = "default_host")]
    #[schemars(length(min = 1))]
    pub(in crate::control::config) host: String,
    /// TLS, by which endpoints are spoken to. Absent: in plain text.
    pub(in crate::control::config) tls: Option<UpstreamTls>,
    /// Idle connections that each worker keeps to each endpoint.
    #[serde(default = "default_idle_connections")]
    #[schemars(range(min = 0, max = 100_000))]
    pub(in crate::control::config) idle_connections: usize,
    /// How long an idle connection is kept, 10ms to 24h.
    #[serde(default = "default_idle_timeout")]
    pub(in crate::control::config) idle_timeout: Span,
    /// Begin each connection with a header of the PROXY protocol in this version, which has the client's
    /// address: with port 0 where a trusted proxy told of it in a field. Such a connection is the
    /// client's: it carries one request, and idle_connections and idle_timeout mean nothing. Absent: no
    /// header.
    #[serde(default)]
    #[schemars(with = "ProxyVersion")]
    pub(in crate::control::config) proxy_protocol: Option<ProxyVersion>,
    /// Requests at once, on all workers together (503 when over), each having an equal part of it;
    /// WebSockets and connections of listeners with `tcp` count as one while they are open. Absent: no
    /// bound.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::control::config) concurrent_requests: Option<usize>,
    /// When an endpoint that fails is taken out, and for how long.
    #[serde(default)]
    pub(in crate::control::config) ejection: Ejection,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum ProxyVersion {
    V1,
    V2,
}

fn default_host() -> String {
    "keep".into()
}

fn default_idle_connections() -> usize {
    defaults::Upstream::IDLE_CONNECTIONS_DEFAULT
}

fn default_idle_timeout() -> Span {
    Span(defaults::Upstream::IDLE_TIMEOUT_DEFAULT)
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Balance {
    RoundRobin,
    #[default]
    PowerOfTwo,
}

/// When an endpoint that refuses, times out or answers garbage is taken out, and for how long.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct Ejection {
    /// Failures in a row that take an endpoint out; 0 never does.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::control::config) consecutive_failures: u32,
    /// The first rest, 10ms to 24h; it doubles with each ejection until a success.
    pub(in crate::control::config) base: Span,
    /// The longest rest, up to 24h.
    pub(in crate::control::config) max: Span,
}

impl Default for Ejection {
    fn default() -> Self {
        let ejection = defaults::Ejection::default();
        Self {
            consecutive_failures: ejection.consecutive_failures,
            base: Span(ejection.base),
            max: Span(ejection.max),
        }
    }
}
