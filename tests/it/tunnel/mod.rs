//! Tunnels in each of the ways that move their bytes: the same tests for all of them.
//!
//! They run in this process, on a ring of their own, between sockets of the test. Without the rights
//! to load eBPF programs the kernel's way says `SKIPPED`.

mod ends;
mod loads;
mod noise;
mod random;
mod rig;

pub(crate) use noise::Noise;
pub(crate) use rig::{Limits, Outcome, Pair, Rig, Way};
