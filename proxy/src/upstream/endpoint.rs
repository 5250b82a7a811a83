//! One endpoint as one worker sees it: its idle connections, its requests in flight, its health.
//!
//! An idle connection has its next receive already in flight. It costs nothing extra (the next
//! response needs it anyway) and tells at once when the peer closes: the receive completes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::Health;
use super::lease::Connection;
use crate::snapshot::upstream_set::{Ejection, Endpoint, Upstream};
use crate::telemetry::counters::CounterBlock;
use crate::telemetry::labels::UpstreamCounters;

/// One endpoint as one worker sees it.
#[derive(Debug)]
pub struct EndpointState {
    endpoint: Endpoint,
    label: Box<str>,
    upstream: Box<str>,
    settings: Cell<Settings>,
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<usize>,
    health: Cell<Health>,
    retired: Cell<bool>,
    /// Why TLS failed last, without its figures, unless it has worked since.
    tls_failure: RefCell<Option<String>>,
    pub(super) cells: UpstreamCounters,
    pub(super) counters: Arc<CounterBlock>,
}

/// What a reload may change for an endpoint that stays.
#[derive(Debug, Clone, Copy)]
struct Settings {
    idle_max: usize,
    idle_timeout: Duration,
    ejection: Ejection,
}

impl From<&Upstream> for Settings {
    fn from(upstream: &Upstream) -> Self {
        Self {
            idle_max: upstream.idle_connections_max,
            idle_timeout: upstream.idle_timeout,
            ejection: upstream.ejection,
        }
    }
}

/// A connection waiting for its next request.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl EndpointState {
    pub(super) fn new(
        endpoint: &Endpoint,
        upstream: &Upstream,
        counters: &Arc<CounterBlock>,
    ) -> Self {
        Self {
            label: endpoint.address.to_string().into(),
            endpoint: endpoint.clone(),
            upstream: upstream.name.clone(),
            settings: Cell::new(Settings::from(upstream)),
            idle: RefCell::default(),
            in_flight: Cell::new(0),
            health: Cell::default(),
            retired: Cell::new(false),
            tls_failure: RefCell::default(),
            cells: upstream.counters,
            counters: Arc::clone(counters),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it is, as text for a log line.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Requests that hold a lease on it.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub(super) fn reconfigure(&self, upstream: &Upstream) {
        self.settings.set(Settings::from(upstream));
    }

    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.health.get().is_resting(now)
    }

    /// Notes that it answered as it should.
    pub fn succeeded(&self) {
        let mut health = self.health.get();
        if health.succeeded() {
            tracing::info!(upstream = %self.upstream, endpoint = %self.label, "ejected endpoint is back");
        }
        self.health.set(health);
    }

    /// Notes that it refused, timed out or answered garbage.
    pub fn failed(&self, reason: &str, now: Instant) {
        self.counters.increment(self.cells.failures);
        let mut health = self.health.get();
        if let Some(rest) = health.failed(self.settings.get().ejection, now) {
            self.counters.increment(self.cells.ejections);
            tracing::warn!(
                upstream = %self.upstream, endpoint = %self.label, reason, rest_s = rest.as_secs(),
                "endpoint ejected after failures in a row"
            );
        }
        self.health.set(health);
    }

    /// Counts a TLS handshake that is over.
    pub(super) fn secured(&self, is_resumed: bool) {
        let cells = self.cells.tls;
        self.counters.increment(if is_resumed { cells.resumed } else { cells.full });
        if self.tls_failure.take().is_some() {
            tracing::info!(upstream = %self.upstream, endpoint = %self.label, "TLS works again");
        }
    }

    /// Counts a TLS handshake that has failed, or whose failure has come to light with the first
    /// response. Why is said when it is not what was said last.
    pub fn insecure(&self, why: &dyn std::error::Error) {
        self.counters.increment(self.cells.tls.failed);
        let why = why.to_string();
        // Of an expired certificate the library says at what time it has looked: that is no news.
        let kind = why.replace(|c: char| c.is_ascii_digit(), "");
        let mut told = self.tls_failure.borrow_mut();
        if told.as_ref() != Some(&kind) {
            tracing::warn!(upstream = %self.upstream, endpoint = %self.label, "TLS failed: {why}");
            *told = Some(kind);
        }
    }

    /// A connection that is still silent and open, the most recently used first.
    pub(super) fn take_idle(&self) -> Option<Connection> {
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            self.counters.decrement(self.cells.idle);
            if idle.connection.is_silent() {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection whose next receive is in flight, or closes it.
    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || idle.len() >= self.settings.get().idle_max {
            return;
        }
        self.counters.increment(self.cells.idle);
        idle.push(Idle { connection, since: Instant::now() });
    }

    pub(super) fn sweep(&self, now: Instant) {
        let timeout = self.settings.get().idle_timeout;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|idle| {
            now.duration_since(idle.since) < timeout && idle.connection.is_silent()
        });
        self.counters.add(self.cells.idle, ((before - idle.len()) as u64).wrapping_neg());
    }

    pub(super) fn retire(&self) {
        self.retired.set(true);
        let closed = self.idle.take().len() as u64;
        self.counters.add(self.cells.idle, closed.wrapping_neg());
    }

    pub(super) fn hold(self: &Rc<Self>) -> Hold {
        self.in_flight.set(self.in_flight.get() + 1);
        self.counters.increment(self.cells.in_flight);
        Hold(Rc::clone(self))
    }
}

/// One request in flight on an endpoint, counted while it lives.
#[derive(Debug)]
pub(super) struct Hold(pub(super) Rc<EndpointState>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        self.0.counters.decrement(self.0.cells.in_flight);
    }
}
