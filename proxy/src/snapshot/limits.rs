//! Every bound on size, number and time, with its default and the reason for it.

use std::time::Duration;

/// Bounds on size and number. What is over one is refused and counted. Those on heads hold for responses;
/// requests have those of their listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message head, start line included.
    pub head_bytes: usize,
    /// Fields in a message head.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Client connections open at once on each worker (503, then close).
    pub connections_per_worker: usize,
    /// And those of one source (429, then close).
    pub connections_per_source: Option<usize>,
    /// Whether no more are accepted then, instead.
    pub pause_when_full: bool,
    /// Tokens that the verified-token cache of one worker holds.
    pub token_cache_entries: usize,
}

impl Limits {
    /// The receive buffer of one message head; `head_bytes` cannot be more.
    pub const HEAD_BYTES_MAX: usize = 64 * 1024;
    /// What the parser's field table holds; `head_fields` cannot be more.
    pub const HEAD_FIELDS_MAX: usize = 128;
    /// Bytes of a request body where none are configured.
    pub const REQUEST_BODY_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
    /// Requests served on one client connection where none is configured.
    pub const REQUESTS_PER_CONNECTION_DEFAULT: u64 = 100_000;
    /// Bytes of a chunked body beyond its data and what that excuses where none are configured: as
    /// much as a head.
    pub const CHUNK_OVERHEAD_BYTES_DEFAULT: usize = 16 * 1024;
    /// Client connections open at once on all workers together where none is configured and there
    /// are descriptors for so many.
    pub const CONNECTIONS_DEFAULT: usize = 64 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            head_fields: 100,
            target_bytes: 8 * 1024,
            connections_per_worker: 16 * 1024,
            connections_per_source: None,
            pause_when_full: false,
            token_cache_entries: 10_000,
        }
    }
}

/// Bounds on one listener's connections, and on the requests that come on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerBounds {
    /// Bytes of a request head, request line included (431; 414 when the target alone is over).
    pub head_bytes: usize,
    /// Fields in a request head (431).
    pub head_fields: usize,
    /// Bytes of a request target (414).
    pub target_bytes: usize,
    /// Its connections open at once on each worker (503, then close); none: only
    /// [`Limits::connections_per_worker`] counts.
    pub connections_per_worker: Option<usize>,
    /// And those of one source (429, then close), beside [`Limits::connections_per_source`].
    pub connections_per_source: Option<usize>,
    /// Requests served on one client connection before it is closed.
    pub requests_per_connection: u64,
    /// From a request's first byte to the end of its head (408).
    pub head: Duration,
    /// A client connection without a request (closed).
    pub idle: Duration,
    /// A client connection since it was accepted: the request in hand is its last.
    pub connection: Option<Duration>,
}

/// Bounds on the requests of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteBounds {
    /// Bytes of a request body after decoding its framing (413).
    pub request_body_bytes: u64,
    /// Bytes of chunk sizes, extensions and line ends of a body, either way, beyond eight for each
    /// byte of data in their chunk (400, 502 or a cut response).
    pub chunk_overhead_bytes: usize,
    /// From the request's last byte sent to the head of the final response (504).
    pub response: Duration,
    /// Without one byte of progress of a body, either way (408 or a cut response).
    pub body_progress: Duration,
    /// The slowest that a client may send or take a body, if there is a bound.
    pub body_rate: Option<BodyRate>,
}

/// So many bytes in so much time of waiting for a client (408, or a cut response).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRate {
    /// At least one.
    pub bytes: u64,
    /// Longer than no time.
    pub within: Duration,
}

impl BodyRate {
    /// Whether so many bytes in so much time are enough.
    #[must_use]
    pub fn is_met_by(&self, bytes: u64, time: Duration) -> bool {
        u128::from(bytes) * self.within.as_nanos() >= u128::from(self.bytes) * time.as_nanos()
    }
}

/// Bounds on time, where a listener or a route does not say otherwise. What is over one ends as its
/// field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request's first byte to the end of its head (408).
    pub head: Duration,
    /// A client connection without a request (closed).
    pub idle: Duration,
    /// A client connection since it was accepted: the request in hand is its last.
    pub connection: Option<Duration>,
    /// To connect to an upstream endpoint (504, after trying the others).
    pub connect: Duration,
    /// From the request's last byte sent to the head of the final response (504).
    pub response: Duration,
    /// Without one byte of progress of a body, either way (408 or a cut response).
    pub body_progress: Duration,
    /// A tunnel (WebSocket) without one byte either way (closed).
    pub tunnel_idle: Duration,
    /// From SIGTERM until what is still open is cut.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            connection: None,
            connect: Duration::from_secs(3),
            response: Duration::from_secs(60),
            body_progress: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
        }
    }
}
