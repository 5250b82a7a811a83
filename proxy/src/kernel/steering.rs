//! Steering: which worker of a group of listeners on one address gets a new connection.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::EbpfLoader;
use aya::maps::{Array, MapData, ReusePortSockArray};
use aya::programs::SkReuseport;
use ringgate_ebpf_abi::steer::{CPUS_MAX, FIRST_WORKER, Load, WORKERS_MAX, policy};

use super::load::Loaded;
use super::shared_array::SharedArray;
use super::{Assist, Off};

/// How a worker is chosen. A worker that drains gets nothing under any policy while another is
/// open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The worker on the core that took the handshake.
    Cpu,
    /// The one with fewer connections of two taken at random.
    LeastLoaded,
    /// By the hash of addresses and ports.
    Hash,
}

/// The program of one group of listeners: one address and port, one listener for each worker.
///
/// The program hangs on the group, not on this process: it goes with the last listener of the
/// group, or by [`detach`](Self::detach).
pub struct Steering {
    program: Loaded,
    listeners: ReusePortSockArray<MapData>,
    policies: Array<MapData, u32>,
    loads: Arc<SharedArray<Load>>,
    workers: u32,
}

impl Steering {
    /// Loads the program for so many workers as `cpus` has: the CPU of each, if it is pinned.
    ///
    /// # Errors
    ///
    /// The kernel or the rights do not allow it, or there are more workers than the maps have
    /// room for.
    pub fn load(policy: Policy, cpus: &[Option<u32>]) -> Result<Self, Off> {
        let workers = u32::try_from(cpus.len()).unwrap_or(u32::MAX);
        if workers > WORKERS_MAX {
            let (count, max) = (cpus.len(), WORKERS_MAX as usize);
            return Err(Off::TooMany { what: "workers", count, max });
        }
        let mut loader = EbpfLoader::new();
        loader.override_global("WORKERS", &workers, true);
        let mut program = Loaded::new(Assist::Steering, &mut loader)?;
        // The maps that are dropped here live on with the loaded program.
        program.program::<SkReuseport>("steer")?.load()?;
        let loads = Arc::new(program.shared_array("LOADS")?);
        let listeners = program.map("LISTENERS")?;
        let policies = program.map("POLICY")?;
        assign_cpus(&mut program.map("CPU_WORKERS")?, cpus)?;
        let mut steering = Self { program, listeners, policies, loads, workers };
        steering.set_policy(policy)?;
        Ok(steering)
    }

    /// Chooses by this policy from now on.
    ///
    /// # Errors
    ///
    /// The kernel refuses the entry.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), Off> {
        let number = match policy {
            Policy::Cpu => policy::CPU,
            Policy::LeastLoaded => policy::LEAST_LOADED,
            Policy::Hash => policy::HASH,
        };
        Ok(self.policies.set(0, number, 0)?)
    }

    /// Makes a listener the one of a worker, in place of its former one. It has to listen already,
    /// with SO_REUSEPORT set before it was bound, and be in no other group's program: the kernel
    /// forgets it when it is closed, or some time after that program is gone.
    ///
    /// # Errors
    ///
    /// The kernel does not take the socket.
    pub fn set_listener(&mut self, worker: u32, listener: &impl AsRawFd) -> Result<(), Off> {
        Ok(self.listeners.set(worker, listener, 0)?)
    }

    /// Starts steering in the group of this listener, in place of what steered there before.
    ///
    /// # Errors
    ///
    /// The kernel does not attach the program.
    pub fn attach(&mut self, listener: impl AsFd) -> Result<(), Off> {
        Ok(self.program.program::<SkReuseport>("steer")?.attach(listener)?)
    }

    /// Leaves the group of this listener to the kernel's hash.
    ///
    /// # Errors
    ///
    /// No program is attached there.
    pub fn detach(listener: impl AsFd) -> Result<(), Off> {
        Ok(SkReuseport::detach(listener)?)
    }

    /// Where a worker says how busy it is; none for a number that is not a worker's.
    #[must_use]
    pub fn load_slot(&self, worker: u32) -> Option<LoadSlot> {
        (worker < self.workers).then(|| LoadSlot { loads: Arc::clone(&self.loads), worker })
    }
}

/// A CPU beyond the map's end has no worker of its own; its connections go by its number.
fn assign_cpus(map: &mut Array<MapData, u32>, cpus: &[Option<u32>]) -> Result<(), Off> {
    for (worker, cpu) in (0_u32..).zip(cpus) {
        if let Some(cpu) = cpu.filter(|cpu| *cpu < CPUS_MAX) {
            map.set(cpu, worker + FIRST_WORKER, 0)?;
        }
    }
    Ok(())
}

/// A worker's place in the memory that the program reads: a store is all it takes.
#[derive(Debug, Clone)]
pub struct LoadSlot {
    loads: Arc<SharedArray<Load>>,
    worker: u32,
}

impl LoadSlot {
    /// How many connections the worker has now.
    pub fn set_connections(&self, connections: u32) {
        self.store(offset_of!(Load, connections), connections);
    }

    /// Whether the worker is to get no new connection.
    pub fn set_draining(&self, draining: bool) {
        self.store(offset_of!(Load, state), if draining { Load::DRAINING } else { Load::OPEN });
    }

    fn store(&self, field: usize, value: u32) {
        self.loads.word(self.worker, field).store(value, Ordering::Relaxed);
    }
}
