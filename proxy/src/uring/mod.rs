//! The operation layer on io_uring: what a worker may ask of the kernel, and who owns what meanwhile.
//!
//! The rules, each one paid for:
//!
//! * **An operation owns what the kernel may touch**: its [`Buffer`] and a reference to its
//!   descriptor. They come back with the result. A dropped future hands both to the ring, which
//!   keeps them until the completion arrives: nothing is freed or closed under the kernel's hands.
//! * **A future in flight is awaited, not dropped**, where its outcome matters. Dropping cancels it,
//!   but a receive may have taken the next bytes of the stream by then, and a send may have sent some.
//!   What must end early is cancelled ([`Stream::cancel`], or its [`wheel`] deadline passing, which
//!   does the same) and then awaited: the operation returns `ECANCELED` or what it has done, nothing
//!   is lost, and the stream can still be used.
//! * **Submission is eager, the system call is not.** Making an operation queues it; the queue
//!   goes to the kernel when a round of the tasks that are ready is over. Two operations made one
//!   after the other cost one call and start in that order.
//! * **Time is coarse**: one wheel a worker, one tick every [`wheel::TICK`]; arming a deadline is
//!   two stores. [`sleep`] is for what comes seldom.

#![expect(unsafe_code, reason = "the one place where memory is lent to io_uring")]

mod buffer;
#[cfg(feature = "simulation")]
pub mod memory;
mod operation;
mod records;
#[cfg_attr(
    feature = "simulation",
    expect(dead_code, unused_imports, unreachable_pub, reason = "sockets are in memory there")
)]
mod ring;
mod secure;
mod stream;
pub mod wheel;

#[cfg(feature = "simulation")]
use memory as backend;
#[cfg(not(feature = "simulation"))]
use ring as backend;

pub use backend::{connect, sleep, turn};
pub use buffer::{Buffer, BufferPool, TAIL_ROOM};
pub use operation::{Recv, Send};
pub use records::RecordPools;
pub use ring::{Bell, Event, Listener, StartError, block_on, event};
pub use secure::TooLarge;
pub use stream::Stream;

use std::net::SocketAddr;
use std::path::Path;

/// Where to connect.
#[derive(Debug, Clone, Copy)]
pub enum Peer<'a> {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(&'a Path),
}
