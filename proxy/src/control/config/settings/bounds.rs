//! What one listener or route says of its bounds, and what holds there in the end.

use std::time::Duration;

use super::Config;
use crate::snapshot::limits::{BodyRate, ListenerBounds, RouteBounds};

/// What a listener says in place of `limits` and `timeouts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListenerOverrides {
    /// [`ListenerBounds::head_bytes`].
    pub head_bytes: Option<usize>,
    /// [`ListenerBounds::head_fields`].
    pub head_fields: Option<usize>,
    /// [`ListenerBounds::target_bytes`]; at most what heads of the listener may have.
    pub target_bytes: Option<usize>,
    /// Its connections open at once on all workers together.
    pub connections: Option<usize>,
    /// And of one source.
    pub connections_per_source: Option<usize>,
    /// [`ListenerBounds::requests_per_connection`].
    pub requests_per_connection: Option<u64>,
    /// [`ListenerBounds::head`].
    pub head: Option<Duration>,
    /// [`ListenerBounds::idle`].
    pub idle: Option<Duration>,
    /// [`ListenerBounds::connection`].
    pub connection: Option<Duration>,
}

/// What a route says in place of `limits` and `timeouts`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteOverrides {
    /// [`RouteBounds::request_body_bytes`].
    pub request_body_bytes: Option<u64>,
    /// [`RouteBounds::chunk_overhead_bytes`].
    pub chunk_overhead_bytes: Option<usize>,
    /// [`RouteBounds::body_rate`].
    pub body_rate: Option<BodyRate>,
    /// [`RouteBounds::response`].
    pub response: Option<Duration>,
    /// [`RouteBounds::body_progress`].
    pub body_progress: Option<Duration>,
}

impl Config {
    /// What holds on a listener, on each of `workers`.
    #[must_use]
    pub fn listener_bounds(&self, own: &ListenerOverrides, workers: usize) -> ListenerBounds {
        let (limits, timeouts) = (&self.limits, &self.timeouts);
        let head_bytes = own.head_bytes.unwrap_or(limits.head_bytes);
        ListenerBounds {
            head_bytes,
            head_fields: own.head_fields.unwrap_or(limits.head_fields),
            target_bytes: own.target_bytes.unwrap_or(limits.target_bytes.min(head_bytes)),
            connections_per_worker: own.connections.map(|all| share(all, workers)),
            connections_per_source: own.connections_per_source.map(|all| share(all, workers)),
            requests_per_connection: own
                .requests_per_connection
                .unwrap_or(limits.requests_per_connection),
            head: own.head.unwrap_or(timeouts.head),
            idle: own.idle.unwrap_or(timeouts.idle),
            connection: own.connection.or(timeouts.connection),
        }
    }

    /// What holds on a route.
    #[must_use]
    pub fn route_bounds(&self, own: &RouteOverrides) -> RouteBounds {
        RouteBounds {
            request_body_bytes: own.request_body_bytes.unwrap_or(self.limits.request_body_bytes),
            chunk_overhead_bytes: own
                .chunk_overhead_bytes
                .unwrap_or(self.limits.chunk_overhead_bytes),
            response: own.response.unwrap_or(self.timeouts.response),
            body_progress: own.body_progress.unwrap_or(self.timeouts.body_progress),
            body_rate: own.body_rate.or(self.limits.body_rate),
        }
    }
}

/// One worker's part of what all have together: rounded down, so that the sum is never more than
/// configured, but at least one.
pub(in crate::control) fn share(all: usize, workers: usize) -> usize {
    (all / workers.max(1)).max(1)
}
