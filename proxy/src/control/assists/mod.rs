//! What the kernel does for this gateway: loaded as the configuration says, and told as it is.
//!
//! A module an assist. What was asked for by name and cannot be had is an error, before anything has
//! changed; what was left to the gateway is reported as off, with the reason.

mod listening;
mod lookup;
mod report;
mod shield;
mod splice;
mod steering;

pub use report::{Report, State};
pub use shield::Shielding;

use super::config::Config;
use super::publish::Opened;
use super::reload::Bound;
use crate::kernel::{FrameCounters, LoadSlot, Off, Splice};
use listening::Listening;
use lookup::Lookups;
use splice::Splicing;
use steering::Steerings;

/// An assist that the configuration asks for by name and that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Impossible {
    /// Where it is asked for.
    pub key: &'static str,
    /// Why not.
    pub why: Off,
}

/// The listeners as they are from now on, and the new sockets among them, by worker.
#[derive(Debug, Clone, Copy)]
pub struct Sockets<'a> {
    /// All listeners.
    pub bound: &'a [Bound],
    /// For each worker, its listeners that were opened just now.
    pub opened: &'a [Opened],
    /// The CPU of each worker, if it is pinned.
    pub cpus: &'a [Option<usize>],
}

/// All assists, at first none. Dropped, they leave the kernel.
#[derive(Default)]
pub struct Assists {
    listening: Vec<Listening>,
    steering: Steerings,
    lookup: Lookups,
    shield: Shielding,
    splice: Splicing,
    logged: Vec<Report>,
}

/// What a configuration makes of the listeners, once nothing can fail any more.
pub struct Prepared {
    listening: Vec<Listening>,
    steering: steering::Plan,
    lookup: lookup::Plan,
}

impl Assists {
    /// Loads what the configuration asks for.
    ///
    /// # Errors
    /// What is asked for by name cannot be had.
    pub fn start(config: &Config, sockets: Sockets<'_>) -> Result<Self, Impossible> {
        let mut this = Self {
            shield: Shielding::start(config, sockets)?,
            splice: Splicing::start(config, sockets.cpus.len())?,
            ..Self::default()
        };
        let prepared = this.prepare_listeners(config, sockets)?;
        this.apply(prepared);
        Ok(this)
    }

    /// What each worker splices with; once.
    pub fn take_splices(&mut self) -> Vec<Option<Splice>> {
        self.splice.take()
    }

    /// Where bans are put in force.
    pub fn shield(&mut self) -> &mut Shielding {
        &mut self.shield
    }

    /// Where the shield counts, if it is on.
    #[must_use]
    pub fn frame_counters(&self) -> Option<FrameCounters> {
        self.shield.counters()
    }

    /// Where each worker is to say how busy it is, if that has changed; once.
    pub fn take_load_slots(&mut self) -> Vec<LoadSlot> {
        self.steering.take_slots()
    }

    /// Has everything ready for a reload that can fail.
    ///
    /// # Errors
    /// What is asked for by name cannot be had; everything is as before then.
    pub fn prepare(
        &mut self,
        config: &Config,
        sockets: Sockets<'_>,
    ) -> Result<Prepared, Impossible> {
        let prepared = self.prepare_listeners(config, sockets)?;
        self.shield.follow(config, sockets)?;
        Ok(prepared)
    }

    fn prepare_listeners(
        &mut self,
        config: &Config,
        sockets: Sockets<'_>,
    ) -> Result<Prepared, Impossible> {
        let listening = Listening::after(sockets, &self.listening);
        Ok(Prepared {
            steering: self.steering.prepare(config.kernel.steering, &listening, sockets.cpus)?,
            lookup: self.lookup.prepare(&listening)?,
            listening,
        })
    }

    /// Does what was prepared.
    pub fn apply(&mut self, prepared: Prepared) {
        self.steering.apply(prepared.steering);
        self.lookup.apply(prepared.lookup);
        self.listening = prepared.listening;
    }

    /// Logs how each is that is other than it was logged before.
    pub fn log(&mut self) {
        let reports = self.reports();
        reports.iter().filter(|now| !self.logged.contains(now)).for_each(Report::log);
        self.logged = reports;
    }

    /// How each is.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        vec![
            self.shield.report(),
            self.steering.report(),
            self.lookup.report(),
            self.splice.report(),
        ]
    }
}
