//! A configuration that is valid: what the raw file says, as types that cannot hold a bad value.

mod bounds;
mod kernel;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::ServerName;

use super::error::Problems;
use crate::control::jwks::parse::IgnoredKey;
use crate::control::jwks::transport::Transport;
use crate::snapshot::certificate_rule::CertificateRule;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::client_rule::ClientRule;
use crate::snapshot::connect_rule::ConnectRule;
use crate::snapshot::cors::Cors;
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::field_edits::{FieldEdits, Hsts, Identity};
use crate::snapshot::ids::UpstreamId;
use crate::snapshot::key_set::{Algorithm, AlgorithmSet, KeySet};
use crate::snapshot::limits::{BodyRate, Limits, Timeouts};
use crate::snapshot::path_normalization::PathNormalization;
use crate::snapshot::provider::{Audiences, ClaimHeader, Issuer, TokenChecks};
use crate::snapshot::rewrite::Rewrite;
use crate::snapshot::route_match::RouteMatch;
use crate::snapshot::route_table::{Action, FixedResponse};
use crate::snapshot::upstream_set::{Balance, Ejection, Endpoint, HostHeader, ProxyVersion};
use crate::snapshot::{Forwarding, ProxyProtocol};
pub(in crate::control) use bounds::share;
pub use bounds::{ListenerOverrides, RouteOverrides};
pub use kernel::{BanConfig, KernelConfig, Led, ShieldConfig, SteeringConfig};
pub use tls::{
    AuthorityFile, CertificateFiles, ClientTrust, TlsConfig, TrustFiles, UpstreamTlsConfig,
};

/// A whole configuration. Ids in it are positions in its own lists, and fit.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many worker threads.
    pub workers: Workers,
    /// Where clients connect; indexed by [`crate::snapshot::ids::ListenerId`]; never empty.
    pub listeners: Vec<ListenerConfig>,
    /// By name; indexed by [`crate::snapshot::ids::ProviderId`].
    pub providers: Vec<ProviderConfig>,
    /// Where fetched key sets are kept over a restart, if anywhere; it was a directory when the
    /// configuration was read.
    pub cache_directory: Option<PathBuf>,
    /// Which good tokens are refused.
    pub deny_list: DenyListConfig,
    /// What a start does about keys that are not there yet.
    pub startup: Startup,
    /// By name; indexed by [`crate::snapshot::ids::UpstreamId`].
    pub upstreams: Vec<UpstreamConfig>,
    /// In the order of the file; indexed by [`crate::snapshot::ids::RouteId`]; no two tie.
    pub routes: Vec<RouteConfig>,
    /// Bounds on size and number.
    pub limits: LimitsConfig,
    /// Bounds on time.
    pub timeouts: Timeouts,
    /// What an upstream is told about the client.
    pub forwarding: Forwarding,
    /// In which form paths are matched and forwarded.
    pub path_normalization: PathNormalization,
    /// What the gateway says of itself in messages.
    pub identity: Identity,
    /// Who may tell of the client.
    pub trusted_proxies: Vec<IpNet>,
    /// The administration listener, if there is one.
    pub admin: Option<AdminConfig>,
    /// What the gateway says about itself, and how.
    pub log: LogConfig,
    /// Where the line for each request goes.
    pub access_log: AccessLogTarget,
    /// What eBPF programs do for the gateway.
    pub kernel: KernelConfig,
    /// What is allowed and likely not meant: things defined and not used.
    pub warnings: Problems,
}

/// What a start does about providers that a route asks for and that have no keys yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// Serves all the same.
    Serve,
    /// Waits for them so long, then serves.
    Wait(Duration),
    /// Waits for them so long, then ends.
    Fail(Duration),
}

/// How many worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that the process may use.
    Auto,
    /// This many, 1..=1024.
    Count(usize),
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// No other listener has it.
    pub name: Box<str>,
    /// No other listener has it, also where its port is 0: it tells them apart.
    pub address: SocketAddr,
    /// What else is led here.
    pub led: Vec<Led>,
    /// Where its connections go as they are; none: it speaks HTTP.
    pub tcp: Option<UpstreamId>,
    /// What all of its clients speak; none: plain text.
    pub tls: Option<TlsConfig>,
    /// Whether refusals say why in a field.
    pub reason_header: bool,
    /// What responses say of https.
    pub hsts: Option<Hsts>,
    /// Whether a header says whose a connection is.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Bounds of its own.
    pub bounds: ListenerOverrides,
}

impl ListenerConfig {
    /// One with nothing but its address.
    #[must_use]
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            address,
            led: Vec::new(),
            tcp: None,
            tls: None,
            reason_header: false,
            hsts: None,
            proxy_protocol: None,
            bounds: ListenerOverrides::default(),
        }
    }
}

/// The administration listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it is.
    pub address: SocketAddr,
    /// Names beside addresses and `localhost` under which requests that change something may
    /// come, without ports.
    pub hosts: Vec<Box<str>>,
}

/// A token provider, all but its keys.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// The key under `jwt.providers`.
    pub name: Box<str>,
    /// Whose `iss` it believes.
    pub issuer: Issuer,
    /// Which `aud` it believes.
    pub audiences: Audiences,
    /// The allow-list; never empty.
    pub algorithms: Vec<Algorithm>,
    /// Tolerance for `exp`, `nbf` and `iat`; at most 300 s.
    pub leeway: Duration,
    /// Refuse a token without `exp`.
    pub require_exp: bool,
    /// Refuse longer tokens before decoding them.
    pub token_bytes_max: usize,
    /// Keep the token in the forwarded request.
    pub forward_token: bool,
    /// Where its tokens are, unless a route says otherwise.
    pub locations: Vec<TokenLocation>,
    /// Request fields set from claims.
    pub claim_headers: Vec<ClaimHeader>,
    /// Checks that are off unless asked for.
    pub checks: TokenChecks,
    /// Keys tried for a token that names none, or a name of several.
    pub key_tries_max: usize,
    /// Where its keys come from, the first that has some; never empty. Inline keys stand last.
    pub sources: Vec<JwksSource>,
    /// How long keys are used that could not be confirmed; none: for ever.
    pub max_stale: Option<Duration>,
    /// How long a key is used that has vanished from its set.
    pub key_grace: Duration,
    /// How long a request waits for a key that its token names and nobody has.
    pub unknown_kid_wait: Duration,
    /// How often a set may be fetched out of turn for such a key.
    pub unknown_kid_interval: Duration,
}

impl ProviderConfig {
    /// The keys in the configuration itself, the usable and the others, where there are some.
    #[must_use]
    pub fn inline_keys(&self) -> Option<(&Arc<KeySet>, &Arc<[IgnoredKey]>)> {
        self.sources.iter().find_map(|source| match source {
            JwksSource::Inline { keys, ignored } => Some((keys, ignored)),
            JwksSource::File(_) | JwksSource::Secrets { .. } | JwksSource::Url { .. } => None,
        })
    }
}

/// Where the deny list comes from, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenyListConfig {
    /// A file that was a deny list when the configuration was read; the path is absolute or
    /// relative to the working directory.
    pub file: Option<PathBuf>,
    /// Entries of the file, and as many of the admin listener.
    pub entries_max: usize,
}

/// Where a provider's keys come from.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// The configuration itself.
    Inline {
        /// The usable keys.
        keys: Arc<KeySet>,
        /// The others.
        ignored: Arc<[IgnoredKey]>,
    },
    /// A file that was readable and had a usable key when the configuration was read; the path is
    /// absolute or relative to the working directory.
    File(PathBuf),
    /// A file of secrets, as good as the above.
    Secrets {
        /// The file.
        path: PathBuf,
        /// What the secrets are used with: the provider's algorithms, all of them HMACs.
        algorithms: AlgorithmSet,
    },
    /// An HTTP server.
    Url {
        /// `https`, or `http` where that is allowed.
        url: Box<str>,
        /// Whether that is the issuer, whose metadata names the key set.
        discover: bool,
        /// How often to fetch, whatever the response's caching fields say.
        refresh_interval: Option<Duration>,
        /// How it is reached.
        transport: Arc<Transport>,
    },
}

/// A named service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// The key under `upstreams`.
    pub name: Box<str>,
    /// Never empty; no two are equal.
    pub endpoints: Vec<EndpointConfig>,
    /// How one endpoint is picked for a request.
    pub balance: Balance,
    /// Which `Host` the endpoint sees.
    pub host: HostHeader,
    /// How endpoints are spoken to by TLS; none: in plain text.
    pub tls: Option<UpstreamTlsConfig>,
    /// Idle connections kept to each endpoint by each worker.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Whether each connection begins with a header that says whose it is.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Requests at once on all workers together.
    pub concurrent_requests: Option<usize>,
    /// When an endpoint is taken out and for how long.
    pub ejection: Ejection,
}

/// Where a service can be reached, before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointConfig {
    /// An address.
    Fixed(Endpoint),
    /// A name that resolves to any number of addresses.
    Name {
        /// A host name, lower-case.
        host: Box<str>,
        /// Of each address.
        port: u16,
        /// Whom each is to prove to be, where TLS is spoken.
        name: Option<ServerName<'static>>,
    },
}

/// A route: which requests it takes, what it asks of them, what it does with them.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    /// As configured or `routes[N]`; no other route has it.
    pub name: Box<str>,
    /// Which requests it takes.
    pub selects: RouteMatch,
    /// Which clients may use it, whatever their token.
    pub clients: ClientRule,
    /// Which certificates they must have shown.
    pub certificates: CertificateRule,
    /// The token rules, or none: anyone passes.
    pub auth: Option<AuthPolicy>,
    /// What everyone is answered instead.
    pub maintenance: Option<FixedResponse>,
    /// What is done with a request that passes.
    pub action: Action,
    /// The path that its upstream is asked for; none: the request's.
    pub rewrite: Option<Rewrite>,
    /// To which ports it leads, if it takes CONNECT.
    pub connect: Option<ConnectRule>,
    /// What is done to the fields of its requests.
    pub request_fields: FieldEdits,
    /// What is done to those of its responses.
    pub response_fields: FieldEdits,
    /// What its responses say of https.
    pub hsts: Option<Hsts>,
    /// Which pages of other origins may use it.
    pub cors: Option<Cors>,
    /// Bounds of its own.
    pub bounds: RouteOverrides,
}

/// Bounds on size and number for the process; [`LimitsConfig::for_each_of`] makes those of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// [`Limits::head_bytes`].
    pub head_bytes: usize,
    /// [`Limits::head_fields`].
    pub head_fields: usize,
    /// [`Limits::target_bytes`].
    pub target_bytes: usize,
    /// Bytes of a request body, where a route does not say otherwise.
    pub request_body_bytes: u64,
    /// Bytes of a body's chunks beside their data, where a route does not say otherwise.
    pub chunk_overhead_bytes: usize,
    /// The slowest that a client may be, where a route does not say otherwise.
    pub body_rate: Option<BodyRate>,
    /// Client connections open at once on all workers together.
    pub connections: Connections,
    /// And of one source.
    pub connections_per_source: Option<usize>,
    /// Whether those over the number are left unaccepted.
    pub pause_when_full: bool,
    /// Requests served on one client connection, where a listener does not say otherwise.
    pub requests_per_connection: u64,
    /// [`Limits::token_cache_entries`].
    pub token_cache_entries: usize,
}

/// How many client connections may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// As many as the file says.
    Given(usize),
    /// The file does not say: the default, or fewer where descriptors are few.
    Fitted(usize),
}

impl Connections {
    /// The number.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Given(count) | Self::Fitted(count) => count,
        }
    }
}

impl LimitsConfig {
    /// The bounds of one worker among `workers`.
    #[must_use]
    pub fn for_each_of(&self, workers: usize) -> Limits {
        Limits {
            head_bytes: self.head_bytes,
            head_fields: self.head_fields,
            target_bytes: self.target_bytes,
            connections_per_worker: share(self.connections.count(), workers),
            connections_per_source: self.connections_per_source.map(|all| share(all, workers)),
            pause_when_full: self.pause_when_full,
            token_cache_entries: self.token_cache_entries,
        }
    }
}

/// What the gateway says about itself, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// The least severe that is written.
    pub level: tracing::Level,
}

/// Lines for people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where the line for each request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file; absolute or relative to the working directory.
    File(PathBuf),
}
