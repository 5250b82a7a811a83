//! Pipes for `splice(2)`: bytes from one socket to another that never come to user space.
//!
//! A pipe holds memory only while bytes are in it, and is one direction's only while much keeps
//! coming: between two bursts it is the worker's again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::uring::Buffer;

/// What a pipe takes. More than this needs pages beyond what `fs.pipe-user-pages-soft` allows to 256
/// pipes of a user without rights.
const PIPE_BYTES: usize = 256 * 1024;

/// Pipes that a worker may have at a time, and those kept when nobody uses them.
const PIPES_MAX: usize = 64;
const PIPES_KEPT: usize = 8;

/// The pipes of one worker.
#[derive(Default)]
pub struct Pipes {
    kept: RefCell<Vec<Ends>>,
    in_use: Cell<usize>,
    carried: Cell<u64>,
}

impl Pipes {
    /// None yet: they are made when they are needed.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// An empty pipe, unless as many as may be are in use or the kernel has none.
    pub(super) fn take(self: &Rc<Self>) -> Option<Pipe> {
        if self.in_use.get() >= PIPES_MAX {
            return None;
        }
        let kept = self.kept.borrow_mut().pop();
        let ends = kept.map_or_else(Ends::open, Ok).ok()?;
        self.in_use.set(self.in_use.get() + 1);
        Some(Pipe { ends: Some(ends), filled: 0, pipes: Rc::clone(self) })
    }

    /// Pipes in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// Bytes that have gone through pipes.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.get()
    }
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipes({} in use)", self.in_use.get())
    }
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    fn open() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&write, PIPE_BYTES)?;
        Ok(Self { read, write })
    }
}

/// A pipe in use. One that still holds bytes at the end is closed with them.
pub(super) struct Pipe {
    /// There until the drop.
    ends: Option<Ends>,
    filled: usize,
    pipes: Rc<Pipes>,
}

impl Pipe {
    /// Bytes in it.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Takes what the socket has received, as far as there is room; 0 is the end of the stream.
    ///
    /// The socket must be non-blocking: of the flag below it takes no notice. The same goes for
    /// [`Self::drain`].
    pub(super) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let room = PIPE_BYTES - self.filled;
        let into = &self.ends()?.write;
        let taken = splice(socket, None, into, None, room, SpliceFlags::NONBLOCK)?;
        self.filled += taken;
        Ok(taken)
    }

    /// Gives to the socket as much as it takes. A socket whose peer is gone answers with an error
    /// and SIGPIPE, which Rust's runtime has ignored.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let from = &self.ends()?.read;
        let given = splice(from, None, socket, None, self.filled, SpliceFlags::NONBLOCK)?;
        self.filled -= given;
        self.pipes.carried.set(self.pipes.carried.get() + given as u64);
        Ok(given)
    }

    /// Takes bytes out into a buffer.
    pub(super) fn read(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        let taken = rustix::io::read(&self.ends()?.read, buffer.spare_mut())?;
        buffer.commit(taken);
        self.filled -= taken;
        Ok(())
    }

    fn ends(&self) -> io::Result<&Ends> {
        self.ends.as_ref().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.pipes.in_use.set(self.pipes.in_use.get() - 1);
        let mut kept = self.pipes.kept.borrow_mut();
        if self.filled == 0 && kept.len() < PIPES_KEPT {
            kept.extend(self.ends.take());
        }
    }
}
