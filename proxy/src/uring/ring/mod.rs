//! The operations on a ring: one-shot operations of tokio-uring, and the sockets they work on.

mod accept;
#[cfg(not(feature = "simulation"))]
mod connect;
mod event;
pub(super) mod poll;
mod recv;
mod runtime;
mod send;
mod socket;
#[cfg(test)]
#[cfg(not(feature = "simulation"))]
mod tests;
mod turn;

pub use accept::Listener;
#[cfg(not(feature = "simulation"))]
pub use connect::connect;
pub use event::{Bell, Event, event};
pub(super) use recv::Recv;
pub use runtime::{StartError, block_on};
pub(super) use send::Send;
pub(super) use socket::SharedFd;
pub use turn::turn;

use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;

use io_uring::{cqueue, squeue, types};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

/// An operation in flight that owns `D` and gives it back with the kernel's answer.
pub(super) type Operation<D> = InFlightOneshot<D, Answer<D>>;

/// Turns a completion into `(result, what the operation owned)`.
pub(super) struct Answer<D>(PhantomData<fn(D)>);

impl<D> OneshotOutputTransform for Answer<D> {
    type Output = (io::Result<usize>, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, completion: cqueue::Entry) -> Self::Output {
        let result = completion.result();
        let result = usize::try_from(result)
            .map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()));
        (result, data)
    }
}

/// Queues `entry`, which may point into what `owned` keeps alive and in place, for the kernel.
fn submit<D: 'static>(owned: D, entry: squeue::Entry) -> Operation<D> {
    UnsubmittedOneshot::new(owned, Answer(PhantomData), entry).submit()
}

/// Queues the cancellation of every operation in flight on `fd`; each then ends with `ECANCELED`.
///
/// It is queued behind the operations it is meant for and in front of any that a later owner of
/// the same descriptor number could make, so it can hit no other. Kernel 5.19.
pub(super) fn cancel_all(fd: RawFd) {
    let request = types::CancelBuilder::fd(types::Fd(fd)).all();
    // Its own answer (how many, or none) says nothing that the cancelled operations do not.
    drop(submit((), io_uring::opcode::AsyncCancel2::new(request).build()));
}
