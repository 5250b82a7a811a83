//! Buffers for the records of TLS streams.

use std::rc::Rc;

use super::buffer::{Buffer, BufferPool, TAIL_ROOM};
use crate::tls::{RECORD_BYTES, RECORD_BYTES_MAX};

/// What the records of 256 KiB take, and what a session may have to say before them.
const LARGE_BYTES: usize = 272 * 1024;
/// Large ones in use at a time at most: 34 MiB. Small ones do where there is none left.
const LARGE_MAX: usize = 128;

/// Unused ones that are kept for later.
const SMALL_KEPT: usize = 256;
const LARGE_KEPT: usize = 16;

/// The buffers of one worker that records travel in.
#[derive(Debug)]
pub struct RecordPools {
    small: Rc<BufferPool>,
    large: Rc<BufferPool>,
}

impl RecordPools {
    /// None in use yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        let small = BufferPool::new(RECORD_BYTES_MAX + TAIL_ROOM, SMALL_KEPT);
        let large = BufferPool::bounded(LARGE_BYTES, LARGE_KEPT, LARGE_MAX);
        Rc::new(Self { small, large })
    }

    /// One that holds any record.
    #[must_use]
    pub fn take(&self) -> Buffer {
        self.small.take()
    }

    /// One for so much plaintext, or for a part of it.
    pub(super) fn for_plain(&self, bytes: usize) -> Buffer {
        let is_large = bytes > RECORD_BYTES;
        is_large.then(|| self.large.try_take()).flatten().unwrap_or_else(|| self.small.take())
    }

    /// Buffers in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.small.in_use() + self.large.in_use()
    }
}
