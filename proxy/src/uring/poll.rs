//! Poll: wait for a descriptor without lending memory to the kernel.

use io_uring::opcode;

use super::{Operation, SharedFd, submit};

/// Waits until the socket's connection is reset. An orderly close of the peer's sending side is
/// none: it may still read.
pub(super) fn reset(fd: &SharedFd) -> Operation<SharedFd> {
    // POLLERR and POLLHUP are reported without being asked for.
    let entry = opcode::PollAdd::new(fd.target(), 0).build();
    submit(fd.clone(), entry)
}

/// Waits until the descriptor has something to read, its peer closed, or it failed.
pub(super) fn readable(fd: &SharedFd) -> Operation<SharedFd> {
    // POLLIN, POLLRDHUP and the always reported POLLERR, POLLHUP: small positive constants.
    let events = (libc::POLLIN | libc::POLLRDHUP).cast_unsigned();
    let entry = opcode::PollAdd::new(fd.target(), u32::from(events)).build();
    submit(fd.clone(), entry)
}
