//! sk_reuseport: chooses which worker's listener gets a new connection, or one that is left over
//! in the queue of a listener that closes.
#![no_std]
#![no_main]

use core::num::NonZeroU32;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, sk_action::SK_PASS};
use aya_ebpf::helpers::generated::{
    bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_get_socket_cookie, bpf_ktime_get_coarse_ns,
    bpf_sk_select_reuseport,
};
use aya_ebpf::macros::{map, sk_reuseport};
use aya_ebpf::maps::{Array, HashMap, SockHash};
use aya_ebpf::programs::SkReuseportContext;
use ringgate_ebpf_abi::steer::{
    CPUS_MAX, FIRST_WORKER, Load, SOCKETS_MAX, STUCK_AFTER_NS, WORKERS_MAX, listener_key, policy,
};
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
/// The number of a listener's group, by the listener's cookie.
#[map]
static GROUPS: HashMap<u64, u32> = HashMap::with_max_entries(SOCKETS_MAX, BPF_F_NO_PREALLOC);
/// By `abi::steer::listener_key`. No array for sockets of one group: those take none that lookup
/// leads to.
#[map]
static LISTENERS: SockHash<u64> = SockHash::with_max_entries(SOCKETS_MAX, 0);
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
    let Some(group) = group(&context) else { return SK_PASS };
    // SAFETY: takes nothing.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let mut worker = match POLICY.get(0) {
        Some(&policy::CPU) => of_this_cpu(count),
        Some(&policy::LEAST_LOADED) => less_loaded(count, now),
        Some(&policy::HASH) => context.hash() % count,
        _ => return SK_PASS,
    };
    for _ in 0..workers {
        if burden(worker, now) < SHUT && select(&context, listener_key(group, worker)) {
            return SK_PASS;
        }
        worker = if worker + 1 < workers { worker + 1 } else { 0 };
    }
    SK_PASS
}

#[inline(always)]
fn group(context: &SkReuseportContext) -> Option<u32> {
    // SAFETY: the listener that the kernel found, or the one that closes.
    let cookie = unsafe { bpf_get_socket_cookie(context.sk().as_ptr()) };
    // SAFETY: a copy of a word, which nobody writes while its key is there.
    unsafe { GROUPS.get(&cookie) }.copied()
}

/// Whether there is such a listener; it is chosen then.
#[inline(always)]
fn select(context: &SkReuseportContext, mut key: u64) -> bool {
    // SAFETY: the context that the kernel passed, a map of sockets and a key of it on the stack.
    let failed = unsafe {
        bpf_sk_select_reuseport(
            context.as_ptr().cast(),
            (&raw const LISTENERS).cast_mut().cast(),
            (&raw mut key).cast(),
            0,
        )
    };
    failed == 0
}

#[inline(always)]
fn of_this_cpu(workers: NonZeroU32) -> u32 {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let pinned = CPU_WORKERS.get(cpu).and_then(|value| value.checked_sub(FIRST_WORKER));
    pinned.unwrap_or(cpu) % workers
}

/// The one with fewer connections of two different workers taken at random; an open one before one
/// that drains or is stuck.
#[inline(always)]
fn less_loaded(workers: NonZeroU32, now: u64) -> u32 {
    let Some(others) = NonZeroU32::new(workers.get() - 1) else { return 0 };
    // SAFETY: takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    let first = (random & 0xffff) % workers;
    let second = (first + 1 + (random >> 16) % others) % workers;
    if burden(second, now) < burden(first, now) { second } else { first }
}

/// More than any number of connections.
const SHUT: u64 = 1 << 32;

/// Connections, and `SHUT` beside them for a worker that drains or is stuck.
#[inline(always)]
fn burden(worker: u32, now: u64) -> u64 {
    LOADS.get(worker).map_or(u64::MAX, |load| {
        // SAFETY: aligned words of a live map value, which the gateway may write meanwhile.
        let (state, connections, alive) = unsafe {
            (
                core::ptr::read_volatile(&raw const load.state),
                core::ptr::read_volatile(&raw const load.connections),
                core::ptr::read_volatile(&raw const load.alive_ns),
            )
        };
        let stuck = alive != 0 && now > alive.wrapping_add(STUCK_AFTER_NS);
        let shut = if stuck || state != Load::OPEN { SHUT } else { 0 };
        shut | u64::from(connections)
    })
}
