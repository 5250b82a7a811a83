//! Poll: wait for a descriptor without lending memory to the kernel.

use io_uring::opcode;

use super::{Operation, SharedFd, submit};

/// Waits until the peer has closed, or the connection has failed; see [`is_failure`].
pub(in crate::uring) fn hung_up(fd: &SharedFd) -> Operation<SharedFd> {
    // POLLERR and POLLHUP are reported unasked, and io_uring adds POLLRDHUP to every poll.
    let entry = opcode::PollAdd::new(fd.target(), 0).build();
    // SAFETY: the entry points to nothing; it keeps its descriptor open.
    unsafe { submit(fd.clone(), entry) }
}

/// Whether a poll's result says more than that the peer sends no more.
pub(in crate::uring) fn is_failure(events: usize) -> bool {
    let failure = (libc::POLLERR | libc::POLLHUP).cast_unsigned();
    events & usize::from(failure) != 0
}

/// Waits until the descriptor has something to read, its peer closed, or it failed.
pub(in crate::uring) fn readable(fd: &SharedFd) -> Operation<SharedFd> {
    // POLLIN, POLLRDHUP and the always reported POLLERR, POLLHUP: small positive constants.
    let events = (libc::POLLIN | libc::POLLRDHUP).cast_unsigned();
    let entry = opcode::PollAdd::new(fd.target(), u32::from(events)).build();
    // SAFETY: the entry points to nothing; it keeps its descriptor open.
    unsafe { submit(fd.clone(), entry) }
}
