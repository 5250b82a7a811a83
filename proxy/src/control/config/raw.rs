//! The configuration file as it is typed: the one source of its shape, its defaults and its schema.
//!
//! Nothing outside `config` sees these types. Doc comments here are the descriptions that an editor
//! shows, so they speak to the person who writes the file.

pub(super) mod answers;
pub(super) mod bounds;
pub(super) mod fields;
pub(super) mod jwt;
pub(super) mod kernel;
pub(super) mod matching;
mod paths;
pub(super) mod routes;
pub(super) mod tls;
pub(super) mod upstreams;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::{Size, Span};
use crate::snapshot::limits as defaults;
pub(super) use paths::PathNormalization;

/// The configuration of a ringgate gateway. Durations and sizes are strings with their unit; paths
/// are relative to the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read section by section; as a whole it is the root of the schema")]
pub(super) struct Config {
    /// Where this file's schema is, for editors.
    #[serde(rename = "$schema", default)]
    schema: String,
    /// Worker threads, one event loop each: `auto` for one for each CPU the process may use, or a number.
    #[serde(default)]
    workers: Workers,
    /// Addresses to accept clients on.
    #[schemars(length(min = 1))]
    listeners: Vec<Listener>,
    /// Whose tokens are believed.
    jwt: Option<jwt::Jwt>,
    /// The services behind the gateway, by name.
    #[serde(default)]
    upstreams: BTreeMap<String, upstreams::Upstream>,
    /// Which requests go where, and what is asked of them. The most specific match wins, whatever
    /// the order; a request that no route takes is answered 404. At least one, unless every
    /// listener has `tcp`.
    #[serde(default)]
    routes: Vec<routes::Route>,
    /// What is refused for its size or number.
    #[serde(default)]
    limits: Limits,
    /// What is ended for its slowness.
    #[serde(default)]
    timeouts: Timeouts,
    /// Who the client is, and what an upstream is told about it.
    #[serde(default)]
    forwarding: Forwarding,
    /// In which form the path of a request is matched and forwarded. on: dot segments are resolved,
    /// slashes merged, what needs no percent-encoding has none; an encoded slash stays encoded.
    /// reject_encoded_slash: the same, and a path with an encoded slash or backslash is refused (400).
    /// off: as sent, without dot segments (400).
    #[serde(default)]
    path_normalization: PathNormalization,
    /// What `Server` says in every response, in place of what the upstream says. Absent: that is passed
    /// on, and answers of the gateway's own have none.
    #[schemars(length(min = 1))]
    server: Option<String>,
    /// The name that the gateway goes by in `Via`, which then tells of it in requests and responses that
    /// it passes on. Absent: it adds nothing there.
    #[schemars(length(min = 1))]
    via: Option<String>,
    /// A name for each request, for the upstream, the client and the logs. Absent: none.
    request_id: Option<fields::RequestId>,
    /// The administration listener: health, metrics, what runs, the keys, the deny list. Absent: none.
    admin: Option<Admin>,
    /// What the gateway says about itself.
    #[serde(default)]
    log: Log,
    /// One JSON line for each request, and for each connection of a listener with `tcp`.
    #[serde(default)]
    access_log: AccessLog,
    /// What eBPF programs do for the gateway.
    #[serde(default)]
    kernel: kernel::Kernel,
}

/// `auto`, or how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Workers {
    #[default]
    Auto,
    Count(usize),
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .map(Self::Count)
                .ok_or_else(|| serde::de::Error::custom("expected a whole number")),
            _ => Ok(Self::Auto),
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

impl JsonSchema for Workers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Workers".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }]
        })
    }
}

/// One address to accept clients on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// Its name in routes, metrics and log lines.
    #[schemars(length(min = 1))]
    pub(super) name: String,
    /// Address and port, such as `0.0.0.0:8080`, or `[::]:8080` for IPv6 alone. Port 0 takes a free
    /// one, for one listener of an IP address.
    #[schemars(extend("format" = "socket-address"))]
    pub(super) address: String,
    /// More addresses and ports, which are not bound but led here in the kernel, whoever of this host
    /// may listen there: prefixes with a port or a range of ports, such as `198.51.100.0/24:8000-8099`
    /// or `[2001:db8::/32]:443`. Of two that hold an address and a port the longer prefix counts.
    #[serde(default)]
    pub(super) addresses: Vec<String>,
    /// Where each connection goes, byte for byte. Absent: it speaks HTTP, by `routes`.
    pub(super) tcp: Option<Tcp>,
    /// TLS, which all clients must speak then. Absent: none does.
    pub(super) tls: Option<tls::Tls>,
    /// Whether an answer of the gateway's own, to a request that is not served as asked, has the code
    /// of the reason in `X-Ringgate-Reason`. Attackers can read it, too.
    #[serde(default)]
    pub(super) reason_header: bool,
    /// Strict-Transport-Security in its responses. Absent: none, save that of upstreams.
    pub(super) hsts: Option<fields::Hsts>,
    /// Whether a header of the PROXY protocol, version 1 or 2, says whose a connection is. Absent: none
    /// does.
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    /// Bounds of its own. A listener with `tcp` has `connections` and
    /// `connections_per_source` alone.
    #[serde(default)]
    pub(super) limits: bounds::ListenerLimits,
    /// Bounds of its own. A listener with `tcp` has none.
    #[serde(default)]
    pub(super) timeouts: bounds::ListenerTimeouts,
}

/// Who says whose a connection is, in a header before its first byte.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyProtocol {
    /// Whether a connection without it is refused, or the peer's own.
    pub(super) mode: ProxyProtocolMode,
    /// Addresses and prefixes of the proxies that send it; of others it is refused. Absent:
    /// `forwarding.trusted_proxies`.
    pub(super) from: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum ProxyProtocolMode {
    Required,
    Optional,
}

/// Where the connections of a listener go, whatever they carry. No token is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcp {
    /// The upstream, by its name in `upstreams`. Each connection goes to one endpoint of it.
    #[schemars(length(min = 1))]
    pub(super) upstream: String,
}

/// What is refused for its size or number.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// A request head with its request line (431 when over), 1KiB to 64KiB.
    pub(super) head_bytes: Size,
    /// Fields in a request head (431 when over).
    #[schemars(range(min = 8, max = 128))]
    pub(super) head_fields: usize,
    /// A request target (414 when over), 64B up to the head's limit.
    pub(super) target_bytes: Size,
    /// A request body without its framing (413 when over), up to 1024GiB.
    pub(super) request_body_bytes: Size,
    /// What the chunks of a body have beside their data, sizes, extensions and line ends, beyond
    /// eight bytes for each of data: of a request (400 when over) and of a response (502, or cut).
    /// 64B to 1MiB.
    pub(super) chunk_overhead_bytes: Size,
    /// The slowest that a client may send a request body (408) or take a response (cut). Absent: only
    /// `timeouts.body_progress` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_rate: Option<bounds::BodyRate>,
    /// Client connections open at once, on all workers together (503 when over; closed where the
    /// listener has `tcp`). Absent: 65536, or as many as the process's limit on descriptors carries,
    /// at two for each.
    #[schemars(range(min = 1, max = 10_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<usize>,
    /// Client connections of one source open at once, an IPv4 address or the /64 of an IPv6 one, on all
    /// workers together, each having an equal part of it (429 when over; closed where the listener has
    /// `tcp`). Those of trusted proxies do not count. Absent: no bound.
    #[schemars(range(min = 1, max = 10_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections_per_source: Option<usize>,
    /// What becomes of connections over their number: refuse answers 503 (closes them, where the
    /// listener has `tcp`); pause leaves them unaccepted until there is room, first in the listener's
    /// backlog and then in the client's retries, save what another listener was about to accept.
    pub(super) connections_full: ConnectionsFull,
    /// Requests served on one client connection before it is closed.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) requests_per_connection: u64,
    /// Verified tokens that each worker remembers; 0 verifies each token every time.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(super) token_cache_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let limits = defaults::Limits::default();
        Self {
            head_bytes: Size(limits.head_bytes as u64),
            head_fields: limits.head_fields,
            target_bytes: Size(limits.target_bytes as u64),
            request_body_bytes: Size(defaults::Limits::REQUEST_BODY_BYTES_DEFAULT),
            chunk_overhead_bytes: Size(defaults::Limits::CHUNK_OVERHEAD_BYTES_DEFAULT as u64),
            body_rate: None,
            connections: None,
            connections_per_source: None,
            connections_full: ConnectionsFull::default(),
            requests_per_connection: defaults::Limits::REQUESTS_PER_CONNECTION_DEFAULT,
            token_cache_entries: limits.token_cache_entries,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum ConnectionsFull {
    #[default]
    Refuse,
    Pause,
}

/// What is ended for its slowness. Each is 10ms to 24h, save where it says otherwise.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    /// From a request's first byte to the end of its head (408).
    pub(super) head: Span,
    /// A client connection without a request (closed).
    pub(super) idle: Span,
    /// A client connection since it was accepted, up to 7 days: the request in hand is the last, its
    /// response says so, and an idle one closes. Tunnels go on. Absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<Span>,
    /// To connect to an endpoint (504, after trying the others).
    pub(super) connect: Span,
    /// From the end of the request to the head of the response (504).
    pub(super) response: Span,
    /// Without one byte of progress of a body, either way.
    pub(super) body_progress: Span,
    /// A tunnel (WebSocket, or a connection of a listener with `tcp`) without one byte either way
    /// (closed), up to 7 days.
    pub(super) tunnel_idle: Span,
    /// From SIGTERM until what is still open is cut, 0s to 1h.
    pub(super) drain: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let timeouts = defaults::Timeouts::default();
        Self {
            head: Span(timeouts.head),
            idle: Span(timeouts.idle),
            connection: None,
            connect: Span(timeouts.connect),
            response: Span(timeouts.response),
            body_progress: Span(timeouts.body_progress),
            tunnel_idle: Span(timeouts.tunnel_idle),
            drain: Span(timeouts.drain),
        }
    }
}

/// Who the client is, and what an upstream is told about it. What others than `trusted_proxies` say
/// in these fields is dropped.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Forwarding {
    /// Append the address of the connection to X-Forwarded-For, and set X-Forwarded-Proto and -Host.
    pub(super) x_forwarded: bool,
    /// Append an element to Forwarded (RFC 7239).
    pub(super) forwarded: bool,
    /// Addresses and prefixes, such as `192.0.2.0/28`, of proxies in front of the gateway: what they
    /// say of the client is believed, and they are never banned.
    pub(super) trusted_proxies: Vec<String>,
    /// The field in which they say it. It is read from its end: the client is the first address that
    /// is none of theirs.
    pub(super) client_from: ClientFrom,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self {
            x_forwarded: true,
            forwarded: false,
            trusted_proxies: Vec::new(),
            client_from: ClientFrom::XForwardedFor,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum ClientFrom {
    XForwardedFor,
    Forwarded,
}

/// The administration listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port, such as `127.0.0.1:9901`. Whoever reaches it can read the configuration.
    #[schemars(extend("format" = "socket-address"))]
    pub(super) address: String,
    /// Host names, beside localhost and IP addresses, that requests which change something may
    /// call it by. Others are refused: a web page could have made its name resolve to the address.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
}

/// What the gateway says about itself, on standard error.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// Lines for people or for machines.
    pub(super) format: LogFormat,
    /// The least severe that is written.
    pub(super) level: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum LogFormat {
    #[default]
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// One JSON line for each request, and for each connection of a listener with `tcp`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessLog {
    /// `stdout`, `off`, or the path of a file to append to.
    #[schemars(length(min = 1))]
    pub(super) target: String,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { target: "off".into() }
    }
}
