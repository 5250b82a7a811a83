//! sk_reuseport: chooses which worker's listener gets a new connection, or one that is left over
//! in the queue of a listener that closes.
#![no_std]
#![no_main]

use core::num::NonZeroU32;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, sk_action::SK_PASS};
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_get_smp_processor_id};
use aya_ebpf::macros::{map, sk_reuseport};
use aya_ebpf::maps::{Array, ReusePortSockArray};
use aya_ebpf::programs::SkReuseportContext;
use ringgate_ebpf_abi::steer::{CPUS_MAX, FIRST_WORKER, Load, WORKERS_MAX, policy};
use ringgate_programs as _;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

/// Workers in use, of those that the maps have room for; set by the loader.
#[unsafe(no_mangle)]
static WORKERS: u32 = 0;

/// One of `abi::steer::policy`.
#[map]
static POLICY: Array<u32> = Array::with_max_entries(1, 0);
/// By worker.
#[map]
static LISTENERS: ReusePortSockArray = ReusePortSockArray::with_max_entries(WORKERS_MAX, 0);
/// By worker; the gateway writes to it in place.
#[map]
static LOADS: Array<Load> = Array::with_max_entries(WORKERS_MAX, BPF_F_MMAPABLE);
/// The worker that is pinned to a CPU, counted from `FIRST_WORKER`; 0 is none.
#[map]
static CPU_WORKERS: Array<u32> = Array::with_max_entries(CPUS_MAX, 0);

/// Passes the preferred worker, or the next one that is open and has a listener. Where there is
/// none, the kernel's own hash chooses among all listeners.
#[sk_reuseport(migrate)]
pub fn steer(context: SkReuseportContext) -> u32 {
    // SAFETY: a readable constant; volatile, for the loader sets it after the compiler saw it.
    let workers = unsafe { core::ptr::read_volatile(&raw const WORKERS) };
    if workers > WORKERS_MAX {
        return SK_PASS;
    }
    // A remainder by a plain number would bring the panic of a division by zero along, which the
    // verifier refuses.
    let Some(count) = NonZeroU32::new(workers) else { return SK_PASS };
    let mut worker = preferred(&context, count);
    for _ in 0..workers {
        if is_open(worker) && LISTENERS.select_reuseport(&context, worker).is_ok() {
            return SK_PASS;
        }
        worker = if worker + 1 < workers { worker + 1 } else { 0 };
    }
    SK_PASS
}

#[inline(always)]
fn preferred(context: &SkReuseportContext, workers: NonZeroU32) -> u32 {
    match POLICY.get(0) {
        Some(&policy::CPU) => of_this_cpu(workers),
        Some(&policy::LEAST_LOADED) => less_loaded(workers),
        _ => context.hash() % workers,
    }
}

#[inline(always)]
fn of_this_cpu(workers: NonZeroU32) -> u32 {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let pinned = CPU_WORKERS.get(cpu).and_then(|value| value.checked_sub(FIRST_WORKER));
    pinned.unwrap_or(cpu) % workers
}

/// The one with fewer connections of two different workers taken at random; an open one before a
/// draining one.
#[inline(always)]
fn less_loaded(workers: NonZeroU32) -> u32 {
    let Some(others) = NonZeroU32::new(workers.get() - 1) else { return 0 };
    // SAFETY: takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    let first = (random & 0xffff) % workers;
    let second = (first + 1 + (random >> 16) % others) % workers;
    if burden(second) < burden(first) { second } else { first }
}

/// Connections, and above all of them the state.
#[inline(always)]
fn burden(worker: u32) -> u64 {
    LOADS.get(worker).map_or(u64::MAX, |load| {
        // SAFETY: aligned words of a live map value, which the gateway may write meanwhile.
        let (state, connections) = unsafe {
            (
                core::ptr::read_volatile(&raw const load.state),
                core::ptr::read_volatile(&raw const load.connections),
            )
        };
        u64::from(state) << 32 | u64::from(connections)
    })
}

#[inline(always)]
fn is_open(worker: u32) -> bool {
    burden(worker) >> 32 == u64::from(Load::OPEN)
}
