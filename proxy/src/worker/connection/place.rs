//! Whether there is a place for one more connection, and the place itself.

use std::net::IpAddr;
use std::rc::Rc;

use super::ConnectionState;
use crate::snapshot::peers::source_of;
use crate::snapshot::{Listener, ProxyProtocol};
use crate::telemetry::counters::CounterId;
use crate::worker::core::{Core, Live};
use crate::worker::listener::ListenerState;
use crate::worker::reason::Gate;

/// Which bound one more connection of a listener would break, if any.
pub(in crate::worker) fn is_full(
    core: &Core,
    live: &Live,
    listener: &ListenerState,
    of: &Listener,
) -> Option<Gate> {
    if core.connection_count() >= live.snapshot.limits.connections_per_worker {
        return Some(Gate::TooManyConnections);
    }
    let most = of.bounds.connections_per_worker?;
    (listener.open.get() >= most).then_some(Gate::TooManyOfListener)
}

/// Whether one more connection of this peer is more than its source may have. Those of trusted proxies,
/// and of whoever may send a header of the PROXY protocol, are other people's.
pub(in crate::worker) fn is_source_full(
    core: &Core,
    live: &Live,
    listener: &ListenerState,
    of: &Listener,
    peer: IpAddr,
) -> Option<Gate> {
    let bounds = [
        (&core.sources, live.snapshot.limits.connections_per_source),
        (&listener.sources, of.bounds.connections_per_source),
    ];
    if bounds.iter().all(|(_, most)| most.is_none()) {
        return None;
    }
    let sends_header = |rule: &ProxyProtocol| rule.from.contains(peer.to_canonical());
    if live.snapshot.peers.is_trusted_proxy(peer)
        || of.proxy_protocol.as_ref().is_some_and(sends_header)
    {
        return None;
    }
    let source = source_of(peer);
    let is_over =
        bounds.iter().any(|(sources, most)| most.is_some_and(|most| sources.count(source) >= most));
    is_over.then_some(Gate::TooManyOfSource)
}

/// A connection's place in the worker's list, in its listener's number, in its source's and in its
/// gauge; gone with it, however it ends.
pub(super) struct Registered {
    core: Rc<Core>,
    state: Rc<ConnectionState>,
    key: usize,
    cell: CounterId,
}

impl Registered {
    pub(super) fn new(core: &Rc<Core>, state: &Rc<ConnectionState>, cell: CounterId) -> Self {
        core.count(cell);
        let key = core.add_connection(Rc::clone(state));
        let (listener, source) = (&state.listener, source_of(state.peer().ip()));
        listener.open.set(listener.open.get() + 1);
        listener.sources.enter(source);
        core.sources.enter(source);
        Self { core: Rc::clone(core), state: Rc::clone(state), key, cell }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let (listener, source) = (&self.state.listener, source_of(self.state.peer().ip()));
        listener.open.set(listener.open.get() - 1);
        listener.sources.leave(source);
        self.core.sources.leave(source);
        // Last: it tells accept loops that wait to look again.
        self.core.remove_connection(self.key);
        self.core.counters.decrement(self.cell);
    }
}
