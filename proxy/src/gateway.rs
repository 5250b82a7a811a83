//! Start and end of the gateway, in order.
//!
//! ```text
//! read configuration -> logging -> descriptor limit -> access log -> keys at hand, names
//!   -> keys of remote sets, where the configuration says so -> first snapshot -> sockets -> workers -> admin -> ready -> control loop -> end
//! ```
//! What can fail fails before anything is served.

mod ready;
mod start;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::control::admin;
use crate::control::assists::{Assists, Impossible, Sockets};
use crate::control::certificates::{CertificateError, Certificates};
use crate::control::config::{self, Config, ConfigErrors, LogFormat};
use crate::control::descriptors;
use crate::control::event::Event;
use crate::control::event_loop::{
    Ended, EventLoop, Parts, Started, log_listening, log_warnings, notify_service_manager,
};
use crate::control::jwks::sources::Sources;
use crate::control::publish::Publisher;
use crate::control::reload::{BindError, open_listeners};
use crate::control::resolve::Resolver;
use crate::control::status::Status;
use crate::control::watch::Watcher;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::counters::{OutOfCells, Registry};
use crate::telemetry::logging::{self, Format, LogSetupError};
use crate::uring::StartError;
use crate::worker::WorkerCounters;
use start::{Crew, Equipment};

/// How long the access log's last lines may take at the end.
const ACCESS_LOG_PATIENCE: Duration = Duration::from_secs(2);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub file: PathBuf,
    /// Where to write the addresses listened on.
    pub ready_file: Option<PathBuf>,
    /// Instead of the configuration's level.
    pub log_filter: Option<String>,
}

/// Why the gateway does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The file is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// No log.
    #[error(transparent)]
    Logging(#[from] LogSetupError),
    /// No access log.
    #[error("access log {target}: {source}")]
    AccessLog {
        /// The file's path, or `stdout`.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// No signals.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    /// A certificate is no good any more.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Too many names.
    #[error(transparent)]
    Cells(#[from] OutOfCells),
    /// The configuration asks for them before all else.
    #[error("no keys within {within:?} for {}", providers.join(", "))]
    KeysMissing {
        /// Those without.
        providers: Vec<String>,
        /// How long it was waited.
        within: Duration,
    },
    /// A listener cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The kernel does not do what is asked of it by name.
    #[error(transparent)]
    Assist(#[from] Impossible),
    /// Admin cannot listen or not serve.
    #[error("admin: cannot listen on {address}: {source}")]
    Admin {
        /// As configured.
        address: SocketAddr,
        /// As the kernel has it.
        source: io::Error,
    },
    /// A worker has no ring.
    #[error("worker {index}: {source}")]
    Worker {
        /// Its number.
        index: usize,
        /// Why.
        source: StartError,
    },
    /// The ready file cannot be written.
    #[error("ready file {}: {source}", path.display())]
    ReadyFile {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A worker's thread ended by itself; the log says more.
    #[error("a worker has died")]
    WorkerDied,
}

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// When it cannot start, or a worker dies.
pub fn run(options: &Options) -> Result<(), GatewayError> {
    let mut config = config::load(&options.file)?;
    set_up_logging(&config, options.log_filter.as_deref())?;
    log_warnings(&config);
    start::raise_descriptor_limit();
    descriptors::fit(&mut config.limits, descriptors::available());

    let crew = Crew::for_config(config.workers);
    let mut registry = Registry::default();
    let cells = WorkerCounters::register(&mut registry)?;
    let (access_log, writers) = start::access_log(&config.access_log, crew.len())?;
    let drops = access_log.as_ref().map(AccessLog::drops);

    let (events, received) = channel();
    forward_signals(events.clone()).map_err(GatewayError::Signals)?;
    let status = Status::default();
    let admin = config.admin.clone();
    let listeners = config.listeners.clone();
    let startup = config.startup;
    let certificates = Certificates::load(&config, crew.len())?;
    let mut control = EventLoop::prepare(Parts {
        file: options.file.clone(),
        publisher: Publisher::new(config, registry, crew.len()),
        sources: Sources::new(events.clone()),
        resolver: Resolver::new(events.clone()),
        certificates,
        watcher: Watcher::start(events.clone()),
        status: status.clone(),
        access_log,
        events: received,
    });

    if !start::keys_are_there(&mut control, startup)? {
        return Ok(());
    }
    let (bound, sockets) = open_listeners(&listeners, &[], crew.len())?;
    let sockets_of = Sockets { bound: &bound, opened: &sockets, cpus: crew.cpus() };
    let mut assists = Assists::start(control.publisher().config(), sockets_of)?;
    let admin_listener = admin.as_ref().map(|admin| bind_admin(admin.address)).transpose()?;
    let snapshot = control.publisher().next_snapshot()?;
    let equipment = sockets.into_iter().zip(writers).zip(assists.take_splices());
    let equip = |((listeners, access_log), splice)| Equipment { listeners, access_log, splice };
    let cpus = crew.cpus().to_vec();
    let (workers, blocks) = crew.start(&snapshot, equipment.map(equip), &cells, &events)?;
    control.publisher().attach(workers);
    bound.iter().for_each(log_listening);
    control.started(Started { bound: bound.clone(), cpus, assists });

    let admin_bound = admin_listener.as_ref().map(|(_, address)| *address);
    if let Some((listener, address)) = admin_listener {
        let hosts = admin.map(|admin| admin.hosts).unwrap_or_default().into();
        admin::serve(listener, admin::Sources { status, blocks, drops, events, hosts })
            .map_err(|source| GatewayError::Admin { address, source })?;
        tracing::info!(%address, "administration");
    }
    if let Some(path) = &options.ready_file {
        ready::write(path, &bound, admin_bound)
            .map_err(|source| GatewayError::ReadyFile { path: path.clone(), source })?;
    }
    notify_service_manager(&[sd_notify::NotifyState::Ready]);

    let (ended, access_log) = control.run();
    if let Some(access_log) = access_log {
        access_log.finish(ACCESS_LOG_PATIENCE);
    }
    match ended {
        Ended::Drained | Ended::Stopped => Ok(()),
        Ended::WorkerDied => Err(GatewayError::WorkerDied),
    }
}

fn set_up_logging(config: &Config, filter: Option<&str>) -> Result<(), LogSetupError> {
    let format = match config.log.format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    };
    let level = config.log.level.as_str().to_ascii_lowercase();
    logging::set_up(format, filter.unwrap_or(&level))
}

/// Turns signals into events, on a thread of its own.
fn forward_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGHUP => Event::Reload,
                SIGTERM => Event::Terminate,
                _ => Event::Interrupt,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The socket and the address that it really has: port 0 is resolved.
fn bind_admin(address: SocketAddr) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let bind = || {
        let listener = admin::bind(address)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| GatewayError::Admin { address, source })
}
