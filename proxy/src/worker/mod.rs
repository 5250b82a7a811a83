//! One worker a core: a pinned thread with its own ring, listeners, buffers, upstream connections,
//! token cache and snapshot pointer. Nothing on the path of a request is shared with another.
//!
//! ```text
//! listener -> connection -> exchange ---------------------------------> reply
//!                              |  judge: parse, route, authorize, encode  ^
//!                              |  forward: lease, send head, relay bodies |
//!                              +-- fault ---------------------------------+
//! listener -> connection -> tcp                 (listeners that do not speak HTTP)
//! ```
//!
//! The control thread reaches a worker by its `mailbox` alone, and reads its counters.

mod access;
mod bind;
mod bounds;
mod carried;
mod client;
mod conditions;
mod connection;
mod core;
mod exchange;
mod facts;
mod forward;
mod grpc;
mod handshake;
mod judge;
mod leash;
mod listener;
mod mailbox;
mod offences;
mod pacing;
mod parking;
mod proxied;
mod reason;
mod receive;
mod redirecting;
mod reply;
mod request_id;
mod respond;
mod rewriting;
mod routing;
#[cfg(feature = "simulation")]
pub mod simulation;
mod sources;
mod switched;
mod tcp;
mod tls_counters;
mod tls_sessions;
mod token_cache_counters;
mod transfer;

pub use bind::bind;
pub use bounds::request_limits;
pub use judge::spare_preflight;
pub use offences::{Offence, ReportOffences};
pub use parking::{AskForKeys, KeyLookup};
pub use reason::{Gate, Reason, WorkerCounters};
pub use redirecting::location;
pub use reply::{Outline, outline};
pub use rewriting::upstream_path;
pub use routing::{
    check_certificate, check_head, check_request, explain_no_route, find_route, no_route, preflight,
};

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kernel::{LoadSlot, Splice};
use crate::snapshot::Snapshot;
use crate::snapshot::ids::Generation;
use crate::snapshot::peers::BanList;
use crate::telemetry::access_log::AccessLogWriter;
use crate::telemetry::counters::CounterBlock;
use crate::uring::{StartError, block_on};
use mailbox::{Command, Mailbox, Sender};

/// What a worker is made of.
pub struct WorkerSpec {
    /// Its number, for its name and log lines.
    pub index: usize,
    /// The CPU it is pinned to, if any.
    pub cpu: Option<usize>,
    /// What it starts with.
    pub snapshot: Arc<Snapshot>,
    /// Its listening sockets, each with the address that the configuration gives.
    pub listeners: Vec<(SocketAddr, Arc<TcpListener>)>,
    /// Its cells; it is their one writer.
    pub counters: Arc<CounterBlock>,
    /// Which cells count what no listener, route or upstream owns.
    pub cells: WorkerCounters,
    /// Where its access log lines go, if anywhere.
    pub access_log: Option<AccessLogWriter>,
    /// What it splices tunnels with, if it does.
    pub splice: Option<Splice>,
    /// How it asks for a key that a token names and nobody has.
    pub ask_for_keys: AskForKeys,
    /// How it tells of bad signatures.
    pub report_offences: ReportOffences,
}

/// The control side of a running worker.
#[derive(Debug)]
pub struct WorkerHandle {
    sender: Sender,
    thread: JoinHandle<()>,
    counters: Arc<CounterBlock>,
    cells: WorkerCounters,
}

/// Starts a worker and returns once its ring is up and its listeners accept.
///
/// # Errors
/// When the kernel gives no ring, no descriptor or no thread.
pub fn spawn(spec: WorkerSpec) -> Result<WorkerHandle, StartError> {
    let (sender, mailbox) = mailbox::mailbox()?;
    let (report, started) = mpsc::sync_channel(1);
    let counters = Arc::clone(&spec.counters);
    let cells = spec.cells.clone();
    let thread = std::thread::Builder::new()
        .name(format!("worker-{}", spec.index))
        .spawn(move || run(spec, mailbox, &report))?;
    match started.recv() {
        Ok(Ok(())) => Ok(WorkerHandle { sender, thread, counters, cells }),
        Ok(Err(error)) => Err(error),
        // The thread ended without a word: it panicked.
        Err(mpsc::RecvError) => Err(StartError::Other(std::io::Error::other("the worker died"))),
    }
}

/// The worker's thread.
fn run(spec: WorkerSpec, mailbox: Mailbox, report: &mpsc::SyncSender<Result<(), StartError>>) {
    if let Some(cpu) = spec.cpu {
        pin(cpu);
    }
    let outcome = block_on(async {
        let core = core::Core::start(spec);
        // The receiver waits for this one message; it cannot be gone.
        let _ = report.send(Ok(()));
        core.serve(mailbox).await;
    });
    if let Err(error) = outcome {
        let _ = report.send(Err(error));
    }
}

/// Pins this thread. A CPU that may not be used leaves it unpinned: slower, not wrong.
fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(cpu, %error, "cannot pin the worker to its CPU");
    }
}

impl WorkerHandle {
    /// Hands over a new snapshot and the sockets of listeners that are new in it. Listeners that
    /// are gone from it stop accepting; no connection is dropped.
    pub fn publish(&self, snapshot: Arc<Snapshot>, opened: Vec<(SocketAddr, Arc<TcpListener>)>) {
        self.sender.send(Command::Publish { snapshot, opened });
    }

    /// Hands over which sources are banned. Open connections of those that are refused finish what
    /// they have in hand and close.
    pub fn ban(&self, bans: Arc<BanList>) {
        self.sender.send(Command::Ban(bans));
    }

    /// Has the worker say here from now on how busy it is.
    pub fn show_load(&self, slot: LoadSlot) {
        self.sender.send(Command::ShowLoad(slot));
    }

    /// Answers the worker's question after the keys of a provider. What came of it has been
    /// published before.
    pub fn keys_checked(&self, provider: &str, lookup: KeyLookup) {
        self.sender.send(Command::KeysChecked { provider: provider.into(), lookup });
    }

    /// Stops accepting, lets what is in flight finish, and cuts what is left after `within`.
    pub fn drain(&self, within: Duration) {
        self.sender.send(Command::Drain { within });
    }

    /// The generation of the snapshot that the worker judges by now.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation(self.counters.get(self.cells.generation))
    }

    /// Whether the worker's thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread to end.
    ///
    /// # Errors
    /// When it panicked.
    pub fn join(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}
