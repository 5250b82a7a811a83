//! Whether there is a place for one more connection, and the place itself.

use std::rc::Rc;

use super::ConnectionState;
use crate::snapshot::Listener;
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

/// A connection's place in the worker's list, in its listener's number and in its gauge; gone with
/// it, however it ends.
pub(super) struct Registered {
    core: Rc<Core>,
    listener: Rc<ListenerState>,
    key: usize,
    cell: CounterId,
}

impl Registered {
    pub(super) fn new(core: &Rc<Core>, state: &Rc<ConnectionState>, cell: CounterId) -> Self {
        core.count(cell);
        let key = core.add_connection(Rc::clone(state));
        let listener = Rc::clone(&state.listener);
        listener.open.set(listener.open.get() + 1);
        Self { core: Rc::clone(core), listener, key, cell }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.core.remove_connection(self.key);
        self.listener.open.set(self.listener.open.get() - 1);
        self.core.counters.decrement(self.cell);
    }
}
