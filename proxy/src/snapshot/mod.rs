//! What both planes share: one immutable, already valid picture of the configuration and the keys.
//!
//! The control thread compiles a [`Snapshot`] and publishes it; a worker reads it through its own
//! pointer until the next one arrives. Nothing in here can hold a bad value, so nothing that reads
//! it checks again, and nothing in here knows of JSON or of sockets.

pub mod answers;
pub mod certificate_rule;
pub mod claims_policy;
pub mod client_rule;
pub mod connect_rule;
pub mod cors;
pub mod credentials;
pub mod deny_list;
pub mod field_edits;
pub mod ids;
pub mod key_set;
pub mod limits;
pub mod path_normalization;
pub mod peers;
pub mod provider;
pub mod redirect;
pub mod rewrite;
pub mod route_condition;
pub mod route_match;
pub mod route_table;
pub mod tls;
pub mod unix_time;
pub mod upstream_set;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::telemetry::labels::{ListenerCounters, ProviderCounters, TcpCounters};
use deny_list::DenyList;
use field_edits::{FieldEdits, Hsts, Identity};
use ids::{Generation, ProviderId, UpstreamId};
use limits::{Limits, ListenerBounds, Timeouts};
use path_normalization::PathNormalization;
use peers::{PeerRules, PrefixSet};
use provider::Provider;
use route_table::RouteTable;
use upstream_set::Upstream;

/// Everything a worker needs to judge and forward a request.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows by one with every snapshot published, whatever changed.
    pub generation: Generation,
    /// The first snapshot since which configuration and keys are the same: verdicts of caches hold
    /// for as long. A deny list alone, which is asked after the cache, does not change it.
    pub verdicts: Generation,
    /// Indexed by [`ids::ListenerId`].
    pub listeners: Vec<Listener>,
    /// Which route a request takes.
    pub routes: RouteTable,
    /// Indexed by [`ProviderId`].
    pub providers: Vec<Provider>,
    /// Which good tokens are refused.
    pub deny_list: Arc<DenyList>,
    /// Who may connect.
    pub peers: Arc<PeerRules>,
    /// The cells of each provider; indexed by [`ProviderId`].
    pub provider_counters: Vec<ProviderCounters>,
    /// Indexed by [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
    /// What is refused for its size or number.
    pub limits: Limits,
    /// What is refused for its slowness.
    pub timeouts: Timeouts,
    /// What an upstream is told about the client.
    pub forwarding: Forwarding,
    /// In which form paths are matched and forwarded.
    pub path_normalization: PathNormalization,
    /// What the gateway says of itself.
    pub identity: Identity,
    /// What is done to the fields of responses to requests that no route takes.
    pub own_fields: FieldEdits,
}

impl Snapshot {
    /// The provider with this id; ids are made by the compiler of this snapshot and fit it.
    #[must_use]
    pub fn provider(&self, id: ProviderId) -> &Provider {
        &self.providers[id.index()]
    }

    /// The upstream with this id; ids are made by the compiler of this snapshot and fit it.
    #[must_use]
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.index()]
    }

    /// Bytes of the longest head that any listener or upstream may send.
    #[must_use]
    pub fn head_bytes_max(&self) -> usize {
        let of_listeners = self.listeners.iter().map(|listener| listener.bounds.head_bytes);
        of_listeners.fold(self.limits.head_bytes, usize::max)
    }
}

/// One address the gateway listens on.
#[derive(Debug)]
pub struct Listener {
    /// As configured; the `listener` label of metrics and log lines.
    pub name: Box<str>,
    /// As configured. Port 0 asks the kernel for a free one.
    pub address: SocketAddr,
    /// The cells that count what happens on it.
    pub counters: ListenerCounters,
    /// Lower-case names of request fields that only claims and certificates may set: the union of
    /// `claim_headers` over all routes that this listener serves, and of those of every listener's
    /// certificates. A client's own copies are removed.
    pub claim_header_names: Vec<Box<str>>,
    /// Lower-case names of the fields that any of these routes looks for a token in: no trailer has
    /// one of them.
    pub token_field_names: Vec<Box<str>>,
    /// Whether refusals say why in a field.
    pub reason_header: bool,
    /// What responses say of https, where their route does not say otherwise.
    pub hsts: Option<Hsts>,
    /// Whether a header says whose a connection is; none: never.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What its clients find who all speak TLS; none: they speak in plain text.
    pub tls: tls::ListenerTls,
    /// What is refused or ended on it for its size, number or slowness.
    pub bounds: ListenerBounds,
    /// What is done with its connections.
    pub service: Service,
}

/// Who says whose a connection is, in a header of the PROXY protocol before its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Whether a connection may have none.
    pub mode: ProxyProtocolMode,
    /// Whose header is believed.
    pub from: PrefixSet,
}

/// Whether a connection may have no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocolMode {
    /// Every one has it.
    Required,
    /// One without is the peer's own.
    Optional,
}

impl ProxyProtocolMode {
    /// As it stands in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

/// What is done with the connections of a listener.
#[derive(Debug, Clone, Copy)]
pub enum Service {
    /// They speak HTTP, and each request is judged.
    Http,
    /// They are led to an endpoint as they are: nothing is judged.
    Tcp(TcpService),
}

/// Where connections go as they are.
#[derive(Debug, Clone, Copy)]
pub struct TcpService {
    /// To an endpoint of this.
    pub upstream: UpstreamId,
    /// The cells that count what became of them.
    pub counters: TcpCounters,
}

/// Which fields tell an upstream about the client (RFC 7239 and the older `X-Forwarded-*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Append the peer's address to `X-Forwarded-For`, set `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// Append an element to `Forwarded`.
    pub forwarded: bool,
    /// In which of them trusted proxies tell of the client; the others of theirs do not pass.
    pub client_from: ClientFrom,
}

/// The field in which trusted proxies tell of the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientFrom {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

impl ClientFrom {
    /// The name of the field.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
        }
    }

    /// As it stands in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x_forwarded_for",
            Self::Forwarded => "forwarded",
        }
    }
}
