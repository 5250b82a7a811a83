//! The control thread: waits for one event or deadline at a time and acts on it.
//!
//! ```text
//!            SIGTERM                    every worker has ended, or the deadline and a grace
//! serving ------------> draining -----------------------------------------------> Drained
//!    |  \                  |
//!    |   \                 +--- SIGTERM, SIGINT ---> Stopped
//!    |    +--- SIGINT ------------------------------> Stopped
//!    +--- a worker's thread has ended --------------> WorkerDied
//! ```

mod bans;
mod certificates;
mod ending;
mod startup;

pub use startup::Waited;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::admin;
use super::assists::{Assists, Sockets};
use super::bans::Bans;
use super::certificates::Certificates;
use super::config::{self, Config};
use super::demand;
use super::deny::Denials;
use super::descriptors;
use super::event::Event;
use super::jwks::member::Previous;
use super::jwks::refetch::{Question, Refetches};
use super::jwks::refresh::Refreshes;
use super::jwks::sources::Sources;
use super::publish::Publisher;
use super::reload::{Bound, ReloadError, check_changeable, open_listeners};
use super::resolve::Resolver;
use super::status::Status;
use super::watch::Watcher;
use crate::snapshot::ids::Generation;
use crate::telemetry::access_log::AccessLog;

/// How often workers are looked at when nothing else happens.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// The same while a snapshot is on its way to them, or they are draining.
const SHORT_INTERVAL: Duration = Duration::from_millis(10);
/// How long a start or reload waits for names that were never looked up.
const NAMES_PATIENCE: Duration = Duration::from_secs(3);

/// How the gateway ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Asked to finish, and finished.
    Drained,
    /// Asked to stop at once.
    Stopped,
    /// A worker's thread ended by itself.
    WorkerDied,
}

/// The control thread's state.
pub struct EventLoop {
    file: PathBuf,
    publisher: Publisher,
    sources: Sources,
    refetches: Refetches,
    refreshes: Refreshes,
    resolver: Resolver,
    denials: Denials,
    certificates: Certificates,
    watcher: Watcher,
    status: Status,
    access_log: Option<AccessLog>,
    bound: Vec<Bound>,
    /// Of each worker, if it is pinned.
    cpus: Vec<Option<usize>>,
    assists: Assists,
    bans: Bans,
    events: Receiver<Event>,
    /// Events that came while a reload waited for names.
    deferred: VecDeque<Event>,
    /// When draining workers are given up on.
    drain_deadline: Option<Instant>,
    settled: Generation,
}

/// What the control thread is made of.
pub struct Parts {
    /// The configuration file, read again at each reload.
    pub file: PathBuf,
    /// With the configuration that was read at start.
    pub publisher: Publisher,
    /// Without sources yet.
    pub sources: Sources,
    /// Without names yet.
    pub resolver: Resolver,
    /// Of the configuration that was read at start.
    pub certificates: Certificates,
    /// Without files yet.
    pub watcher: Watcher,
    /// Where admin reads.
    pub status: Status,
    /// Reopened at each reload.
    pub access_log: Option<AccessLog>,
    /// What everything else sends to.
    pub events: Receiver<Event>,
}

/// What a start has made of the configuration.
pub struct Started {
    /// The listeners.
    pub bound: Vec<Bound>,
    /// The CPU of each worker, if it is pinned.
    pub cpus: Vec<Option<usize>>,
    /// What the kernel helps with.
    pub assists: Assists,
}

impl EventLoop {
    /// Loads the keys that are at hand, starts the fetches of the others, and waits a bounded
    /// time for the names of upstreams.
    #[must_use]
    pub fn prepare(parts: Parts) -> Self {
        let Parts { file, publisher, sources, resolver, certificates, .. } = parts;
        let Parts { watcher, status, access_log, events, .. } = parts;
        let mut this = Self {
            file,
            publisher,
            sources,
            refetches: Refetches::default(),
            refreshes: Refreshes::default(),
            resolver,
            denials: Denials::default(),
            certificates,
            watcher,
            status,
            access_log,
            bound: Vec::new(),
            cpus: Vec::new(),
            assists: Assists::default(),
            bans: Bans::default(),
            events,
            deferred: VecDeque::new(),
            drain_deadline: None,
            settled: Generation::default(),
        };
        this.load_inputs();
        this
    }

    /// The publisher, to start the workers with.
    pub fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Takes what was made at start and publishes the first status.
    pub fn started(&mut self, started: Started) {
        let Started { bound, cpus, assists } = started;
        (self.bound, self.cpus, self.assists) = (bound, cpus, assists);
        self.assists.log();
        self.show_loads();
        self.configure_bans();
        self.tell_config();
        self.tell();
    }

    /// Runs until the gateway ends; the access log is given back to be finished.
    pub fn run(mut self) -> (Ended, Option<AccessLog>) {
        let ended = loop {
            let now = Instant::now();
            let look_every = self.watcher.look_every();
            self.denials.look_every(look_every, now, &mut self.publisher);
            self.look_at_certificates(look_every, now);
            self.sources.look_at_files_every(look_every, now);
            let changed = self.sources.start_due(now);
            self.resolver.start_due(now);
            if changed {
                self.republish();
            }
            self.end_bans();
            self.assists.shield().log_drops();
            self.answer_refetches();
            if let Some(ended) = self.look_at_workers(now) {
                break ended;
            }
            self.tell();
            self.denials.answer(self.publisher.oldest_running());
            // Whoever asked may look at the status next.
            self.refreshes.answer(&self.sources);
            let event = match self.deferred.pop_front() {
                Some(event) => event,
                None => match self.events.recv_timeout(self.patience(Instant::now())) {
                    Ok(event) => event,
                    // The sources hold a sender: it is a timeout.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => continue,
                },
            };
            if let Some(ended) = self.take(event) {
                break ended;
            }
        };
        (ended, self.access_log)
    }

    /// How long until something is due.
    fn patience(&self, now: Instant) -> Duration {
        let unsettled = self.settled < self.publisher.generation();
        let interval = if unsettled || self.drain_deadline.is_some() {
            SHORT_INTERVAL
        } else {
            WATCH_INTERVAL
        };
        let due = [self.sources.next_due(), self.resolver.next_due(), self.bans.next_due()];
        let next = due.into_iter().flatten().min();
        next.map_or(interval, |at| at.saturating_duration_since(now).min(interval))
    }

    fn take(&mut self, event: Event) -> Option<Ended> {
        match event {
            Event::Reload => self.reload(),
            Event::Terminate if self.drain_deadline.is_some() => {
                tracing::info!("stopping at once: terminated a second time");
                return Some(Ended::Stopped);
            }
            Event::Terminate => self.drain(),
            Event::Interrupt => {
                tracing::info!("stopping at once: interrupted");
                return Some(Ended::Stopped);
            }
            Event::UnknownKey { provider, lacking, worker } => {
                let question = Question { provider, lacking, worker };
                let published = self.publisher.generation();
                self.refetches.ask(question, published, &mut self.sources, Instant::now());
            }
            Event::AdminRefresh { provider, reply } => {
                self.refreshes.ask(&provider, reply, &mut self.sources, Instant::now());
            }
            Event::AdminDeny { change, reply } => {
                self.denials.change(change, reply, &mut self.publisher);
            }
            Event::Offences { offences } => self.take_offences(offences),
            Event::AdminBans { reply } => reply.send(self.bans.listing(Instant::now())),
            Event::AdminLift { which, reply } => self.lift_bans(which, reply),
            Event::AdminDenials { reply } => reply.send(self.denials.listing()),
            Event::FileChanged { path } => {
                self.sources.file_changed(&path, Instant::now());
                self.denials.file_changed(&path, &mut self.publisher);
                if self.certificates.file_changed(&path) {
                    self.publish_certificates();
                }
            }
            Event::Fetched { source, outcome } => {
                if self.sources.fetched(source, outcome, Instant::now()) {
                    self.republish();
                }
            }
            Event::Resolved { name, outcome } => {
                if self.resolver.resolved(&name, outcome, Instant::now()) {
                    self.republish();
                }
            }
        }
        None
    }

    /// Has the next snapshot made of what there is now.
    fn take_inputs(&mut self) {
        let keys = demand::keys(&self.sources, Instant::now());
        self.publisher.set_inputs(keys, self.resolver.addresses());
    }

    fn republish(&mut self) {
        self.take_inputs();
        match self.publisher.republish() {
            Ok(generation) => tracing::debug!(generation = generation.0, "snapshot published"),
            // The same configuration compiled before, so its cells are there.
            Err(error) => tracing::error!(%error, "snapshot not published"),
        }
    }

    /// Lets the requests go that waited for a fetch which has ended.
    fn answer_refetches(&mut self) {
        for (question, lookup) in self.refetches.answered(&self.sources) {
            if let Some(worker) = self.publisher.workers().get(question.worker) {
                worker.keys_checked(&question.provider, lookup);
            }
        }
    }

    /// Tells the workers where steering reads how busy they are.
    fn show_loads(&mut self) {
        let slots = self.assists.take_load_slots();
        for (worker, slot) in self.publisher.workers().iter().zip(slots) {
            worker.show_load(slot);
        }
    }

    fn reload(&mut self) {
        self.sources.hasten_files(Instant::now());
        if let Some(access_log) = &self.access_log {
            access_log.reopen();
        }
        let outcome = self.try_reload();
        let mut running = self.status.lock();
        match outcome {
            Ok(generation) => {
                running.reloads.applied += 1;
                running.reloads.last_error = None;
                running.config_generation += 1;
                drop(running);
                self.tell_config();
                tracing::info!(generation = generation.0, "configuration reloaded");
            }
            Err(error) => {
                running.reloads.refused += 1;
                running.reloads.last_error = Some(error.to_string());
                drop(running);
                for line in error.to_string().lines() {
                    tracing::error!("reload refused, nothing changed: {line}");
                }
            }
        }
    }

    /// All that can fail comes before the first change.
    fn try_reload(&mut self) -> Result<Generation, ReloadError> {
        if self.drain_deadline.is_some() {
            return Err(ReloadError::Draining);
        }
        let mut new = config::load_again(&self.file)?;
        check_changeable(self.publisher.config(), &new)?;
        let workers = self.publisher.workers().len();
        let (bound, opened) = open_listeners(&new.listeners, &self.bound, workers)?;
        let certificates = self.certificates.prepare(&new)?;
        self.publisher.try_out(&new, certificates.services())?;
        let sockets = Sockets { bound: &bound, opened: &opened, cpus: &self.cpus };
        let assists = self.assists.prepare(&new, sockets)?;
        log_warnings(&new);
        descriptors::fit(&mut new.limits, descriptors::available());
        for old in &self.bound {
            if !bound.iter().any(|kept| kept.address == old.address) {
                tracing::info!(listener = %old.listener.name, address = %old.address, "closing");
            }
        }
        for fresh in &bound {
            if !self.bound.iter().any(|old| old.address == fresh.address) {
                log_listening(fresh);
            }
        }
        self.bound = bound;
        self.certificates.take(certificates);
        let now = Instant::now();
        let previous = demand::previous(self.publisher.config(), &new, &self.sources, now);
        self.want(&new, previous);
        self.take_inputs();
        self.assists.apply(assists);
        self.assists.log();
        self.show_loads();
        let generation = self.publisher.replace(new, opened)?;
        self.configure_bans();
        Ok(generation)
    }

    /// Loads keys and names of the configuration that the publisher has.
    fn load_inputs(&mut self) {
        let config = self.publisher.config().clone();
        self.want(&config, HashMap::new());
        self.take_inputs();
    }

    /// Starts what a configuration needs from outside and waits a bounded time for names.
    fn want(&mut self, config: &Config, previous: HashMap<Box<str>, Previous>) {
        let now = Instant::now();
        self.sources.keep_in(config.cache_directory.clone());
        self.sources.want(&demand::sources(config), previous, now);
        self.denials.configure(config);
        self.publisher.set_deny_list(self.denials.list());
        self.publisher.set_tls(self.certificates.services().clone());
        let files = self.sources.files().chain(self.denials.file());
        let files = files.chain(self.certificates.files());
        self.watcher.watch(files.map(Path::to_owned).collect());
        self.resolver.want(demand::names(config), now);
        let _ = self.sources.start_due(now);
        let deadline = now + NAMES_PATIENCE;
        loop {
            self.resolver.start_due(Instant::now());
            if self.resolver.all_answered() {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Resolved { name, outcome }) => {
                    let _ = self.resolver.resolved(&name, outcome, Instant::now());
                }
                // A revocation does not wait for names.
                Ok(Event::AdminDeny { change, reply }) => {
                    self.denials.change(change, reply, &mut self.publisher);
                }
                Ok(Event::FileChanged { path }) => {
                    self.denials.file_changed(&path, &mut self.publisher);
                    self.deferred.push_back(Event::FileChanged { path });
                }
                Ok(other) => self.deferred.push_back(other),
                Err(_) => {
                    tracing::warn!("some upstream names have no answer yet; going on without");
                    return;
                }
            }
        }
    }

    /// Brings the status up to now.
    fn tell(&mut self) {
        let published = self.publisher.generation();
        let oldest = self.publisher.oldest_running();
        if oldest >= published && self.settled < published {
            self.settled = published;
            tracing::info!(generation = published.0, "every worker runs the snapshot");
        }
        let providers =
            demand::provider_statuses(self.publisher.config(), &self.sources, Instant::now());
        let mut running = self.status.lock();
        let was_missing = running.missing_providers().next().is_some();
        running.published = published;
        running.oldest_running = oldest;
        running.snapshot = self.publisher.snapshot().cloned();
        running.providers = providers;
        if was_missing && running.missing_providers().next().is_none() {
            running.complete_since = published;
        }
        running.unresolved = self.resolver.failures();
        running.deny_list = self.denials.status();
        running.assists = self.assists.reports();
        running.frames = self.assists.frame_counters();
        running.bans = self.bans.status();
        running.certificates = self.certificates.status();
        if running.cells.len() != self.publisher.cells().len() {
            running.cells = self.publisher.cells().to_vec();
        }
    }

    /// Brings the part of the status that only a reload changes up to now.
    fn tell_config(&self) {
        let described = admin::describe(self.publisher.config(), &self.bound);
        let mut running = self.status.lock();
        running.config = described;
        running.config_generation = running.config_generation.max(1);
    }
}

/// Warnings of a configuration that is taken.
pub fn log_warnings(config: &Config) {
    for line in config.warnings.to_string().lines() {
        tracing::warn!("{line}");
    }
    for provider in &config.providers {
        let ignored = provider.inline_keys().into_iter().flat_map(|(_, ignored)| ignored.iter());
        for key in ignored.filter(|key| key.reason.is_alarm()) {
            tracing::error!(provider = %provider.name, %key, "the key set has a secret");
        }
    }
}

/// The line that tells where a listener is.
pub fn log_listening(bound: &Bound) {
    tracing::info!(listener = %bound.listener.name, address = %bound.address, "listening");
}

/// Tells systemd, where it is there; it is not needed.
pub fn notify_service_manager(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not notified");
    }
}
