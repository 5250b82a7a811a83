//! Bounds of one listener or route as they are typed, in place of those of `limits` and `timeouts`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::config::quantity::{Size, Span};

/// Bounds of a listener, in place of those of `limits`. What is absent is as there.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct ListenerLimits {
    /// A request head with its request line (431 when over), 1KiB to 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) head_bytes: Option<Size>,
    /// Fields in a request head (431 when over).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 128))]
    pub(in crate::control::config) head_fields: Option<usize>,
    /// A request target (414 when over), 64B up to the head's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) target_bytes: Option<Size>,
    /// Client connections of this listener open at once, on all workers together (503 when over;
    /// closed where the listener has `tcp`). They count towards the limit for all as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::control::config) connections: Option<usize>,
    /// Connections of one source to this listener open at once, beside those of `limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::control::config) connections_per_source: Option<usize>,
    /// Requests served on one client connection before it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(in crate::control::config) requests_per_connection: Option<u64>,
}

/// Bounds of a listener, in place of those of `timeouts`. What is absent is as there.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct ListenerTimeouts {
    /// From a request's first byte to the end of its head (408), 10ms to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) head: Option<Span>,
    /// A client connection without a request (closed), 10ms to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) idle: Option<Span>,
    /// A client connection since it was accepted, 10ms to 7 days: the request in hand is the last, its
    /// response says so, and an idle one closes. Tunnels go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) connection: Option<Span>,
}

/// Bounds of a route, in place of those of `limits`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct RouteLimits {
    /// A request body (413 when over), up to 1TiB. Absent: as `limits` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) request_body_bytes: Option<Size>,
    /// What the chunks of a body, either way, have beside their data (400, 502 or cut when over),
    /// 64B to 1MiB. Absent: as `limits` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) chunk_overhead_bytes: Option<Size>,
    /// The slowest that a client may send a request body (408) or take a response (cut). Absent: as
    /// `limits` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) body_rate: Option<BodyRate>,
}

/// So many bytes in so much time. Only the time counts that is spent waiting for the client, and what
/// fits one buffer is not measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct BodyRate {
    /// 1B to 1GiB.
    pub(in crate::control::config) bytes: Size,
    /// 10ms to 24h; it is also the time that a client has before it is first judged.
    pub(in crate::control::config) within: Span,
}

/// Bounds of a route, in place of those of `timeouts`. What is absent is as there.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct RouteTimeouts {
    /// From the end of the request to the head of the response (504), 10ms to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) response: Option<Span>,
    /// Without one byte of progress of a body, either way, 10ms to 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) body_progress: Option<Span>,
}
