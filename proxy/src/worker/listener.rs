//! Accept loops: connections from this worker's listening sockets, bounded in number.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{self, place};
use super::core::Core;
use super::sources::Sources;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::{Service, Snapshot};
use crate::uring::{self, Listener, Stream};

/// How long to wait when accepting fails, as it does without descriptors: trying again at once
/// would spin.
const PAUSE: Duration = Duration::from_millis(50);

/// One listener of this worker: what its connections refer to. The socket itself belongs to the
/// accept loop, so that it closes while connections are still being served.
#[derive(Debug)]
pub(super) struct ListenerState {
    /// As configured; what identifies it over reloads.
    address: SocketAddr,
    socket: RefCell<Option<Rc<Listener>>>,
    /// Its place in the current snapshot, or none once a reload has taken it out.
    id: Cell<Option<ListenerId>>,
    /// Whether it speaks HTTP there.
    is_http: Cell<bool>,
    /// Whether it speaks TLS there.
    is_tls: Cell<bool>,
    /// Connections of it that are open.
    pub(super) open: Cell<usize>,
    /// How many of them each source has.
    pub(super) sources: Sources,
    /// TLS handshakes that go on.
    pub(super) handshakes: Cell<usize>,
}

impl ListenerState {
    pub(super) fn new(address: SocketAddr, socket: Arc<TcpListener>) -> Rc<Self> {
        let socket = RefCell::new(Some(Rc::new(Listener::new(socket))));
        let (id, is_http, is_tls, open, sources, handshakes) = Default::default();
        Rc::new(Self { address, socket, id, is_http, is_tls, open, sources, handshakes })
    }

    /// Its place in the snapshot that is current.
    pub(super) fn id(&self) -> Option<ListenerId> {
        self.id.get()
    }

    /// As [`Self::id`], where requests are judged: none once a reload has made it a tcp listener.
    pub(super) fn http_id(&self) -> Option<ListenerId> {
        self.id.get().filter(|_| self.is_http.get())
    }

    /// Whether HTTP connections have a future that are secure, or are not. Where not, they finish
    /// what they have in hand and close.
    pub(super) fn serves_http(&self, is_secure: bool) -> bool {
        self.is_http.get() && self.is_tls.get() == is_secure && !self.is_closed()
    }

    /// Whether it speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.is_tls.get()
    }

    /// Whether it accepts no more.
    fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// Finds its place in a new snapshot and says whether it has one.
    pub(super) fn adopt(&self, snapshot: &Snapshot) -> bool {
        let at = snapshot.listeners.iter().position(|one| one.address == self.address);
        let service = at.map(|at| snapshot.listeners[at].service);
        self.is_http.set(matches!(service, Some(Service::Http)));
        self.is_tls.set(at.is_some_and(|at| snapshot.listeners[at].tls.is_some()));
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
    core.accepting.set(core.accepting.get() + 1);
    while !listener.is_closed() {
        until_room(&core, &listener).await;
        if listener.is_closed() {
            break;
        }
        match socket.accept().await {
            Ok(accepted) => take(&core, &listener, accepted),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                uring::sleep(PAUSE).await;
            }
        }
    }
    loop {
        match socket.accept_waiting() {
            Ok(Some(accepted)) => take(&core, &listener, accepted),
            Err(error) if is_passing(&error) => {}
            Ok(None) | Err(_) => break,
        }
    }
    core.accepting.set(core.accepting.get() - 1);
}

/// Waits until one more connection may be accepted, where those over the number are not.
async fn until_room(core: &Core, listener: &ListenerState) {
    let mut is_counted = false;
    loop {
        let live = core.live();
        let Some(id) = listener.id() else { return };
        let of = &live.snapshot.listeners[id.index()];
        let waits = live.snapshot.limits.pause_when_full
            && !listener.is_closed()
            && place::is_full(core, &live, listener, of).is_some();
        if !waits {
            return;
        }
        if !is_counted {
            core.count(of.counters.accept_pauses);
            is_counted = true;
        }
        drop(live);
        core.room.notified().await;
    }
}

fn take(core: &Rc<Core>, listener: &Rc<ListenerState>, (socket, peer): (OwnedFd, SocketAddr)) {
    connection::start(core, listener, Stream::new(socket, &core.wheel), peer);
}

/// Whether the next accept may well succeed: this one was cancelled by closing the listener, or its
/// connection was gone before it was accepted.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::ENOTCONN)
    ) || error.kind() == io::ErrorKind::NotConnected
}
