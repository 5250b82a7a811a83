//! The gateway's one worker between a client and upstreams that are in memory: the whole way of a
//! request, a step at a time.
//!
//! Only in builds with the feature `simulation`, for tests and fuzzing. What runs is the worker that
//! serves in production; only the operations below it are others, and time passes where the test
//! says so. A run depends on nothing but what the test does.

use std::cell::RefCell;
use std::net::TcpListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::control::config;
use crate::control::publish::Publisher;
use crate::snapshot::Snapshot;
use crate::telemetry::counters::{CounterBlock, Registry};
use crate::uring::memory;
pub use crate::uring::memory::{Dialled, End, Wire};
use crate::uring::wheel::TICK;
use crate::worker::simulation::{Held, SimulatedWorker};
use crate::worker::{WorkerCounters, WorkerSpec};

/// More turns than this without a rest are a worker that runs in a circle.
const TURNS_MAX: usize = 1_000_000;

/// What every run of a configuration begins with.
#[derive(Clone)]
pub struct Blueprint {
    snapshot: Arc<Snapshot>,
    cells: WorkerCounters,
    socket: Arc<TcpListener>,
}

impl Blueprint {
    /// Compiles a configuration, whose listeners are opened by nobody.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let config = config::parse(json, Path::new("simulation.json"))
            .unwrap_or_else(|errors| panic!("{errors}"));
        let mut registry = Registry::default();
        let cells = WorkerCounters::register(&mut registry).expect("cells for a worker");
        let snapshot = Publisher::new(config, registry, 1)
            .next_snapshot()
            .expect("cells for all that is configured");
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port of this machine");
        Self { snapshot, cells, socket: Arc::new(socket) }
    }
}

/// A worker at the first moment of its life, and what happens to it.
pub struct Simulation {
    worker: SimulatedWorker,
    tasks: RefCell<LocalSet>,
    /// Its clock stands still but for [`Self::pass`].
    runtime: Runtime,
    woken: Arc<Woken>,
}

/// Whether a task has something to do.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Simulation {
    /// A fresh worker. One at a time on a thread.
    ///
    /// # Panics
    /// Where there can be no runtime.
    #[must_use]
    pub fn new(blueprint: &Blueprint) -> Self {
        memory::reset();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without a driver");
        let tasks = LocalSet::new();
        let spec = WorkerSpec {
            index: 0,
            cpu: None,
            snapshot: Arc::clone(&blueprint.snapshot),
            listeners: Vec::new(),
            counters: Arc::new(CounterBlock::new()),
            cells: blueprint.cells.clone(),
            access_log: None,
            splice: None,
            ask_for_keys: Box::new(|_, _| {}),
            report_offences: Box::new(|_| {}),
        };
        let worker = {
            let _inside = (runtime.enter(), tasks.enter());
            SimulatedWorker::start(spec, Arc::clone(&blueprint.socket))
        };
        Self { worker, tasks: RefCell::new(tasks), runtime, woken: Arc::default() }
    }

    /// A new client.
    #[must_use]
    pub fn connect(&self) -> Wire {
        let tasks = self.tasks.borrow();
        let _inside = (self.runtime.enter(), tasks.enter());
        self.worker.accept()
    }

    /// The next connection that the worker makes to an upstream, and waits for.
    #[must_use]
    pub fn dialled(&self) -> Option<Dialled> {
        memory::dialled()
    }

    /// Lets everything happen that does not wait for a peer or for time.
    ///
    /// # Panics
    /// Where that has no end.
    pub fn settle(&self) {
        let _inside = self.runtime.enter();
        let mut tasks = self.tasks.borrow_mut();
        let waker = Waker::from(Arc::clone(&self.woken));
        for _ in 0..TURNS_MAX {
            self.woken.0.store(false, Ordering::Relaxed);
            // Whether all tasks have ended is of no interest: another connection may come.
            let _ = Pin::new(&mut *tasks).poll(&mut Context::from_waker(&waker));
            if !self.woken.0.load(Ordering::Relaxed) && !memory::turn_over() {
                return;
            }
        }
        panic!("the worker does not come to rest");
    }

    /// Lets so many ticks of the worker's clock pass.
    pub fn pass(&self, ticks: u32) {
        for _ in 0..ticks {
            self.runtime.block_on(tokio::time::advance(TICK));
            self.worker.tick();
            self.settle();
        }
    }

    /// What the worker holds.
    #[must_use]
    pub fn held(&self) -> Held {
        self.worker.held()
    }
}
