//! What becomes of certificates while the gateway runs.

use std::time::{Duration, Instant};

use super::EventLoop;

impl EventLoop {
    /// Looks whether one has changed unnoticed, or a new ticket key is due.
    pub(super) fn look_at_certificates(&mut self, every: Duration, now: Instant) {
        let changed = self.certificates.look_every(every, now);
        let rotated = self.certificates.rotate(now);
        self.certificates.warn_of_expiry(now);
        if changed || rotated {
            self.publish_certificates();
        }
    }

    /// Lets the workers begin sessions by what there is now.
    pub(super) fn publish_certificates(&mut self) {
        self.publisher.set_tls(self.certificates.services().clone());
        match self.publisher.republish_with_verdicts() {
            Ok(generation) => tracing::debug!(generation = generation.0, "certificates published"),
            // The same configuration compiled before, so its cells are there.
            Err(error) => tracing::error!(%error, "certificates not published"),
        }
    }
}
