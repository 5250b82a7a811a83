//! The access log: one JSON line a request, written off the hot path; what does not fit is counted.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// What one line says. Strings are as received; the writer escapes them.
#[derive(Debug, Clone, Copy)]
pub struct AccessEntry<'a> {
    /// When the request's head was complete.
    pub time: SystemTime,
    /// From then until the response's last byte was sent.
    pub duration: Duration,
    /// The client's address.
    pub client: SocketAddr,
    /// The listener's name.
    pub listener: &'a str,
    /// The request method, or empty where the head was not understood.
    pub method: &'a str,
    /// The `Host` the client named.
    pub host: &'a str,
    /// The path of the target, without the query.
    pub path: &'a str,
    /// The route taken.
    pub route: Option<&'a str>,
    /// The status sent; 0 where the client left before one was.
    pub status: u16,
    /// `pass`, `refuse`, or none where no token was asked for.
    pub verdict: Option<&'a str>,
    /// The stable code of a refusal or failure (`auth.expired`, `upstream.timeout`).
    pub reason: Option<&'a str>,
    /// The token's provider.
    pub provider: Option<&'a str>,
    /// The token's `kid`; untrusted, so escaped and cut.
    pub kid: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint that answered.
    pub endpoint: Option<&'a str>,
    /// Body bytes from the client.
    pub received_bytes: u64,
    /// Body bytes to the client.
    pub sent_bytes: u64,
}
