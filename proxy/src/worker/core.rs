//! The state of one worker and its housekeeping: time, new snapshots, draining.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use slab::Slab;
use tokio::sync::Notify;

use super::access::Drafts;
use super::connection::ConnectionState;
use super::leash::Leashes;
use super::listener::{ListenerState, accept_loop};
use super::mailbox::{Command, Mailbox};
use super::offences::Offences;
use super::pacing::Pacing;
use super::parking::{Parking, Wait};
use super::request_id::RequestIds;
use super::rewriting::Rewrites;
use super::sources::Sources;
use super::tls_sessions::TlsSessions;
use super::{WorkerCounters, WorkerSpec};
use crate::auth::{TokenCache, UnixTime};
use crate::kernel::LoadSlot;
use crate::relay::{Pipes, Pools, Splicer, Ways};
use crate::snapshot::ids::ListenerId;
use crate::snapshot::peers::{Admission, BanList, source_of};
use crate::snapshot::{Listener, Snapshot};
use crate::telemetry::access_log::AccessLogWriter;
use crate::telemetry::counters::{CounterBlock, CounterId};
use crate::upstream::{Connecting, Upstreams};
use crate::uring::wheel::{TICK, Wheel};
use crate::uring::{self, BufferPool, Event, RecordPools};

/// Room beyond the largest request head: for the fields that the gateway adds to it.
const ADDED_FIELDS_ROOM: usize = 4 * 1024;

/// Buffers for bodies that keep coming, and how many of them a worker may use at once (64 MiB).
const BODY_BUFFER_BYTES: usize = 256 * 1024;
const BODY_BUFFERS_MAX: usize = 256;

/// Unused buffers that a pool keeps for later.
const HEAD_BUFFERS_KEPT: usize = 1024;
const BODY_BUFFERS_KEPT: usize = 32;

/// Ticks between two rounds of housekeeping: sweeping pools, flushing the access log.
const TICKS_PER_ROUND: u32 = 25;
/// Ticks between two reports of bad signatures: 100 ms.
const TICKS_PER_REPORT: u32 = 5;

/// What one snapshot is to this worker: the snapshot and the live state that belongs to it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) upstreams: Upstreams,
    pub(super) heads: Rc<BufferPool>,
    pub(super) rewrites: Rewrites,
    /// By listener.
    tls: Vec<Option<Arc<ServerConfig>>>,
}

impl Live {
    /// What the TLS sessions of a listener are made by, if it has any.
    pub(super) fn tls_config(&self, listener: ListenerId) -> Option<Arc<ServerConfig>> {
        self.tls.get(listener.index())?.clone()
    }

    /// Whether refusals of this listener say why in a field.
    pub(super) fn says_reasons(&self, listener: ListenerId) -> bool {
        self.snapshot.listeners[listener.index()].reason_header
    }
}

/// The state of one worker.
pub(super) struct Core {
    live: RefCell<Rc<Live>>,
    pub(super) wheel: Rc<Wheel>,
    pub(super) bodies: Rc<BufferPool>,
    pub(super) records: Rc<RecordPools>,
    pipes: Rc<Pipes>,
    splicer: Option<Splicer>,
    pub(super) tokens: RefCell<TokenCache>,
    pub(super) counters: Arc<CounterBlock>,
    pub(super) cells: WorkerCounters,
    pub(super) access_log: RefCell<Option<AccessLogWriter>>,
    pub(super) drafts: Drafts,
    pub(super) request_ids: RequestIds,
    connections: RefCell<Slab<Rc<ConnectionState>>>,
    /// How many of them each source has.
    pub(super) sources: Sources,
    /// Where steering reads how busy this worker is, if it does.
    load: RefCell<Option<LoadSlot>>,
    pub(super) parking: Parking,
    pub(super) pacing: Rc<Pacing>,
    /// As [`Self::pacing`], of TLS.
    pub(super) handshakes: Rc<Pacing>,
    tls_sessions: RefCell<TlsSessions>,
    pub(super) leashes: Leashes,
    offences: Offences,
    bans: RefCell<Arc<BanList>>,
    /// Connections over the limit that are being told so.
    pub(super) turning_away: Cell<usize>,
    /// Tells accept loops that pause to look again.
    pub(super) room: Notify,
    listeners: RefCell<Vec<Rc<ListenerState>>>,
    /// Accept loops that run.
    pub(super) accepting: Cell<usize>,
    draining: Cell<bool>,
    /// Tells the connections of tcp listeners that they are cut.
    pub(super) drain_over: Notify,
}

impl Core {
    /// The worker with its listeners accepting; runs inside the ring's runtime.
    pub(super) fn start(spec: WorkerSpec) -> Rc<Self> {
        let mut tls_sessions = TlsSessions::default();
        let live = Live {
            tls: tls_sessions.adopt(&spec.snapshot),
            upstreams: Upstreams::default().succeed(&spec.snapshot, &spec.counters),
            heads: head_pool(&spec.snapshot),
            rewrites: Rewrites::default(),
            snapshot: spec.snapshot,
        };
        let pacing = Pacing::new(Arc::clone(&spec.counters), spec.cells.pacing);
        let handshakes = Pacing::new(Arc::clone(&spec.counters), spec.cells.handshakes);
        let core = Rc::new(Self {
            tokens: RefCell::new(TokenCache::new(live.snapshot.limits.token_cache_entries)),
            live: RefCell::new(Rc::new(live)),
            wheel: Wheel::new(),
            bodies: BufferPool::bounded(BODY_BUFFER_BYTES, BODY_BUFFERS_KEPT, BODY_BUFFERS_MAX),
            records: RecordPools::new(),
            pipes: Pipes::new(),
            splicer: spec.splice.map(Splicer::new),
            counters: spec.counters,
            cells: spec.cells,
            drafts: Drafts::new(spec.access_log.is_some()),
            access_log: RefCell::new(spec.access_log),
            request_ids: RequestIds::new(),
            connections: RefCell::default(),
            sources: Sources::default(),
            load: RefCell::default(),
            parking: Parking::new(spec.ask_for_keys),
            pacing,
            handshakes,
            tls_sessions: RefCell::new(tls_sessions),
            leashes: Leashes::default(),
            offences: Offences::new(spec.report_offences),
            bans: RefCell::default(),
            turning_away: Cell::new(0),
            room: Notify::new(),
            listeners: RefCell::default(),
            accepting: Cell::new(0),
            draining: Cell::new(false),
            drain_over: Notify::new(),
        });
        let snapshot = Arc::clone(&core.live().snapshot);
        core.counters.set(core.cells.generation, snapshot.generation.0);
        core.listen(&snapshot, spec.listeners);
        core
    }

    /// Does what the mailbox says until a drain has ended.
    pub(super) async fn serve(self: Rc<Self>, mailbox: Mailbox) {
        tokio::task::spawn_local(Rc::clone(&self).keep_house());
        tokio::task::spawn_local(Rc::clone(&self.pacing).run());
        tokio::task::spawn_local(Rc::clone(&self.handshakes).run());
        let event = Event::new(mailbox.event);
        loop {
            while let Ok(command) = mailbox.queue.try_recv() {
                match command {
                    Command::Publish { snapshot, opened } => {
                        self.adopt(snapshot);
                        let snapshot = Arc::clone(&self.live().snapshot);
                        self.listen(&snapshot, opened);
                    }
                    Command::Ban(bans) => {
                        *self.bans.borrow_mut() = bans;
                        self.bar_connections();
                    }
                    Command::ShowLoad(slot) => self.show_load(slot),
                    Command::KeysChecked { provider, lookup } => {
                        self.parking.answer(&provider, lookup);
                    }
                    Command::Drain { within } => return self.drain(within).await,
                }
            }
            if let Err(error) = event.wait().await {
                tracing::error!(%error, "the worker cannot be reached any more and stops");
                return self.drain(Duration::ZERO).await;
            }
        }
    }

    /// What requests that begin now are judged by. A request keeps what it began with.
    pub(super) fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live.borrow())
    }

    /// Whether the worker finishes: connections close after the response in hand.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// How many connections there are.
    pub(super) fn connection_count(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Takes a connection on the list, until it is removed by the key.
    pub(super) fn add_connection(&self, connection: Rc<ConnectionState>) -> usize {
        let key = self.connections.borrow_mut().insert(connection);
        self.tell_load();
        key
    }

    /// Takes a connection off the list.
    pub(super) fn remove_connection(&self, key: usize) {
        self.connections.borrow_mut().remove(key);
        self.room.notify_waiters();
        self.tell_load();
    }

    /// The buffers that bodies travel in.
    pub(super) fn pools<'a>(&'a self, live: &'a Live) -> Pools<'a> {
        Pools { small: &live.heads, large: &self.bodies }
    }

    /// What moves the bytes of tunnels.
    pub(super) fn ways<'a>(&'a self, live: &'a Live) -> Ways<'a> {
        // Pipes move bytes between sockets of the kernel only.
        let pipes = (!cfg!(feature = "simulation")).then_some(&self.pipes);
        Ways { pools: self.pools(live), pipes, splicer: self.splicer.as_ref() }
    }

    /// Counts the end of a request's wait for a key.
    pub(super) fn count_parking(&self, live: &Live, wait: &Wait, missing: bool, answered: bool) {
        self.count(match (missing, answered) {
            (false, _) => self.cells.parkings_found,
            (true, true) => self.cells.parkings_missing,
            (true, false) => self.cells.parkings_timeout,
        });
        let providers = &live.snapshot.providers;
        let index = providers.iter().position(|provider| provider.name == wait.provider);
        // One that is missing still is counted with its refusal.
        if let Some(index) = index.filter(|_| !missing) {
            self.count(live.snapshot.provider_counters[index].unknown_kids);
        }
    }

    /// Whether a peer may connect, or stay, or a client be served.
    pub(super) fn admit(&self, live: &Live, address: IpAddr) -> Admission {
        live.snapshot.peers.admit(address, &self.bans.borrow(), Instant::now())
    }

    /// Takes note of a signature that no key has made.
    pub(super) fn note_offence(
        &self,
        live: &Live,
        client: IpAddr,
        listener: &Listener,
        route: &str,
    ) {
        if live.snapshot.peers.is_watched(client) {
            let noted = self.offences.note(source_of(client), &listener.name, route);
            let cells = &self.cells;
            self.count(if noted { cells.offences_noted } else { cells.offences_overflow });
        }
    }

    /// Lets open connections end whose peer may not connect any more.
    fn bar_connections(&self) {
        let live = self.live();
        for (_, connection) in self.connections.borrow().iter() {
            if self.admit(&live, connection.peer().ip()).is_refusal() {
                connection.bar();
            }
        }
    }

    /// Counts one.
    pub(super) fn count(&self, cell: CounterId) {
        self.counters.increment(cell);
    }

    fn show_load(&self, slot: LoadSlot) {
        *self.load.borrow_mut() = Some(slot);
        self.tell_load();
    }

    /// Lets steering see how many connections there are, and whether more are wanted.
    fn tell_load(&self) {
        if let Some(slot) = &*self.load.borrow() {
            slot.set_connections(u32::try_from(self.connection_count()).unwrap_or(u32::MAX));
            slot.set_draining(self.is_draining());
        }
    }

    /// How connections to endpoints are made, which get `preface` first.
    pub(super) fn connecting<'a>(
        &'a self,
        live: &Live,
        preface: Option<&'a [u8]>,
    ) -> Connecting<'a> {
        let limit = live.snapshot.timeouts.connect;
        Connecting { wheel: &self.wheel, records: &self.records, limit, preface }
    }

    fn adopt(&self, snapshot: Arc<Snapshot>) {
        let old = self.live();
        let same_heads = old.snapshot.head_bytes_max() == snapshot.head_bytes_max();
        let live = Live {
            tls: self.tls_sessions.borrow_mut().adopt(&snapshot),
            upstreams: old.upstreams.succeed(&snapshot, &self.counters),
            heads: if same_heads { Rc::clone(&old.heads) } else { head_pool(&snapshot) },
            rewrites: Rewrites::default(),
            snapshot,
        };
        self.counters.set(self.cells.generation, live.snapshot.generation.0);
        if old.snapshot.verdicts != live.snapshot.verdicts {
            self.parking.forget_missed();
        }
        let live = Rc::new(live);
        *self.live.borrow_mut() = Rc::clone(&live);
        self.leashes.look(&live.snapshot, unix_time(SystemTime::now()));
        if old.snapshot.peers != live.snapshot.peers {
            self.bar_connections();
        }
    }

    /// Makes the listeners those of `snapshot`: opens the new ones, closes those that are gone, and
    /// lets go of the idle connections of those that are gone or speak HTTP no more.
    fn listen(
        self: &Rc<Self>,
        snapshot: &Snapshot,
        opened: Vec<(std::net::SocketAddr, Arc<std::net::TcpListener>)>,
    ) {
        let mut listeners = self.listeners.borrow_mut();
        let mut any_ended = false;
        listeners.retain(|listener| {
            let was_tls = listener.is_tls();
            let served_http = listener.serves_http(was_tls);
            let stays = listener.adopt(snapshot);
            if !stays {
                listener.close();
            }
            any_ended |= served_http && !listener.serves_http(was_tls);
            stays
        });
        for (address, socket) in opened {
            let listener = ListenerState::new(address, socket);
            if listener.adopt(snapshot) {
                tokio::task::spawn_local(accept_loop(Rc::clone(self), Rc::clone(&listener)));
                listeners.push(listener);
            }
        }
        drop(listeners);
        self.room.notify_waiters();
        if any_ended {
            self.wake_idle_connections();
        }
    }

    /// Idle connections look whether they may stay.
    fn wake_idle_connections(&self) {
        for (_, connection) in self.connections.borrow().iter() {
            connection.wake_if_idle();
        }
    }

    /// Stops accepting, waits for the connections to finish and cuts them after `within`.
    async fn drain(&self, within: Duration) {
        self.draining.set(true);
        self.tell_load();
        for listener in self.listeners.borrow_mut().drain(..) {
            listener.close();
        }
        self.room.notify_waiters();
        self.wake_idle_connections();
        let deadline = Instant::now() + within;
        let is_busy = || self.accepting.get() > 0 || !self.connections.borrow().is_empty();
        while is_busy() && Instant::now() < deadline {
            uring::sleep(TICK).await;
        }
        let cut = self.connections.borrow().len();
        if cut > 0 {
            tracing::warn!(connections = cut, "cutting connections that did not finish in time");
            self.drain_over.notify_waiters();
            for (_, connection) in self.connections.borrow().iter() {
                connection.stream.shutdown();
            }
            self.wheel.expire_all();
            // One more turn for their tasks to end and close.
            uring::sleep(TICK * 2).await;
        }
        self.live().upstreams.retire();
        if let Some(log) = self.access_log.borrow_mut().as_mut() {
            log.flush();
        }
        // The closes above are operations of the ring: let them reach the kernel.
        uring::sleep(TICK).await;
    }

    /// Turns the wheel, and looks after what only needs it now and then.
    async fn keep_house(self: Rc<Self>) {
        let mut ticks = 0;
        let mut clock = Instant::now();
        loop {
            uring::sleep(TICK).await;
            // A turn that came late is made up for: deadlines are in wall-clock time.
            while clock + TICK <= Instant::now() {
                clock += TICK;
                self.wheel.advance();
            }
            if let Some(slot) = &*self.load.borrow() {
                slot.tell_alive();
            }
            if !self.leashes.is_empty() {
                self.leashes.tick(&self.live().snapshot, unix_time(SystemTime::now()));
            }
            ticks += 1;
            if ticks % TICKS_PER_REPORT == 0 {
                self.offences.tell();
                self.publish_gauges();
            }
            if ticks == TICKS_PER_ROUND {
                ticks = 0;
                self.live().upstreams.sweep(Instant::now());
                self.report();
            }
        }
    }

    /// Publishes what is held now.
    fn publish_gauges(&self) {
        self.counters.set(self.cells.head_buffers, self.live().heads.in_use() as u64);
        self.counters.set(self.cells.body_buffers, self.bodies.in_use() as u64);
        self.counters.set(self.cells.tls.record_buffers, self.records.in_use() as u64);
        self.counters.set(self.cells.parked, self.parking.parked() as u64);
    }

    /// Publishes what is only worth a look now and then.
    fn report(&self) {
        if let Some(log) = self.access_log.borrow_mut().as_mut() {
            log.flush();
        }
        self.counters.set(self.cells.parkings_full, self.parking.turned_away());
        let spliced = self.splicer.as_ref().map_or(0, Splicer::joined);
        self.counters.set(self.cells.spliced, spliced);
        self.cells.token_cache.publish(&self.counters, self.tokens.borrow().figures());
    }
}

/// Buffers for message heads: the largest that is accepted and what is added to it.
fn head_pool(snapshot: &Snapshot) -> Rc<BufferPool> {
    BufferPool::new(snapshot.head_bytes_max() + ADDED_FIELDS_ROOM, HEAD_BUFFERS_KEPT)
}

/// The clock for tokens, read once a request.
pub(super) fn unix_time(now: SystemTime) -> UnixTime {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    UnixTime(i64::try_from(seconds).unwrap_or(i64::MAX))
}
