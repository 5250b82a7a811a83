//! Poll: wait for a socket in memory without lending it a buffer.

use super::network::Request;
use super::operation::{Operation, Waiting};
use super::socket::SharedFd;
pub(in crate::uring) use crate::uring::ring::poll::is_failure;

/// Waits until the peer has closed, or the connection has failed.
pub(in crate::uring) fn hung_up(fd: &SharedFd) -> Operation<SharedFd> {
    Operation::submit(|slot| Request::HungUp(Waiting { fd: fd.clone(), slot }))
}

/// Waits until there is something to read, its peer closed, or it failed.
pub(in crate::uring) fn readable(fd: &SharedFd) -> Operation<SharedFd> {
    Operation::submit(|slot| Request::Readable(Waiting { fd: fd.clone(), slot }))
}
