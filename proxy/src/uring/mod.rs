//! The operation layer on io_uring: what a worker may ask of the kernel, and who owns what meanwhile.
//!
//! It stands on the public one-shot operations of tokio-uring. The rules, each one paid for:
//!
//! * **An operation owns what the kernel may touch**: its [`Buffer`] and a reference to its
//!   descriptor. They come back with the result. A dropped future hands both to the driver, which
//!   keeps them until the completion arrives: nothing is freed or closed under the kernel's hands.
//! * **A future in flight is awaited, not dropped.** A dropped receive still completes and eats
//!   the next bytes of the stream. What must end early is cancelled ([`Stream::cancel`], or its
//!   [`wheel`] deadline passing, which does the same) and then awaited: the operation returns
//!   `ECANCELED`, nothing is lost, and the stream can still be used.
//! * **Submission is eager, the system call is not.** Making an operation queues it; the queue
//!   goes to the kernel when the thread runs out of ready tasks. Two operations made one after the
//!   other cost one call and start in that order. For the same reason a task that only yields
//!   would starve all I/O: nothing here wakes itself.
//! * **Time is coarse**: one wheel a worker, one tick every [`wheel::TICK`]; arming a deadline is
//!   two stores.
//!
//! Only one-shot operations: a multishot one would break tokio-uring's bookkeeping.

#![expect(unsafe_code, reason = "the one place where memory is lent to io_uring")]

mod accept;
mod buffer;
mod connect;
mod event;
mod poll;
mod recv;
mod runtime;
mod send;
mod stream;
#[cfg(test)]
mod tests;
mod turn;
pub mod wheel;

pub use accept::Listener;
pub use buffer::{Buffer, BufferPool, TAIL_ROOM};
pub use connect::{Peer, connect};
pub use event::{Bell, Event, event};
pub use recv::Recv;
pub use runtime::{StartError, block_on};
pub use send::Send;
pub use stream::Stream;
pub use turn::turn;

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use io_uring::{cqueue, squeue, types};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

/// A descriptor shared by its stream and the operations in flight on it; closed by the last.
#[derive(Debug, Clone)]
struct SharedFd(Rc<OwnedFd>);

impl SharedFd {
    fn new(fd: OwnedFd) -> Self {
        Self(Rc::new(fd))
    }

    fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn target(&self) -> types::Fd {
        types::Fd(self.raw())
    }
}

/// An operation in flight that owns `D` and gives it back with the kernel's answer.
type Operation<D> = InFlightOneshot<D, Answer<D>>;

/// Turns a completion into `(result, what the operation owned)`.
struct Answer<D>(PhantomData<fn(D)>);

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
fn cancel_all(fd: RawFd) {
    let request = types::CancelBuilder::fd(types::Fd(fd)).all();
    // Its own answer (how many, or none) says nothing that the cancelled operations do not.
    drop(submit((), io_uring::opcode::AsyncCancel2::new(request).build()));
}
