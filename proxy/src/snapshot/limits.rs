//! Every bound on size, number and time, with its default and the reason for it.

use std::time::Duration;

/// Bounds on size and number. What is over one is refused and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head, request line included (431; 414 when the target alone is over).
    pub head_bytes: usize,
    /// Fields in a request head (431).
    pub head_fields: usize,
    /// Bytes of a request target (414).
    pub target_bytes: usize,
    /// Client connections open at once on each worker (503, then close).
    pub connections_per_worker: usize,
    /// Requests served on one client connection before it is closed.
    pub requests_per_connection: u64,
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
            requests_per_connection: 100_000,
            token_cache_entries: 10_000,
        }
    }
}

/// Bounds on time. What is over one ends as its field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request's first byte to the end of its head (408).
    pub head: Duration,
    /// A client connection without a request (closed).
    pub idle: Duration,
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
            connect: Duration::from_secs(3),
            response: Duration::from_secs(60),
            body_progress: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
        }
    }
}
