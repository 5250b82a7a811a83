//! Receive: bytes from a stream appended to a buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use io_uring::opcode;

use super::{Operation, SharedFd, submit};
use crate::uring::Buffer;
use crate::uring::operation::Arrival;

/// `IORING_RECVSEND_POLL_FIRST`: without a look at the socket first, which would find nothing. Kernel
/// 5.19.
const POLL_FIRST: u16 = 1;

/// A receive in flight. It gives back the buffer, longer by what arrived; 0 is the end of stream.
pub(in crate::uring) struct Recv(Operation<(Buffer, SharedFd)>);

impl Recv {
    pub(in crate::uring) fn submit(
        fd: &SharedFd,
        mut buffer: Buffer,
        at_most: usize,
        arrival: Arrival,
    ) -> Self {
        let room = buffer.receivable().min(at_most);
        debug_assert!(room > 0, "a receive into a full buffer would look like the end of stream");
        let length = u32::try_from(room).unwrap_or(u32::MAX);
        let how = if arrival == Arrival::Later { POLL_FIRST } else { 0 };
        let entry = opcode::Recv::new(fd.target(), buffer.spare_mut().as_mut_ptr(), length)
            .ioprio(how)
            .build();
        // SAFETY: the kernel writes at most `length` bytes into the spare part. The operation owns the
        // buffer, whose memory stays in place, until the completion arrives.
        Self(unsafe { submit((buffer, fd.clone()), entry) })
    }
}

impl Future for Recv {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (result, (mut buffer, _fd)) = ready!(Pin::new(&mut self.0).poll(context));
        if let Ok(received) = result {
            buffer.commit(received);
        }
        Poll::Ready((result, buffer))
    }
}
