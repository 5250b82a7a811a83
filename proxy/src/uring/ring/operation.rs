//! An operation in flight, and what it lends to the kernel.

use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{squeue, types};
use socket2::SockAddr;

use super::SharedFd;
use super::reactor::Reactor;
use crate::uring::Buffer;

/// What an operation owns until it has completed.
pub(in crate::uring) trait Lent: 'static {
    /// The operation has completed with `answer`, as the kernel has it, and nobody asks for that.
    fn unclaimed(&self, _answer: i32) {}
}

impl Lent for () {}
impl Lent for SharedFd {}
impl Lent for (Buffer, SharedFd) {}
impl Lent for (Box<SockAddr>, SharedFd) {}

/// An operation in flight that owns `D` and gives it back with the kernel's answer.
///
/// Dropped in flight it is cancelled, and what it owns lives on until the kernel is done with it.
pub(in crate::uring) struct Operation<D: Lent> {
    reactor: Rc<Reactor>,
    key: usize,
    /// There until the completion is seen.
    owned: Option<D>,
}

/// Queues `entry` for the kernel.
///
/// # Safety
/// `entry` points only to memory that `owned` keeps alive, that does not move when `owned` does, and
/// that nobody else touches before `owned` is given back.
pub(super) unsafe fn submit<D: Lent>(owned: D, entry: squeue::Entry) -> Operation<D> {
    let reactor = Reactor::current();
    // SAFETY: the operation gives `owned` away when its slot is done, or else to the reactor.
    let key = unsafe { reactor.begin(entry) };
    Operation { reactor, key, owned: Some(owned) }
}

/// Queues the cancellation of every operation in flight on `fd`; each then ends with `ECANCELED`.
///
/// It is queued behind the operations it is meant for and in front of any that a later owner of
/// the same descriptor number could make, so it can hit no other. Kernel 5.19.
pub(in crate::uring) fn cancel_all(fd: RawFd) {
    Reactor::current().cancel(types::CancelBuilder::fd(types::Fd(fd)).all());
}

/// The kernel's answer: a count, or a negative error number.
pub(super) fn as_result(answer: i32) -> io::Result<usize> {
    usize::try_from(answer).map_err(|_| io::Error::from_raw_os_error(answer.wrapping_neg()))
}

impl<D: Lent> Operation<D> {
    /// As [`Future::poll`], with the answer as the kernel has it.
    pub(super) fn poll_raw(&mut self, context: &Context<'_>) -> Poll<(i32, D)> {
        assert!(self.owned.is_some(), "polled after its completion");
        let answer = ready!(self.reactor.poll(self.key, context));
        let owned = self.owned.take().expect("asserted above");
        Poll::Ready((answer, owned))
    }
}

/// It is never pinned: what the kernel has a pointer to does not move with it.
impl<D: Lent> Unpin for Operation<D> {}

impl<D: Lent> Future for Operation<D> {
    type Output = (io::Result<usize>, D);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_raw(context).map(|(answer, owned)| (as_result(answer), owned))
    }
}

impl<D: Lent> Drop for Operation<D> {
    fn drop(&mut self) {
        if let Some(owned) = self.owned.take() {
            self.reactor.abandon(self.key, owned);
        }
    }
}
