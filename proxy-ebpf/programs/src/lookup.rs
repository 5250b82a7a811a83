//! sk_lookup: leads connections for many addresses and ports to a few listeners.
#![no_std]
#![no_main]

use aya_ebpf::bindings::{bpf_sk_lookup, sk_action::SK_PASS};
use aya_ebpf::macros::{map, sk_lookup};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{LpmTrie, SockMap};
use aya_ebpf::programs::SkLookupContext;
use ringgate_ebpf_abi::lookup::{LISTENERS_MAX, PREFIXES_MAX, Ports, RANGES_MAX};
use ringgate_programs as _;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const IPPROTO_TCP: u32 = 6;

#[map]
static PORTS_V4: LpmTrie<[u8; 4], Ports> = LpmTrie::with_max_entries(2 * PREFIXES_MAX, 0);
#[map]
static PORTS_V6: LpmTrie<[u8; 16], Ports> = LpmTrie::with_max_entries(2 * PREFIXES_MAX, 0);
/// One socket of each listener; the kernel chooses among those that share its port.
#[map]
static LISTENERS: SockMap = SockMap::with_max_entries(LISTENERS_MAX, 0);

/// Always passes: without a listener the kernel looks on as if this program were not there.
#[sk_lookup]
pub fn lookup(context: SkLookupContext) -> u32 {
    if let Some(listener) = listener_for(context.lookup) {
        // Fails where no listener is in that place, or one of the other family.
        let _ = LISTENERS.redirect_sk_lookup(&context, listener, 0);
    }
    SK_PASS
}

#[inline(always)]
fn listener_for(lookup: *const bpf_sk_lookup) -> Option<u32> {
    // SAFETY: the context that the kernel passed, here and below; it allows reads of one word.
    let protocol = unsafe { word(&raw const (*lookup).protocol) };
    if protocol != IPPROTO_TCP {
        return None;
    }
    // SAFETY: as above.
    let port = unsafe { word(&raw const (*lookup).local_port) };
    // SAFETY: as above.
    let ports = match unsafe { word(&raw const (*lookup).family) } {
        AF_INET => {
            // SAFETY: as above.
            let address = unsafe { word(&raw const (*lookup).local_ip4) };
            PORTS_V4.get(Key::new(32, address.to_ne_bytes()))
        }
        AF_INET6 => PORTS_V6.get(Key::new(128, local_v6(lookup))),
        _ => None,
    }?;
    for at in 0..RANGES_MAX {
        if at as u32 >= ports.count {
            return None;
        }
        let range = &ports.ranges[at];
        if u32::from(range.first) <= port && port <= u32::from(range.last) {
            return Some(range.listener);
        }
    }
    None
}

#[inline(always)]
fn local_v6(lookup: *const bpf_sk_lookup) -> [u8; 16] {
    let mut address = [0; 16];
    for at in 0..4 {
        // SAFETY: one of the four words of the address in the kernel's context.
        let part = unsafe { word((&raw const (*lookup).local_ip6).cast::<u32>().add(at)) };
        address[at * 4..at * 4 + 4].copy_from_slice(&part.to_ne_bytes());
    }
    address
}

/// # Safety
///
/// `place` is a readable word. Volatile, so that the compiler does not join two of them.
#[inline(always)]
unsafe fn word(place: *const u32) -> u32 {
    // SAFETY: the caller's duty.
    unsafe { core::ptr::read_volatile(place) }
}
