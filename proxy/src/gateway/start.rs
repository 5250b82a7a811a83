//! What a start does once: descriptors, access log, one worker a CPU.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::GatewayError;
use crate::control::config::{AccessLogTarget, Startup, Workers};
use crate::control::event::Event;
use crate::control::event_loop::{EventLoop, Waited};
use crate::control::publish::Opened;
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::{AccessLog, AccessLogWriter, Target};
use crate::telemetry::counters::CounterBlock;
use crate::worker::{self, AskForKeys, WorkerCounters, WorkerHandle, WorkerSpec};

/// Raises the soft limit on descriptors to the hard one.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, soft = limit.current, "cannot raise the limit on descriptors");
    }
}

/// The access log and one writer a worker, or nothing of both.
pub(super) fn access_log(
    target: &AccessLogTarget,
    workers: usize,
) -> Result<(Option<AccessLog>, Vec<Option<AccessLogWriter>>), GatewayError> {
    let (target, name) = match target {
        AccessLogTarget::Off => return Ok((None, (0..workers).map(|_| None).collect())),
        AccessLogTarget::Stdout => (Target::Stdout, "stdout".to_owned()),
        AccessLogTarget::File(path) => (Target::File(path.clone()), path.display().to_string()),
    };
    let (log, writers) = AccessLog::start(&target, workers)
        .map_err(|source| GatewayError::AccessLog { target: name, source })?;
    Ok((Some(log), writers.into_iter().map(Some).collect()))
}

/// Waits for keys as the configuration says. False where a signal to end came meanwhile.
pub(super) fn keys_are_there(
    control: &mut EventLoop,
    startup: Startup,
) -> Result<bool, GatewayError> {
    let (within, fails) = match startup {
        Startup::Serve => return Ok(true),
        Startup::Wait(within) => (within, false),
        Startup::Fail(within) => (within, true),
    };
    match control.wait_for_keys(within) {
        Waited::Stopped => return Ok(false),
        Waited::For(providers) if providers.is_empty() => {}
        Waited::For(providers) if fails => {
            return Err(GatewayError::KeysMissing { providers, within });
        }
        Waited::For(providers) => {
            tracing::warn!(?providers, ?within, "no keys in time; serving without");
        }
    }
    Ok(true)
}

/// How many workers, and the CPU of each.
pub(super) struct Crew {
    cpus: Vec<Option<usize>>,
}

impl Crew {
    /// One a CPU that the process may use, or as many as configured, in turn on those CPUs.
    pub(super) fn for_config(workers: Workers) -> Self {
        let usable = usable_cpus();
        let count = match workers {
            Workers::Auto => usable.len().max(1),
            Workers::Count(count) => count,
        };
        Self { cpus: in_turn(&usable, count) }
    }

    pub(super) fn len(&self) -> usize {
        self.cpus.len()
    }

    /// Starts every worker; the first that fails ends the start, and the process with it.
    pub(super) fn start(
        self,
        snapshot: &Arc<Snapshot>,
        sockets: Vec<Opened>,
        cells: &WorkerCounters,
        writers: Vec<Option<AccessLogWriter>>,
        events: &Sender<Event>,
    ) -> Result<(Vec<WorkerHandle>, Vec<Arc<CounterBlock>>), GatewayError> {
        let mut handles = Vec::with_capacity(self.len());
        let mut blocks = Vec::with_capacity(self.len());
        let each = self.cpus.into_iter().zip(sockets).zip(writers).enumerate();
        for (index, ((cpu, listeners), access_log)) in each {
            let counters = Arc::new(CounterBlock::new());
            blocks.push(Arc::clone(&counters));
            let spec = WorkerSpec {
                index,
                cpu,
                snapshot: Arc::clone(snapshot),
                listeners,
                counters,
                cells: cells.clone(),
                access_log,
                ask_for_keys: ask_for_keys(index, events.clone()),
                splice: None,
            };
            let handle =
                worker::spawn(spec).map_err(|source| GatewayError::Worker { index, source })?;
            handles.push(handle);
        }
        tracing::info!(workers = handles.len(), "workers started");
        Ok((handles, blocks))
    }
}

/// How a worker reaches the control thread. It asks once a provider until it is answered, so the
/// queue stays short.
fn ask_for_keys(worker: usize, events: Sender<Event>) -> AskForKeys {
    Box::new(move |provider, lacking| {
        // The control thread ends after its workers, or the process with it.
        let _ = events.send(Event::UnknownKey { provider: provider.into(), lacking, worker });
    })
}

/// The CPUs of this process's affinity mask, which a container or `taskset` may have narrowed.
fn usable_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        Err(error) => {
            tracing::warn!(%error, "the usable CPUs are unknown; workers are not pinned");
            Vec::new()
        }
    }
}

fn in_turn(usable: &[usize], count: usize) -> Vec<Option<usize>> {
    (0..count).map(|index| usable.get(index % usable.len().max(1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_cpus_in_turn() {
        assert_eq!(in_turn(&[2, 5], 3), [Some(2), Some(5), Some(2)]);
        assert_eq!(in_turn(&[], 2), [None, None]);
        assert_eq!(Crew::for_config(Workers::Count(3)).len(), 3);
        assert_eq!(Crew::for_config(Workers::Auto).len(), usable_cpus().len());
    }

    #[test]
    fn an_access_log_that_cannot_be_opened_is_named() {
        let target = AccessLogTarget::File("/dev/null/access.log".into());
        let error = access_log(&target, 1).err().map(|error| error.to_string());
        let expected = "access log /dev/null/access.log: Not a directory (os error 20)";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
