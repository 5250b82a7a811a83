//! sk_skb: moves what arrives on one socket to another, as far as the flow's credit goes.
//!
//! The program `splice` hangs on the map SOURCES and so runs for the sockets in it; SINKS has the
//! other end of the flow in the same place. A socket that is read and written is in both, in two
//! places.
//!
//! The kernel gives it whole segments as TCP has queued them, and these may overlap: one that TCP
//! takes for its end may begin with bytes of the one before (a retransmission is cut in other places
//! than what it repeats), and the first may begin with bytes that were read already. So the program
//! goes by the sequence numbers, and cuts off what was there before.
//!
//! The program `arrived` hangs nowhere: the gateway runs it to ask for the sequence number that a
//! flow begins with.
#![no_std]
#![no_main]

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::bindings::sk_action::{SK_DROP, SK_PASS};
use aya_ebpf::bindings::{__sk_buff, BPF_F_CURRENT_NETNS, BPF_TCP_ESTABLISHED, bpf_sock_tuple};
use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_loop, bpf_sk_lookup_tcp, bpf_sk_release, bpf_skb_adjust_room,
    bpf_tcp_sock,
};
use aya_ebpf::macros::{classifier, map, stream_verdict};
use aya_ebpf::maps::{Array, HashMap, SockMap};
use aya_ebpf::programs::{SkBuffContext, TcContext};
use ringgate_ebpf_abi::splice::{FLOWS_MAX, Flow, question};
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

/// The most that one call cuts off.
const CUT_MAX: u32 = 4095;

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
    // one segment of a socket at a time, so that nobody else writes what the program writes.
    if !unsafe { trim(&context, flow) } {
        return SK_DROP;
    }
    // SAFETY: as above.
    unsafe { forward(&context, place, flow) };
    SK_PASS
}

/// Leaves of a segment what has not been there before; false if that is nothing, or cannot be.
///
/// # Safety
///
/// `flow` is a value of the map, of which no other run writes `next` and `state`.
#[inline(always)]
unsafe fn trim(context: &SkBuffContext, flow: *mut Flow) -> bool {
    // SAFETY: the caller's, and the context that the kernel passed; volatile, for the gateway reads
    // the same memory, and for the context allows reads of one word.
    unsafe {
        // The control buffer is TCP's own still: the sequence numbers of the first byte and of the
        // one behind the last. The end of the stream counts as one byte.
        let control = &raw const (*context.skb.skb).cb;
        let first = core::ptr::read_volatile(&raw const (*control)[0]);
        let end = core::ptr::read_volatile(&raw const (*control)[1]);
        let length = context.len();
        let next = core::ptr::read_volatile(&raw const (*flow).next) as u32;
        let known = next.wrapping_sub(first);
        let is_whole = end.wrapping_sub(first).wrapping_sub(length) <= 1;
        let state = core::ptr::read_volatile(&raw const (*flow).state);
        let is_next = is_whole && known <= length && state != Flow::BROKEN;
        if !is_next || known > 0 && !cut(context, known) {
            core::ptr::write_volatile(&raw mut (*flow).state, Flow::BROKEN);
            return false;
        }
        let next = first.wrapping_add(length);
        core::ptr::write_volatile(&raw mut (*flow).next, u64::from(next));
        known < length
    }
}

/// What is to be cut off.
struct Cut {
    skb: *mut __sk_buff,
    left: u32,
}

/// Cuts off so many bytes at the front; false where there was no memory for it.
#[inline(always)]
fn cut(context: &SkBuffContext, length: u32) -> bool {
    let mut cut = Cut { skb: context.skb.skb, left: length };
    let calls = length.div_ceil(CUT_MAX);
    // SAFETY: the callback is given what it takes, which nobody else has meanwhile.
    unsafe { bpf_loop(calls, cut_once as *mut c_void, (&raw mut cut).cast(), 0) };
    cut.left == 0
}

/// As a loop the verifier would follow it round by round, and find it too long.
///
/// # Safety
///
/// `cut` is this call's alone, and its context is that of the run.
#[inline(never)]
unsafe extern "C" fn cut_once(_round: u64, cut: *mut Cut) -> i64 {
    const STOP: i64 = 1;
    // SAFETY: the caller's.
    unsafe {
        let part = (*cut).left.min(CUT_MAX);
        if bpf_skb_adjust_room((*cut).skb, -(part as i32), 0, 0) != 0 {
            return STOP;
        }
        (*cut).left -= part;
    }
    0
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

/// Answers the [`question`] that stands in the frame.
#[classifier]
pub fn arrived(context: TcContext) -> i32 {
    let length = context.len() as usize;
    let next = if length == question::AT + question::V6_LENGTH {
        next_of::<{ question::V6_LENGTH }>(&context)
    } else {
        next_of::<{ question::V4_LENGTH }>(&context)
    };
    let answered = next.is_some_and(|next| context.store(question::AT, &next, 0).is_ok());
    if answered { question::ANSWERED as i32 } else { 0 }
}

/// The sequence number of what has not arrived yet at the established connection with the name that
/// is so long.
#[inline(always)]
fn next_of<const LENGTH: usize>(context: &TcContext) -> Option<u32> {
    let mut name: [u8; LENGTH] = context.load(question::AT).ok()?;
    let (name, length) = (name.as_mut_ptr().cast::<bpf_sock_tuple>(), LENGTH as u32);
    let here = BPF_F_CURRENT_NETNS as u64;
    // SAFETY: the context that the kernel passed, and a name of that length.
    let socket = unsafe { bpf_sk_lookup_tcp(context.skb.skb.cast(), name, length, here, 0) };
    if socket.is_null() {
        return None;
    }
    // SAFETY: a socket, ours until it is released; the kernel allows reads of one word.
    let state = unsafe { core::ptr::read_volatile(&raw const (*socket).state) };
    let mut next = None;
    if state == BPF_TCP_ESTABLISHED {
        // SAFETY: as above.
        let tcp = unsafe { bpf_tcp_sock(socket) };
        if !tcp.is_null() {
            // SAFETY: as above.
            next = Some(unsafe { core::ptr::read_volatile(&raw const (*tcp).rcv_nxt) });
        }
    }
    // SAFETY: ours, and nothing of it is used any more.
    unsafe { bpf_sk_release(socket.cast()) };
    next
}
