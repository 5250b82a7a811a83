//! Whether a gateway is back where it was: connections, requests in flight and parked, buffers,
//! descriptors.

use super::deadline::{wait, wait_until};
use super::gateway::Gateway;

/// How a gateway stood before a fault.
///
/// Pooled upstream connections may come and go: the descriptor and the buffer of each are not counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    connections_open: f64,
    in_flight: f64,
    parked: f64,
    waiting: f64,
    head_buffers: f64,
    body_buffers: f64,
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
    #[track_caller]
    pub fn expect_restored(&self, gateway: &Gateway, path: &str) {
        self.expect_settled(gateway);
        self.expect_current(gateway);
        let answer = gateway.client().get(path);
        assert_eq!(answer.status(), 200, "another connection is served: {answer:?}");
    }

    /// Waits until everything is as it was.
    #[track_caller]
    pub fn expect_settled(&self, gateway: &Gateway) {
        let mut last = *self;
        let restored = wait(|| {
            last = Self::look(gateway);
            (last == *self).then_some(())
        });
        assert!(restored.is_some(), "before: {self:?}, after: {last:?}");
    }

    /// Sees to it that the gauges of buffers, which are published now and then, are newer than this
    /// call: half a head takes one buffer more and gives it back.
    #[track_caller]
    fn expect_current(&self, gateway: &Gateway) {
        let taken = Self { head_buffers: self.head_buffers + 1.0, ..*self };
        let mut last = *self;
        let mut half = None;
        let seen = wait(|| {
            last = Self::look(gateway);
            // It may have been cut by a short timeout before somebody looked.
            if last.connections_open == 0.0 {
                half = Some(gateway.client());
                half.as_mut()?.send("GET / HT");
            }
            (last.head_buffers == taken.head_buffers).then_some(())
        });
        assert!(seen.is_some(), "with one head more than {self:?}: {last:?}");
        drop(half);
        self.expect_settled(gateway);
    }

    fn look(gateway: &Gateway) -> Self {
        let metrics = gateway.metrics();
        let pooled = metrics.sum("ringgate_upstream_connections_idle", &[]);
        let buffers = |pool| metrics.sum("ringgate_buffers_in_use", &[pool]);
        let descriptors = u32::try_from(gateway.descriptors()).unwrap();
        Self {
            connections_open: metrics.sum("ringgate_connections_open", &[]),
            in_flight: metrics.sum("ringgate_upstream_requests_in_flight", &[]),
            parked: metrics.sum("ringgate_requests_parked", &[]),
            waiting: metrics.sum("ringgate_verifications_waiting", &[]),
            head_buffers: buffers("pool=\"head\"") - pooled,
            body_buffers: buffers("pool=\"body\""),
            descriptors: f64::from(descriptors) - pooled,
        }
    }
}
