//! Send: the filled part of a buffer to a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use io_uring::opcode;

use super::{Operation, SharedFd, submit};
use crate::uring::Buffer;

/// A send in flight. It gives back the buffer, shorter in front by what the kernel took.
pub(in crate::uring) struct Send(Operation<(Buffer, SharedFd)>);

impl Send {
    pub(in crate::uring) fn submit(fd: &SharedFd, buffer: Buffer) -> Self {
        let filled = buffer.filled();
        let length = u32::try_from(filled.len()).unwrap_or(u32::MAX);
        // WAITALL: the kernel goes on by itself after a partial send, so that a send makes progress
        // while nobody polls it; cancelled on the way it answers with what was sent.
        // NOSIGNAL: a client that is gone is an error of this operation, not a SIGPIPE.
        let entry = opcode::Send::new(fd.target(), filled.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        // SAFETY: the kernel reads the filled part. The operation owns the buffer, whose memory stays
        // in place and unchanged, until the completion arrives.
        Self(unsafe { submit((buffer, fd.clone()), entry) })
    }
}

impl Future for Send {
    type Output = (io::Result<usize>, Buffer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (result, (mut buffer, _fd)) = ready!(Pin::new(&mut self.0).poll(context));
        if let Ok(sent) = result {
            buffer.consume(sent);
        }
        Poll::Ready((result, buffer))
    }
}
