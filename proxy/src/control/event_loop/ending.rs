//! How the gateway ends: draining, and workers that have ended.

use std::time::{Duration, Instant};

use super::{Ended, EventLoop, notify_service_manager};

/// What workers get beyond the drain time to cut and close what is left.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

impl EventLoop {
    /// Lets the workers finish what they have in hand.
    pub(super) fn drain(&mut self) {
        let within = self.publisher.config().timeouts.drain;
        tracing::info!(?within, "draining");
        notify_service_manager(&[sd_notify::NotifyState::Stopping]);
        self.drain_deadline = Some(Instant::now() + within + DRAIN_GRACE);
        self.status.lock().draining = true;
        for worker in self.publisher.workers() {
            worker.drain(within);
        }
    }

    /// Whether the gateway has ended, by the workers' doing or by the time they had.
    pub(super) fn look_at_workers(&mut self, now: Instant) -> Option<Ended> {
        let ended = self.publisher.workers().iter().filter(|worker| worker.is_finished()).count();
        let Some(deadline) = self.drain_deadline else {
            if ended > 0 {
                tracing::error!(ended, "a worker's thread has ended; the process ends with it");
                return Some(Ended::WorkerDied);
            }
            return None;
        };
        if ended == self.publisher.workers().len() {
            let panicked = self.publisher.detach().into_iter().any(|worker| worker.join().is_err());
            if panicked {
                tracing::error!("a worker's thread ended badly while draining");
                return Some(Ended::WorkerDied);
            }
            tracing::info!("drained");
            return Some(Ended::Drained);
        }
        if now >= deadline {
            tracing::warn!("the time to drain is over; what is left is cut");
            return Some(Ended::Drained);
        }
        None
    }
}
