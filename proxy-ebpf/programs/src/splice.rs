//! sk_skb: moves what arrives on one socket to another, as far as the flow's credit goes.
//!
//! The program hangs on the map SOURCES and so runs for the sockets in it; SINKS has the other end
//! of the flow in the same place. A socket that is read and written is in both, in two places.
#![no_std]
#![no_main]

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::bindings::sk_action::{SK_DROP, SK_PASS};
use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::macros::{map, stream_verdict};
use aya_ebpf::maps::{Array, HashMap, SockMap};
use aya_ebpf::programs::SkBuffContext;
use ringgate_ebpf_abi::splice::{FLOWS_MAX, Flow};
use ringgate_programs as _;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

#[map]
static SOURCES: SockMap = SockMap::with_max_entries(FLOWS_MAX, 0);
#[map]
static SINKS: SockMap = SockMap::with_max_entries(FLOWS_MAX, 0);
/// The place of the flow that comes from the socket with this cookie.
#[map]
static PLACES: HashMap<u64, u32> = HashMap::with_max_entries(FLOWS_MAX, 0);
/// The gateway reads counts from it and writes credit to it in place.
#[map]
static FLOWS: Array<Flow> = Array::with_max_entries(FLOWS_MAX, BPF_F_MMAPABLE);

/// What is not redirected passes to the socket it came for, for the gateway to read.
#[stream_verdict]
pub fn splice(context: SkBuffContext) -> u32 {
    // The end of a stream comes as a segment without bytes, and TCP has seen it by now. In a queue,
    // the other socket's or, behind bytes on their way out, this one's own, it would be taken for a
    // send of nothing, and the socket for broken.
    if context.len() == 0 {
        return SK_DROP;
    }
    // SAFETY: the context that the kernel passed to this run.
    let cookie = unsafe { bpf_get_socket_cookie(context.skb.skb.cast()) };
    // SAFETY: the value is one word, which is replaced as a whole.
    let Some(&place) = (unsafe { PLACES.get(cookie) }) else { return SK_PASS };
    let Some(flow) = FLOWS.get_ptr_mut(place) else { return SK_PASS };
    // SAFETY: the value of an array map, valid for the whole run; the kernel runs the program for
    // one segment of a socket at a time, so that nobody else writes its two words.
    unsafe { forward(&context, place, flow) };
    SK_PASS
}

/// # Safety
///
/// `flow` is a value of the map, of which no other run writes `forwarded` and `state`.
#[inline(always)]
unsafe fn forward(context: &SkBuffContext, place: u32, flow: *mut Flow) {
    // SAFETY: the caller's; volatile, for the gateway reads and writes the same memory.
    unsafe {
        if core::ptr::read_volatile(&raw const (*flow).state) != Flow::SPLICED {
            return;
        }
        let forwarded = (*flow).forwarded + u64::from(context.len());
        let credit = core::ptr::read_volatile(&raw const (*flow).credit);
        if forwarded <= credit && SINKS.redirect_skb(context, place, 0) == i64::from(SK_PASS) {
            core::ptr::write_volatile(&raw mut (*flow).forwarded, forwarded);
        } else {
            core::ptr::write_volatile(&raw mut (*flow).state, Flow::RETURNED);
        }
    }
}
