//! A worker without a ring and without time: sockets in memory, and turns where a test wants them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::WorkerSpec;
use super::connection;
use super::core::Core;
use super::listener::ListenerState;
use crate::uring::Stream;
use crate::uring::memory::{self, Wire};

/// What a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Open connections of clients.
    pub connections: usize,
    /// Buffers for message heads and small bodies that are out of their pool.
    pub head_buffers: usize,
    /// Buffers for large bodies that are out of their pool.
    pub body_buffers: usize,
    /// Operations that have not completed.
    pub operations: usize,
}

/// A worker whose every turn is its owner's. Lives inside a tokio `LocalSet`.
pub struct SimulatedWorker {
    core: Rc<Core>,
    listener: Rc<ListenerState>,
}

impl SimulatedWorker {
    /// The worker of a snapshot with a listener, the first of which its connections come from.
    ///
    /// `socket` is what an open listener has; nothing is accepted from it.
    #[must_use]
    pub fn start(spec: WorkerSpec, socket: Arc<TcpListener>) -> Self {
        let snapshot = Arc::clone(&spec.snapshot);
        let listener = ListenerState::new(snapshot.listeners[0].address, socket);
        listener.adopt(&snapshot);
        let core = Core::start(spec);
        tokio::task::spawn_local(Rc::clone(&core.pacing).run());
        tokio::task::spawn_local(Rc::clone(&core.handshakes).run());
        Self { core, listener }
    }

    /// A client's connection, as the client has it.
    #[must_use]
    pub fn accept(&self) -> Wire {
        let (socket, wire) = memory::wire();
        let stream = Stream::new(socket, &self.core.wheel);
        let peer = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 1024));
        connection::start(&self.core, &self.listener, stream, peer);
        wire
    }

    /// Lets a [`TICK`](crate::uring::wheel::TICK) pass for all deadlines.
    pub fn tick(&self) {
        self.core.wheel.advance();
        self.core.live().upstreams.sweep(Instant::now());
    }

    /// What it holds.
    #[must_use]
    pub fn held(&self) -> Held {
        let live = self.core.live();
        Held {
            connections: self.core.connection_count(),
            head_buffers: live.heads.in_use(),
            body_buffers: self.core.bodies.in_use(),
            operations: memory::in_flight(),
        }
    }
}
