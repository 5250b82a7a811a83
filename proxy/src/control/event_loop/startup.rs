//! The wait for keys before anything is served, where the configuration asks for one.

use std::time::{Duration, Instant};

use super::EventLoop;
use crate::control::demand;
use crate::control::event::Event;
use crate::control::status::ProviderStatus;

/// How the wait for keys ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// By itself; these providers have no keys.
    For(Vec<String>),
    /// By a signal.
    Stopped,
}

impl EventLoop {
    /// Takes what comes in until every provider that a route asks for has keys, or the time is over:
    /// returns those that have none then. A signal to end ends the wait as well.
    pub fn wait_for_keys(&mut self, within: Duration) -> Waited {
        let deadline = Instant::now() + within;
        loop {
            let now = Instant::now();
            let _ = self.sources.start_due(now);
            self.resolver.start_due(now);
            let config = self.publisher.config();
            let mut missing = demand::provider_statuses(config, &self.sources, now);
            missing.retain(ProviderStatus::is_missing);
            if missing.is_empty() || now >= deadline {
                self.take_inputs();
                return Waited::For(missing.into_iter().map(|one| one.name).collect());
            }
            let due = [self.sources.next_due(), self.resolver.next_due()];
            let next = due.into_iter().flatten().min().map_or(deadline, |due| due.min(deadline));
            match self.events.recv_timeout(next.saturating_duration_since(now)) {
                Ok(Event::Fetched { source, outcome }) => {
                    let _ = self.sources.fetched(source, outcome, Instant::now());
                }
                Ok(Event::Resolved { name, outcome }) => {
                    let _ = self.resolver.resolved(&name, outcome, Instant::now());
                }
                Ok(Event::Terminate | Event::Interrupt) => return Waited::Stopped,
                Ok(other) => self.deferred.push_back(other),
                Err(_) => {}
            }
        }
    }
}
