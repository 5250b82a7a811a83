//! The kernel's assists, as root and in network namespaces of their own: each program does what it
//! says, and leaves nothing behind.
//!
//! Without the rights each test says `SKIPPED` and does nothing.

mod bans;
mod denied;
mod flood;
mod frames;
mod guarded;
mod had;
mod led;
mod lines;
mod lookup;
pub mod namespace;
mod rights;
mod shield;
mod splice;
mod steered;
mod steering;
mod stopped;
mod verdicts;
mod wire;
mod workers;

use ringgate::kernel::{Assist, Off, Probe};

use crate::harness::tool;

/// Whether this process may load the programs. What else is in the way is a failure.
pub fn possible(test: &str, assist: Assist) -> bool {
    match Probe::of_this_process().obstacle(assist) {
        None => true,
        Some(Off::Capability(missing)) => {
            tool::skipped(test, &format!("needs {missing}"));
            false
        }
        Some(off) => panic!("{}: {off}", assist.name()),
    }
}
