//! Steering's maps: which listeners belong together, and how busy their workers are.

use core::mem::{offset_of, size_of};

/// Workers, and so listeners of one group, at most.
pub const WORKERS_MAX: u32 = 256;
/// Listening sockets of all groups together.
pub const SOCKETS_MAX: u32 = 16_384;
/// CPUs that can be told apart.
pub const CPUS_MAX: u32 = 1024;
/// The value of worker 0 in the map from CPUs to workers, in which 0 stands for none.
pub const FIRST_WORKER: u32 = 1;
/// A worker that has not said for so long that it works gets no new connection while another does.
/// Five of its ticks.
pub const STUCK_AFTER_NS: u64 = 100_000_000;

/// How a worker is chosen.
pub mod policy {
    /// By the kernel, as if the program were not there.
    pub const NONE: u32 = 0;
    /// The one on the core that took the handshake.
    pub const CPU: u32 = 1;
    /// The one with fewer connections of two taken at random.
    pub const LEAST_LOADED: u32 = 2;
    /// By the hash of addresses and ports.
    pub const HASH: u32 = 3;
}

/// The key of a worker's listener in a group.
#[must_use]
#[inline(always)]
pub const fn listener_key(group: u32, worker: u32) -> u64 {
    (group as u64) << 32 | worker as u64
}

/// One worker's state, written in place by the gateway: a cache line, which no other worker writes.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Live connections.
    pub connections: u32,
    /// [`OPEN`](Self::OPEN) or [`DRAINING`](Self::DRAINING).
    pub state: u32,
    /// When it last said that it works, on the kernel's coarse monotonic clock; 0: it has not yet.
    pub alive_ns: u64,
    /// Room to the end of the cache line.
    pub reserved: [u32; 12],
}

impl Load {
    /// Takes connections.
    pub const OPEN: u32 = 0;
    /// Gets no new connection while another worker is open.
    pub const DRAINING: u32 = 1;
}

const _: () = assert!(size_of::<Load>() == 64);
const _: () = assert!(offset_of!(Load, connections) == 0);
const _: () = assert!(offset_of!(Load, state) == 4);
const _: () = assert!(offset_of!(Load, alive_ns) == 8);
const _: () = assert!(offset_of!(Load, reserved) == 16);
