//! Accept loops: connections from this worker's listening sockets, bounded in number.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connection;
use super::core::Core;
use crate::snapshot::Snapshot;
use crate::snapshot::ids::ListenerId;
use crate::uring::{Listener, Stream};

/// How long to wait when the process is out of descriptors: accepting again at once would spin.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(50);

/// One listener of this worker: what its connections refer to. The socket itself belongs to the
/// accept loop, so that it closes while connections are still being served.
#[derive(Debug)]
pub(super) struct ListenerState {
    /// As configured; what identifies it over reloads.
    address: SocketAddr,
    socket: RefCell<Option<Rc<Listener>>>,
    /// Its place in the current snapshot, or none once a reload has taken it out.
    id: Cell<Option<ListenerId>>,
}

impl ListenerState {
    pub(super) fn new(address: SocketAddr, socket: TcpListener) -> Rc<Self> {
        let socket = RefCell::new(Some(Rc::new(Listener::new(socket))));
        Rc::new(Self { address, socket, id: Cell::new(None) })
    }

    /// Its place in the snapshot that is current.
    pub(super) fn id(&self) -> Option<ListenerId> {
        self.id.get()
    }

    /// Whether it accepts no more: its connections finish what they have in hand and close.
    pub(super) fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// Finds its place in a new snapshot and says whether it has one.
    pub(super) fn adopt(&self, snapshot: &Snapshot) -> bool {
        let at = snapshot.listeners.iter().position(|one| one.address == self.address);
        self.id.set(at.and_then(ListenerId::new));
        self.id.get().is_some()
    }

    /// Accepts no more.
    pub(super) fn close(&self) {
        if let Some(socket) = self.socket.take() {
            socket.cancel();
        }
    }
}

/// Accepts until the listener is closed, and then what was waiting already: a client whose
/// connection the kernel has accepted is served.
pub(super) async fn accept_loop(core: Rc<Core>, listener: Rc<ListenerState>) {
    let Some(socket) = listener.socket.borrow().clone() else { return };
    while !listener.is_closed() {
        match socket.accept().await {
            Ok(accepted) => take(&core, &listener, accepted),
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE).await;
            }
            // Closed, or a connection that was gone before it was accepted.
            Err(_) => {}
        }
    }
    while let Ok(Some(accepted)) = socket.accept_waiting() {
        take(&core, &listener, accepted);
    }
}

fn take(core: &Rc<Core>, listener: &Rc<ListenerState>, (socket, peer): (OwnedFd, SocketAddr)) {
    connection::start(core, listener, Stream::new(socket, &core.wheel), peer);
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
