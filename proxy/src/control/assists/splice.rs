//! Splicing: one program a worker.

use super::{Impossible, Report, State};
use crate::control::config::Config;
use crate::kernel::{Assist, Probe, Splice};

/// Directions of tunnels that a worker splices at once at most; further tunnels are copied.
const FLOWS_PER_WORKER: usize = 2 * 4096;

/// What the workers splice with.
#[derive(Default)]
pub(super) struct Splicing {
    asked: bool,
    splices: Vec<Option<Splice>>,
}

impl Splicing {
    pub(super) fn start(config: &Config, workers: usize) -> Result<Self, Impossible> {
        let asked = config.kernel.splice;
        let splices = (0..workers).map(|_| asked.then(|| load(config, workers)).transpose());
        Ok(Self { asked, splices: splices.collect::<Result<_, _>>()? })
    }

    pub(super) fn take(&mut self) -> Vec<Option<Splice>> {
        std::mem::take(&mut self.splices)
    }

    pub(super) fn report(&self) -> Report {
        let state = if self.asked {
            State::On { how: "tunnels by sockmap".to_owned(), without: Vec::new() }
        } else {
            State::NotAsked("kernel.splice is off")
        };
        Report { assist: Assist::Splice, state }
    }
}

fn load(config: &Config, workers: usize) -> Result<Splice, Impossible> {
    let flows =
        (2 * config.limits.for_each_of(workers).connections_per_worker).min(FLOWS_PER_WORKER);
    let obstacle = Probe::of_this_process().obstacle(Assist::Splice);
    obstacle
        .map_or_else(|| Splice::load(u32::try_from(flows).unwrap_or(u32::MAX)), Err)
        .map_err(|why| Impossible { key: "kernel.splice", why })
}
