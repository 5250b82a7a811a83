//! What the kernel does for this gateway: loaded as the configuration says, and told as it is.
//!
//! A module an assist. What was asked for by name and cannot be had is an error, before anything has
//! changed; what was left to the gateway is reported as off, with the reason.

mod lookup;
mod report;
mod shield;
mod splice;
mod steering;

pub use report::{Report, State};

use super::config::Config;
use super::publish::Opened;
use super::reload::Bound;
use crate::kernel::{Off, Splice};
use lookup::Lookups;
use shield::Shielding;
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
    steering: Steerings,
    lookup: Lookups,
    shield: Shielding,
    splice: Splicing,
}

impl Assists {
    /// Loads what the configuration asks for.
    ///
    /// # Errors
    /// What is asked for by name cannot be had.
    pub fn start(config: &Config, sockets: Sockets<'_>) -> Result<Self, Impossible> {
        Ok(Self {
            steering: Steerings::start(config, sockets)?,
            lookup: Lookups::start(config, sockets)?,
            shield: Shielding::start(config, sockets)?,
            splice: Splicing::start(config, sockets.cpus.len())?,
        })
    }

    /// What each worker splices with; once.
    pub fn take_splices(&mut self) -> Vec<Option<Splice>> {
        self.splice.take()
    }

    /// Follows a reload.
    ///
    /// # Errors
    /// What is asked for by name cannot be had; everything is as before then.
    pub fn follow(&mut self, config: &Config, sockets: Sockets<'_>) -> Result<(), Impossible> {
        self.steering.follow(config, sockets)?;
        self.lookup.follow(config, sockets)?;
        self.shield.follow(config, sockets)
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
