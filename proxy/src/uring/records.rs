//! Buffers for the records of TLS streams.

use std::rc::Rc;

use super::buffer::{Buffer, BufferPool, TAIL_ROOM};
use crate::tls::{RECORD_BYTES, RECORD_BYTES_MAX};

/// What the records of 256 KiB take, and what a session may have to say before them.
const LARGE_BYTES: usize = 272 * 1024;
/// Large ones in use at a time at most: 34 MiB. Small ones do where there is none left.
const LARGE_MAX: usize = 128;

/// The least room for plaintext that a large one is received into for.
const LARGE_ROOM: usize = 128 * 1024;

/// Unused ones that are kept for later: a new one costs zeroing it.
const SMALL_KEPT: usize = 256;
const LARGE_KEPT: usize = 32;

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

    /// One to seal so much plaintext into, or a part of it.
    pub(super) fn to_send(&self, bytes: usize) -> Buffer {
        self.large_if(bytes > RECORD_BYTES)
    }

    /// One to receive into where there is so much room for plaintext: a large one only for bodies. A
    /// buffer of a head has room for more than one record, too, and seldom gets as much.
    pub(super) fn to_receive(&self, room: usize) -> Buffer {
        self.large_if(room >= LARGE_ROOM)
    }

    fn large_if(&self, is_wanted: bool) -> Buffer {
        is_wanted.then(|| self.large.try_take()).flatten().unwrap_or_else(|| self.small.take())
    }

    /// Buffers in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.small.in_use() + self.large.in_use()
    }
}
