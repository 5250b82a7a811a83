//! How long a connection may be open, how long it may wait for its next request, and what ends are
//! counted.

use std::time::Duration;

use tokio::time::Instant;

use super::{Client, ConnectionState};
use crate::snapshot::Listener;
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
    /// Counts an end for want of a request.
    pub(super) fn count_idle(&self) {
        self.with_listener(|of| self.core.count(of.counters.connections_idle));
    }

    /// Counts the end, if the request just answered was the last that the connection may have.
    pub(super) fn count_if_used_up(&self) {
        self.with_listener(|of| {
            if self.state.served.get() + 1 >= of.bounds.requests_per_connection {
                self.core.count(of.counters.connections_used_up);
            }
        });
    }

    /// Nothing where a reload has taken the listener out.
    fn with_listener(&self, count: impl FnOnce(&Listener)) {
        if let Some(id) = self.state.listener.http_id() {
            count(&self.core.live().snapshot.listeners[id.index()]);
        }
    }
}
