//! The publisher: compiles a snapshot from configuration, keys and addresses, and hands it to
//! every worker.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::certificates::TlsServices;
use super::compile::{Inputs, compile};
use super::config::Config;
use super::resolve::HostPort;
use crate::snapshot::Snapshot;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::ids::Generation;
use crate::snapshot::key_set::KeySet;
use crate::telemetry::counters::{Cell, OutOfCells, Registry};
use crate::worker::WorkerHandle;

/// New sockets of one worker, each with the address that the configuration gives. The worker owns
/// them, others have them for a call.
pub type Opened = Vec<(SocketAddr, Arc<TcpListener>)>;

/// The keys of each provider that has some.
pub type ProviderKeys = HashMap<Box<str>, Arc<KeySet>>;

/// The last good addresses of each name that has some.
pub type Addresses = HashMap<HostPort, Vec<SocketAddr>>;

/// Owns what a snapshot is made of, and the way to the workers.
pub struct Publisher {
    config: Config,
    registry: Registry,
    keys: ProviderKeys,
    addresses: Addresses,
    deny_list: Arc<DenyList>,
    tls: TlsServices,
    /// Of the last snapshot made.
    generation: Generation,
    /// Of the first with this configuration and these keys.
    verdicts: Generation,
    /// The last snapshot made.
    snapshot: Option<Arc<Snapshot>>,
    worker_count: usize,
    workers: Vec<WorkerHandle>,
}

impl Publisher {
    /// Without workers yet; nothing is published until there are some.
    #[must_use]
    pub fn new(config: Config, registry: Registry, worker_count: usize) -> Self {
        Self {
            config,
            registry,
            keys: HashMap::new(),
            addresses: HashMap::new(),
            deny_list: Arc::default(),
            tls: TlsServices::default(),
            generation: Generation::default(),
            verdicts: Generation::default(),
            snapshot: None,
            worker_count,
            workers: Vec::new(),
        }
    }

    /// What runs.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What workers count.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        self.registry.cells()
    }

    /// The last snapshot made.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The last snapshot made; none before the first.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The running workers.
    #[must_use]
    pub fn workers(&self) -> &[WorkerHandle] {
        &self.workers
    }

    /// From here on every snapshot goes to these.
    pub fn attach(&mut self, workers: Vec<WorkerHandle>) {
        self.workers = workers;
    }

    /// Lets go of the workers, to wait for their end.
    pub fn detach(&mut self) -> Vec<WorkerHandle> {
        std::mem::take(&mut self.workers)
    }

    /// Takes what the next snapshot is to be made of.
    pub fn set_inputs(&mut self, keys: ProviderKeys, addresses: Addresses) {
        self.keys = keys;
        self.addresses = addresses;
    }

    /// Takes which tokens the next snapshot is to refuse.
    pub fn set_deny_list(&mut self, deny_list: DenyList) {
        self.deny_list = Arc::new(deny_list);
    }

    /// Takes what the listeners of the next snapshot do that have TLS.
    pub fn set_tls(&mut self, tls: TlsServices) {
        self.tls = tls;
    }

    /// The next snapshot, numbered.
    ///
    /// # Errors
    /// When the configuration has more names than there are counters.
    pub fn next_snapshot(&mut self) -> Result<Arc<Snapshot>, OutOfCells> {
        let generation = self.generation.next();
        self.make(generation, generation)
    }

    fn make(
        &mut self,
        generation: Generation,
        verdicts: Generation,
    ) -> Result<Arc<Snapshot>, OutOfCells> {
        let inputs = Inputs {
            generation,
            verdicts,
            deny_list: &self.deny_list,
            keys: &self.keys,
            addresses: &self.addresses,
            tls: &self.tls,
            workers: self.worker_count,
        };
        let snapshot = Arc::new(compile(&self.config, &inputs, &mut self.registry)?);
        (self.generation, self.verdicts) = (generation, verdicts);
        self.snapshot = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Makes the next snapshot and hands it to every worker; returns its number.
    ///
    /// # Errors
    /// When the configuration has more names than there are counters; nothing is published then.
    pub fn republish(&mut self) -> Result<Generation, OutOfCells> {
        let none = self.workers.iter().map(|_| Opened::new()).collect();
        self.publish(none)
    }

    /// As [`Self::republish`] where nothing has changed that a verdict depends on, such as the deny
    /// list or certificates: verdicts that workers keep stay good.
    ///
    /// # Errors
    /// As there.
    pub fn republish_with_verdicts(&mut self) -> Result<Generation, OutOfCells> {
        let snapshot = self.make(self.generation.next(), self.verdicts)?;
        let none = self.workers.iter().map(|_| Opened::new()).collect();
        Ok(self.hand_out(&snapshot, none))
    }

    /// Whether a snapshot can be made of another configuration. Its counters are registered by
    /// this, so that making it later cannot fail.
    ///
    /// # Errors
    /// When it has more names than there are counters.
    pub fn try_out(&mut self, config: &Config, tls: &TlsServices) -> Result<(), OutOfCells> {
        let inputs = Inputs {
            generation: self.generation,
            verdicts: self.verdicts,
            deny_list: &self.deny_list,
            keys: &self.keys,
            addresses: &self.addresses,
            tls,
            workers: self.worker_count,
        };
        compile(config, &inputs, &mut self.registry).map(drop)
    }

    /// Replaces the configuration and publishes, with the sockets of the listeners that are new.
    ///
    /// # Errors
    /// Not after [`Self::try_out`] of the same configuration.
    pub fn replace(
        &mut self,
        config: Config,
        opened: Vec<Opened>,
    ) -> Result<Generation, OutOfCells> {
        self.config = config;
        self.publish(opened)
    }

    /// The oldest snapshot that a worker judges by.
    #[must_use]
    pub fn oldest_running(&self) -> Generation {
        self.workers.iter().map(WorkerHandle::generation).min().unwrap_or(self.generation)
    }

    fn publish(&mut self, opened: Vec<Opened>) -> Result<Generation, OutOfCells> {
        let snapshot = self.next_snapshot()?;
        Ok(self.hand_out(&snapshot, opened))
    }

    fn hand_out(&self, snapshot: &Arc<Snapshot>, opened: Vec<Opened>) -> Generation {
        assert_eq!(opened.len(), self.workers.len(), "sockets for each worker");
        for (worker, opened) in self.workers.iter().zip(opened) {
            worker.publish(Arc::clone(snapshot), opened);
        }
        self.generation
    }
}
