//! Upstreams and their endpoints as the workers see them: resolved, bounded, immutable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::tls::UpstreamTls;
use crate::telemetry::labels::UpstreamCounters;

/// A named service with at least one endpoint, unless none of its names has ever resolved.
#[derive(Debug)]
pub struct Upstream {
    /// As configured; the `upstream` label of metrics and log lines.
    pub name: Box<str>,
    /// Where it can be reached, in configured order. Empty only before the first resolution.
    pub endpoints: Vec<Endpoint>,
    /// How one endpoint is picked for a request.
    pub balance: Balance,
    /// Which `Host` the endpoint sees.
    pub host: HostHeader,
    /// How endpoints are spoken to by TLS; none: in plain text.
    pub tls: Option<Arc<UpstreamTls>>,
    /// Idle connections kept to each endpoint by each worker.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Whether each connection begins with a header that says whose it is. Then it carries one request.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Requests at once on each worker, if there is a bound.
    pub requests_per_worker: Option<usize>,
    /// When an endpoint is taken out and for how long.
    pub ejection: Ejection,
    /// The cells that count what happens to it.
    pub counters: UpstreamCounters,
}

impl Upstream {
    /// `idle_connections_max` where none is configured: more than the requests that one core has
    /// in flight to one endpoint at most times, few enough not to fill an endpoint's own table.
    pub const IDLE_CONNECTIONS_DEFAULT: usize = 64;
    /// `idle_timeout` where none is configured: shorter than the keep-alive of common servers
    /// (nginx 75 s, Apache and Go clients' peers 60 s and more), so that we close first.
    pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
}

/// One place that an upstream can be reached at. Two endpoints of one upstream are never equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where a connection goes.
    pub address: Address,
    /// Whom it is to prove to be, where TLS is spoken; which it is also asked for, unless that is an
    /// address (RFC 6066 section 3).
    pub name: Option<ServerName<'static>>,
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address, given or resolved.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How one endpoint is picked for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    RoundRobin,
    /// The one of two picked at random with fewer requests in flight on this core.
    PowerOfTwo,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

impl ProxyVersion {
    /// As it stands in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// Which `Host` an upstream sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Keep,
    /// This one, already valid as a field value.
    Rewrite(Box<str>),
}

/// Passive health: an endpoint that fails this often in a row rests for a growing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row (refused, timed out, garbage) that take an endpoint out. 0: never.
    pub consecutive_failures: u32,
    /// The first rest; it doubles with every ejection that follows without a success between.
    pub base: Duration,
    /// The longest rest.
    pub max: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base: Duration::from_secs(5),
            max: Duration::from_secs(300),
        }
    }
}
