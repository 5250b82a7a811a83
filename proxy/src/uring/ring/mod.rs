//! The ring of a worker, the operations on it, and the sockets they work on.

mod accept;
#[cfg(not(feature = "simulation"))]
mod connect;
mod event;
mod operation;
pub(super) mod poll;
mod reactor;
mod recv;
mod runtime;
mod send;
mod setup;
mod socket;
#[cfg(test)]
#[cfg(not(feature = "simulation"))]
mod tests;
mod timers;
mod turn;
mod waker;

pub use accept::Listener;
#[cfg(not(feature = "simulation"))]
pub use connect::connect;
pub use event::{Bell, Event, event};
pub(super) use operation::{Operation, cancel_all};
pub(super) use recv::Recv;
pub use runtime::block_on;
pub(super) use send::Send;
pub use setup::StartError;
pub(super) use socket::SharedFd;
pub use timers::sleep;
pub use turn::turn;

use operation::submit;
