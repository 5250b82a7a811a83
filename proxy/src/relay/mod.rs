//! Bytes from one connection to another: message bodies with their framing, and tunnels.

mod body;
mod copy;
mod frames;
mod pace;
mod pipes;
mod splicer;
mod tunnel;

pub use body::{Sink, Source, Step};
pub use copy::{CopyError, Flow, copy, passing_trailers, trailer_section};
pub use frames::{Frames, close_frame};
pub use pipes::Pipes;
pub use splicer::Splicer;
pub use tunnel::{Tunnel, TunnelEnd, Ways, WebSocket, tunnel};

use std::rc::Rc;

use crate::uring::{Buffer, BufferPool};

/// The buffers that bodies travel in.
#[derive(Debug, Clone, Copy)]
pub struct Pools<'a> {
    /// For most: the size of a message head.
    pub small: &'a Rc<BufferPool>,
    /// For what keeps coming: fewer and bigger system calls. Bounded; small ones do when it is
    /// empty.
    pub large: &'a Rc<BufferPool>,
}

impl Pools<'_> {
    /// An empty buffer, a large one if wanted and left.
    #[must_use]
    pub fn take(&self, large: bool) -> Buffer {
        large.then(|| self.large.try_take()).flatten().unwrap_or_else(|| self.small.take())
    }
}
