//! Accept loops: connections from this worker's listening sockets, bounded in number.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use super::connection;
use super::core::Core;
use crate::snapshot::Snapshot;
use crate::snapshot::ids::ListenerId;
use crate::uring::{Listener, Stream};

/// How long to wait when the process is out of descriptors: accepting again at once would spin.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket of this worker and what its connections refer to.
#[derive(Debug)]
pub(super) struct ListenerState {
    /// As configured; what identifies it over reloads.
    pub(super) address: SocketAddr,
    socket: Listener,
    /// Its place in the current snapshot, or none once it has been taken out.
    id: Cell<Option<ListenerId>>,
}

impl ListenerState {
    pub(super) fn new(address: SocketAddr, socket: TcpListener) -> Rc<Self> {
        Rc::new(Self { address, socket: Listener::new(socket), id: Cell::new(None) })
    }

    /// Its place in the snapshot that is current, or none: finish and close.
    pub(super) fn id(&self) -> Option<ListenerId> {
        self.id.get()
    }

    /// Finds its place in a new snapshot and says whether it has one.
    pub(super) fn adopt(&self, snapshot: &Snapshot) -> bool {
        let at = snapshot.listeners.iter().position(|one| one.address == self.address);
        self.id.set(at.and_then(ListenerId::new));
        self.id.get().is_some()
    }

    /// Accepts no more.
    pub(super) fn close(&self) {
        self.id.set(None);
        self.socket.cancel();
    }
}

/// Accepts until the listener is closed.
pub(super) async fn accept_loop(core: Rc<Core>, listener: Rc<ListenerState>) {
    while listener.id().is_some() {
        match listener.socket.accept().await {
            Ok((socket, peer)) => {
                let stream = Stream::new(socket, &core.wheel);
                connection::start(&core, &listener, stream, peer);
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE).await;
            }
            // Closed, or a connection that was gone before it was accepted.
            Err(_) => {}
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
