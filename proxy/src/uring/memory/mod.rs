//! Sockets in memory: the same operations without a kernel, for tests that play both peers.
//!
//! Only in builds with the feature `simulation`, which serve nobody. What a test decides (what
//! arrives, in which pieces, how much of what is sent is taken, who closes when) happens at a
//! [`Wire`]; what the ring would do happens in [`turn_over`], and only there, so that a run depends
//! on nothing but what the test does.
//!
//! The rules of the [ring](super) hold: an operation owns its buffer until it completes, one whose
//! future was dropped still completes (a ring cancels it, which may come too late), operations complete in the order they were made, and a
//! cancellation meets those before it.

mod network;
mod operation;
pub(super) mod poll;
mod socket;

pub(super) use network::cancel_all;
pub use network::{Dialled, connect, dialled, in_flight, reset, sleep, turn, turn_over};
pub(super) use operation::{Recv, Send};
pub use socket::{End, SharedFd, Wire, wire};
