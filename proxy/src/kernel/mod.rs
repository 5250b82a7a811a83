//! What the kernel can do for the gateway by eBPF: each assist loaded by itself, or the reason why not.
//!
//! Four assists, an object each, so that one that cannot be had costs none of the others:
//!
//! | assist | program | what it does | without it |
//! |---|---|---|---|
//! | [`Shield`] | XDP | drops bad segments for the listeners before TCP sees them | limits in user space |
//! | [`Steering`] | sk_reuseport | chooses the worker of a new connection | the kernel's hash |
//! | [`Lookup`] | sk_lookup | leads many addresses and ports to a few listeners | bind each |
//! | [`Splice`] | sk_skb | moves bytes from socket to socket | copy |
//!
//! Nothing is pinned: what is attached hangs on descriptors of this process, or on its listening
//! sockets, and goes with them, however the process ends. Nothing here changes a verdict of the
//! gateway or a byte.

#![allow(unsafe_code, reason = "maps that are shared with programs are memory that both write")]

mod arrived;
mod lines;
mod load;
mod lookup;
mod off;
mod prefixes;
mod probe;
mod shared_array;
mod shield;
mod splice;
mod steering;

pub use crate::snapshot::peers::BanMode;
pub use lookup::{Lookup, Range, Ranges};
pub use off::{Assist, Off};
pub use probe::Probe;
pub use ringgate_ebpf_abi::shield::{Source, Verdict};
pub use shield::{
    Attached, Ban, Counters, FrameCounters, Protection, Shield, SynRate, XdpChoice, XdpMode,
};
pub use splice::{Flow, Splice};
pub use steering::{Group, LoadSlot, Policy, Steering};
