//! Buffers that the kernel reads and writes, and the per-worker pool they come from.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Bytes kept free behind what is received, so that a chunk's closing CRLF (and the last chunk)
/// can be written behind its data in place.
pub const TAIL_ROOM: usize = 8;

/// A fixed piece of memory with a filled part, `start..end`. Returns to its pool when dropped.
///
/// The memory is a `Vec` of constant length: its address does not change while the buffer moves,
/// which is what lets an operation own it.
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    pool: Rc<BufferPool>,
}

impl Buffer {
    /// Bytes that it holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// What is filled.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// What is filled, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    /// How much is filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What can still be filled, behind the filled part.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.end..]
    }

    /// How much a receive may still fill: the spare part less [`TAIL_ROOM`].
    #[must_use]
    pub fn receivable(&self) -> usize {
        self.capacity().saturating_sub(self.end + TAIL_ROOM)
    }

    /// Counts `n` bytes of the spare part as filled.
    pub fn commit(&mut self, n: usize) {
        assert!(n <= self.capacity() - self.end, "commit past the end of a buffer");
        self.end += n;
    }

    /// Appends what fits and says whether all of it did; appends nothing otherwise.
    #[must_use]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let Some(spare) = self.memory.get_mut(self.end..self.end + bytes.len()) else {
            return false;
        };
        spare.copy_from_slice(bytes);
        self.end += bytes.len();
        true
    }

    /// Takes `n` bytes off the front of the filled part.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consume past the end of a buffer");
        self.start += n;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Keeps the first `n` bytes of the filled part only.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len(), "truncate past the end of a buffer");
        self.end = self.start + n;
    }

    /// Moves what is filled behind the first `n` bytes to a buffer of its own, or none where
    /// nothing is. The new buffer must be able to hold it: it is of the same pool.
    #[must_use]
    pub fn split_off(&mut self, n: usize) -> Option<Buffer> {
        let rest = &self.filled()[n..];
        if rest.is_empty() {
            return None;
        }
        let mut other = self.pool.take();
        let fits = other.append(rest);
        assert!(fits, "buffers of one pool are of one size");
        self.truncate(n);
        Some(other)
    }

    /// Grows the filled part at its front by `bytes`, into room left by [`Self::reserve_front`].
    pub fn prepend(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.start, "prepend without room in front");
        self.start -= bytes.len();
        self.memory[self.start..self.start + bytes.len()].copy_from_slice(bytes);
    }

    /// Empties the buffer and leaves `room` bytes in front of what is filled next.
    pub fn reserve_front(&mut self, room: usize) {
        assert!(room <= self.capacity(), "more room in front than the buffer has");
        self.start = room;
        self.end = room;
    }

    /// Moves the filled part to the front of the memory.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// The positions of the filled part, to be put back with [`Self::rewind`].
    #[must_use]
    pub fn mark(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// Makes what was filled at `mark` filled again: for sending the same bytes a second time.
    pub fn rewind(&mut self, mark: (usize, usize)) {
        assert!(mark.0 <= mark.1 && mark.1 <= self.capacity(), "a mark of another buffer");
        (self.start, self.end) = mark;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.memory));
    }
}

/// Says where the filled part is, never what it holds: it may be a token.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({}..{} of {})", self.start, self.end, self.capacity())
    }
}

/// Buffers of one size for one worker. Those in use are bounded by the connections that use them;
/// of those returned it keeps a bounded number.
pub struct BufferPool {
    size: usize,
    kept_max: usize,
    in_use_max: usize,
    free: RefCell<Vec<Vec<u8>>>,
    in_use: Cell<usize>,
}

impl BufferPool {
    /// A pool of buffers of `size` bytes that keeps up to `kept_max` unused ones.
    #[must_use]
    pub fn new(size: usize, kept_max: usize) -> Rc<Self> {
        Self::bounded(size, kept_max, usize::MAX)
    }

    /// As [`Self::new`], with at most `in_use_max` buffers for [`Self::try_take`].
    #[must_use]
    pub fn bounded(size: usize, kept_max: usize, in_use_max: usize) -> Rc<Self> {
        let free = RefCell::new(Vec::with_capacity(kept_max));
        Rc::new(Self { size, kept_max, in_use_max, free, in_use: Cell::new(0) })
    }

    /// An empty buffer, unless as many as may be are in use.
    #[must_use]
    pub fn try_take(self: &Rc<Self>) -> Option<Buffer> {
        (self.in_use.get() < self.in_use_max).then(|| self.take())
    }

    /// An empty buffer.
    #[must_use]
    pub fn take(self: &Rc<Self>) -> Buffer {
        let memory = self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; self.size]);
        self.in_use.set(self.in_use.get() + 1);
        Buffer { memory, start: 0, end: 0, pool: Rc::clone(self) }
    }

    /// Buffers taken and not yet returned.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// The size of its buffers.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.size
    }

    fn put(&self, memory: Vec<u8>) {
        self.in_use.set(self.in_use.get() - 1);
        let mut free = self.free.borrow_mut();
        if free.len() < self.kept_max {
            free.push(memory);
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({} in use of {} bytes)", self.in_use.get(), self.size)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_buffer_keeps_what_it_was_given_wherever_it_stands() {
        let pool = BufferPool::new(32, 4);
        let mut buffer = pool.take();
        buffer.reserve_front(4);
        assert!(buffer.append(b"data"));
        buffer.prepend(b"4\r\n");
        assert!(buffer.append(b"\r\n"));
        assert_eq!(buffer.filled(), b"4\r\ndata\r\n");
        let mark = buffer.mark();
        buffer.consume(3);
        assert_eq!(buffer.filled(), b"data\r\n");
        buffer.rewind(mark);
        buffer.compact();
        assert_eq!(buffer.filled(), b"4\r\ndata\r\n");
        assert!(!buffer.append(&[0; 24]), "does not fit");
        assert!(buffer.append(&[0; 23]));
        assert_eq!(buffer.receivable(), 0);
    }

    #[test]
    fn a_dropped_buffer_is_used_again_and_the_kept_ones_are_bounded() {
        let pool = BufferPool::new(16, 1);
        let (first, second) = (pool.take(), pool.take());
        assert_eq!(pool.in_use(), 2);
        drop(first);
        drop(second);
        assert_eq!(pool.in_use(), 0);
        assert_eq!(pool.free.borrow().len(), 1);
    }
}
