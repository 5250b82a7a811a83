//! Connections to upstream endpoints, of one worker: which endpoint, which connection, how healthy.
//!
//! Nothing here knows of HTTP. A [`Lease`] is one request's hold on one connection; giving it back
//! keeps the connection for the next request, dropping it closes the connection.

mod balance;
mod endpoint;
mod health;
mod lease;
mod secure;

pub use endpoint::EndpointState;
pub use lease::{ConnectError, Connecting, Lease};

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use secure::Secured;

use crate::snapshot::Snapshot;
use crate::snapshot::ids::UpstreamId;
use crate::snapshot::upstream_set::{Balance, Upstream};
use crate::telemetry::counters::CounterBlock;

/// The live side of a snapshot's upstreams.
#[derive(Debug, Default)]
pub struct Upstreams(Vec<UpstreamState>);

/// The live side of one upstream.
#[derive(Debug)]
pub struct UpstreamState {
    name: Box<str>,
    balance: Balance,
    endpoints: Vec<Rc<EndpointState>>,
    /// How TLS is spoken with them, if it is.
    tls: Option<Secured>,
    /// Whether a connection serves one request after the other.
    reuses: bool,
    /// Leases at once.
    leases_max: usize,
    /// Round robin's next, or the random state of power of two.
    cursor: Cell<u64>,
}

impl Upstreams {
    /// The live side for `snapshot`. Endpoints that `self` had under the same upstream name go on
    /// with their connections and their health, unless TLS is spoken by other rules now; the others
    /// are retired: their idle connections close now, their busy ones when they are given back.
    #[must_use]
    pub fn succeed(&self, snapshot: &Snapshot, counters: &Arc<CounterBlock>) -> Self {
        let states: Vec<UpstreamState> = snapshot
            .upstreams
            .iter()
            .map(|upstream| {
                let old = self.0.iter().find(|old| old.name == upstream.name);
                UpstreamState::succeed(old, upstream, counters)
            })
            .collect();
        let kept = |endpoint: &Rc<EndpointState>| {
            states.iter().any(|state| state.endpoints.iter().any(|new| Rc::ptr_eq(new, endpoint)))
        };
        for endpoint in self.0.iter().flat_map(|state| &state.endpoints) {
            if !kept(endpoint) {
                endpoint.retire();
            }
        }
        Self(states)
    }

    /// The live side of one upstream.
    #[must_use]
    pub fn get(&self, id: UpstreamId) -> &UpstreamState {
        &self.0[id.index()]
    }

    /// Closes idle connections that are over their time or no longer silent.
    pub fn sweep(&self, now: Instant) {
        for endpoint in self.0.iter().flat_map(|state| &state.endpoints) {
            endpoint.sweep(now);
        }
    }

    /// Closes every idle connection and keeps none from now on.
    pub fn retire(&self) {
        for endpoint in self.0.iter().flat_map(|state| &state.endpoints) {
            endpoint.retire();
        }
    }
}

impl UpstreamState {
    /// Lets one more request in, which takes its lease at once. Those on endpoints that a reload has
    /// taken out are not counted.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn admit(&self) -> Result<(), ConnectError> {
        let is_bounded = self.leases_max != usize::MAX;
        let leases = || self.endpoints.iter().map(|endpoint| endpoint.in_flight()).sum::<usize>();
        if is_bounded && leases() >= self.leases_max { Err(ConnectError::Full) } else { Ok(()) }
    }

    fn succeed(old: Option<&Self>, upstream: &Upstream, counters: &Arc<CounterBlock>) -> Self {
        let secured = |state: &Self| state.tls.as_ref().map(Secured::context);
        let tls = upstream.tls.as_ref();
        // Whom the old rules believed, the new ones may not.
        let alike = old.filter(|old| secured(old) == tls.map(|tls| tls.context));
        let endpoints = upstream
            .endpoints
            .iter()
            .map(|endpoint| {
                let known = alike.and_then(|old| {
                    old.endpoints.iter().find(|known| known.endpoint() == endpoint)
                });
                match known {
                    Some(known) => {
                        known.reconfigure(upstream);
                        Rc::clone(known)
                    }
                    None => Rc::new(EndpointState::new(endpoint, upstream, counters)),
                }
            })
            .collect();
        // Not 0, which the random state would never leave.
        let cursor = Cell::new(old.map_or_else(balance::seed, |old| old.cursor.get()) | 1);
        Self {
            name: upstream.name.clone(),
            balance: upstream.balance,
            endpoints,
            tls: tls.map(|tls| match alike.and_then(|old| old.tls.clone()) {
                Some(kept) => kept,
                None => Secured::new(tls),
            }),
            reuses: upstream.proxy_protocol.is_none(),
            leases_max: upstream.requests_per_worker.unwrap_or(usize::MAX),
            cursor,
        }
    }
}
