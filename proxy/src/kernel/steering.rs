//! Steering: which worker of a group of listeners on one address gets a new connection.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::EbpfLoader;
use aya::maps::{Array, HashMap, MapData, MapError, SockHash};
use aya::programs::SkReuseport;
use ringgate_ebpf_abi::steer::{
    CPUS_MAX, FIRST_WORKER, Load, SOCKETS_MAX, WORKERS_MAX, listener_key, policy,
};
use rustix::net::sockopt::socket_cookie;
use rustix::time::{ClockId, clock_gettime};

use super::load::Loaded;
use super::shared_array::SharedArray;
use super::{Assist, Off};

/// How a worker is chosen. A worker that drains or is stuck gets nothing under any policy while
/// another is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The worker on the core that took the handshake.
    Cpu,
    /// The one with fewer connections of two taken at random.
    LeastLoaded,
    /// By the hash of addresses and ports.
    Hash,
}

impl Policy {
    /// As the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::LeastLoaded => "least_loaded",
            Self::Hash => "hash",
        }
    }
}

/// The program of all groups of listeners. A group is one address and port, with one listener for
/// each worker.
///
/// The program hangs on the groups, not on this process: it goes with the last listener of each,
/// or by [`detach`](Self::detach).
pub struct Steering {
    program: Loaded,
    groups: HashMap<MapData, u64, u32>,
    listeners: SockHash<MapData, u64>,
    policies: Array<MapData, u32>,
    loads: Arc<SharedArray<Load>>,
    cpus: Vec<Option<u32>>,
    groups_made: u32,
    sockets: usize,
}

/// A group that was added. Its listeners leave the maps by themselves when they are closed, this
/// does not.
#[derive(Debug)]
pub struct Group {
    cookies: Vec<u64>,
}

impl Steering {
    /// Loads the program for so many workers as `cpus` has: the CPU of each, if it is pinned. It
    /// leaves the choice to the kernel until there is a policy.
    ///
    /// # Errors
    ///
    /// The kernel or the rights do not allow it, or there are more workers than the maps have
    /// room for.
    pub fn load(cpus: &[Option<u32>]) -> Result<Self, Off> {
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
        let groups = program.map("GROUPS")?;
        let listeners = program.map("LISTENERS")?;
        let policies = program.map("POLICY")?;
        assign_cpus(&mut program.map("CPU_WORKERS")?, cpus)?;
        let cpus = cpus.to_vec();
        Ok(Self { program, groups, listeners, policies, loads, cpus, groups_made: 0, sockets: 0 })
    }

    /// Whether connections can be shared out by this policy.
    ///
    /// # Errors
    ///
    /// By CPU, and two workers are pinned to the same one: one of them would get nothing.
    pub fn check_policy(&self, policy: Policy) -> Result<(), Off> {
        let pinned = self.cpus.iter().flatten();
        let shared = pinned
            .enumerate()
            .find(|(nth, cpu)| self.cpus.iter().flatten().take(*nth).any(|other| other == *cpu));
        match (policy, shared) {
            (Policy::Cpu, Some((_, cpu))) => Err(Off::SharedCpu { cpu: *cpu }),
            (Policy::Cpu | Policy::LeastLoaded | Policy::Hash, _) => Ok(()),
        }
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

    /// Steers among these, the listeners of the workers in order, in place of what steered there
    /// before. They have to listen already, with SO_REUSEPORT set before they were bound. The
    /// kernel forgets a listener when it is closed.
    ///
    /// # Errors
    ///
    /// There is no room, or the kernel does not take a socket or the program.
    pub fn add<L: AsFd + AsRawFd>(&mut self, listeners: &[L]) -> Result<Group, Off> {
        let (count, max) = (self.sockets + listeners.len(), SOCKETS_MAX as usize);
        if count > max {
            return Err(Off::TooMany { what: "listening sockets", count, max });
        }
        let number = self.groups_made;
        self.groups_made = self.groups_made.wrapping_add(1);
        let mut group = Group { cookies: Vec::with_capacity(listeners.len()) };
        let added = self.fill(&mut group, number, listeners);
        self.sockets += group.cookies.len();
        if let Err(off) = added {
            self.remove(group);
            return Err(off);
        }
        Ok(group)
    }

    fn fill<L: AsFd + AsRawFd>(
        &mut self,
        group: &mut Group,
        number: u32,
        listeners: &[L],
    ) -> Result<(), Off> {
        for (worker, listener) in (0_u32..).zip(listeners) {
            let call = "getsockopt of SO_COOKIE";
            let cookie =
                socket_cookie(listener).map_err(|errno| Off::Call { call, error: errno.into() })?;
            self.listeners.insert(listener_key(number, worker), listener.as_raw_fd(), 0)?;
            self.groups.insert(cookie, number, 0)?;
            group.cookies.push(cookie);
        }
        let Some(any) = listeners.first() else { return Ok(()) };
        Ok(self.program.program::<SkReuseport>("steer")?.attach(any)?)
    }

    /// Forgets a group. Listeners of it that are open still go by the kernel's hash.
    pub fn remove(&mut self, group: Group) {
        self.sockets -= group.cookies.len();
        for cookie in group.cookies {
            // It is there, and what is not needs no removal.
            let _: Result<(), MapError> = self.groups.remove(&cookie);
        }
    }

    /// Leaves the group of this listener to the kernel's hash.
    ///
    /// # Errors
    ///
    /// No program is attached there.
    pub fn detach(listener: impl AsFd) -> Result<(), Off> {
        Ok(SkReuseport::detach(listener)?)
    }

    /// Where each worker says how busy it is.
    #[must_use]
    pub fn load_slots(&self) -> Vec<LoadSlot> {
        let workers = (0_u32..).zip(&self.cpus);
        workers.map(|(worker, _)| LoadSlot { loads: Arc::clone(&self.loads), worker }).collect()
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

    /// That the worker works: one that does not say so every few ticks gets no new connection.
    pub fn tell_alive(&self) {
        // The clock that the program reads, unless this process has one of a namespace of its own.
        let now = clock_gettime(ClockId::MonotonicCoarse);
        let nanoseconds = |part| u64::try_from(part).unwrap_or(0);
        let now_ns = nanoseconds(now.tv_sec) * 1_000_000_000 + nanoseconds(now.tv_nsec);
        let word = self.loads.double_word(self.worker, offset_of!(Load, alive_ns));
        word.store(now_ns, Ordering::Relaxed);
    }

    fn store(&self, field: usize, value: u32) {
        self.loads.word(self.worker, field).store(value, Ordering::Relaxed);
    }
}
