//! Steering's maps: the listeners of one group, and how busy their workers are.

use core::mem::{offset_of, size_of};

/// Workers, and so listeners, of one group at most.
pub const WORKERS_MAX: u32 = 256;
/// CPUs that can be told apart.
pub const CPUS_MAX: u32 = 1024;
/// The value of worker 0 in the map from CPUs to workers, in which 0 stands for none.
pub const FIRST_WORKER: u32 = 1;

/// How a worker is chosen.
pub mod policy {
    /// The one on the core that took the handshake.
    pub const CPU: u32 = 0;
    /// The one with fewer connections of two taken at random.
    pub const LEAST_LOADED: u32 = 1;
    /// By the hash of addresses and ports.
    pub const HASH: u32 = 2;
}

/// One worker's state, written in place by the gateway: a cache line, which no other worker writes.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Live connections.
    pub connections: u32,
    /// [`OPEN`](Self::OPEN) or [`DRAINING`](Self::DRAINING).
    pub state: u32,
    /// Room to the end of the cache line.
    pub reserved: [u32; 14],
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
const _: () = assert!(offset_of!(Load, reserved) == 8);
