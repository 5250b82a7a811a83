//! How long a connection may be open, and how long it may wait for its next request.

use std::time::Duration;

use tokio::time::Instant;

use super::{Client, ConnectionState};
use crate::snapshot::limits::ListenerBounds;

impl ConnectionState {
    /// Whether it has been open for as long as it may.
    pub(super) fn is_over_time(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }
}

impl Client {
    /// How long it may wait for a request by one of its listener's bounds; not at all where it has no
    /// future.
    pub(super) fn until(&self, bound: impl FnOnce(&ListenerBounds) -> Duration) -> Duration {
        let Some(id) = self.state.listener.http_id() else { return Duration::ZERO };
        let limit = bound(&self.core.live().snapshot.listeners[id.index()].bounds);
        let left = self.state.ends.map(|ends| ends.saturating_duration_since(Instant::now()));
        left.map_or(limit, |left| limit.min(left))
    }
}
