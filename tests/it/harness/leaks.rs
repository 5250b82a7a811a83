//! Whether a gateway is back where it was: connections, requests in flight, descriptors.

use super::deadline::{wait, wait_until};
use super::gateway::Gateway;

/// How a gateway stood before a fault.
///
/// Pooled upstream connections may come and go, so descriptors are counted without them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    connections_open: f64,
    in_flight: f64,
    descriptors: f64,
}

impl Baseline {
    /// Takes it, once what came before has settled: no client connected, nothing in flight.
    pub fn take(gateway: &Gateway) -> Self {
        wait_until("the gateway to be idle", || {
            let now = Self::look(gateway);
            let again = Self::look(gateway);
            (now == again && now.connections_open == 0.0 && now.in_flight == 0.0).then_some(now)
        })
    }

    /// Waits until everything is as it was, and then serves `path` once more.
    pub fn expect_restored(&self, gateway: &Gateway, path: &str) {
        let mut last = *self;
        let restored = wait(|| {
            last = Self::look(gateway);
            (last == *self).then_some(())
        });
        assert!(restored.is_some(), "before: {self:?}, after: {last:?}");
        let answer = gateway.client().get(path);
        assert_eq!(answer.status(), 200, "another connection is served: {answer:?}");
    }

    fn look(gateway: &Gateway) -> Self {
        let metrics = gateway.metrics();
        let pooled = metrics.sum("ringgate_upstream_connections_idle", &[]);
        let descriptors = u32::try_from(gateway.descriptors()).unwrap();
        Self {
            connections_open: metrics.sum("ringgate_connections_open", &[]),
            in_flight: metrics.sum("ringgate_upstream_requests_in_flight", &[]),
            descriptors: f64::from(descriptors) - pooled,
        }
    }
}
