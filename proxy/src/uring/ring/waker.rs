//! How the tasks of a ring's thread are woken: by a flag, and from other threads by a bell, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::thread::{self, ThreadId};

use super::Bell;

/// Whether a task has something to do.
pub(super) struct Woken {
    flag: AtomicBool,
    owner: ThreadId,
    /// Rung where the owner may be waiting in the kernel.
    bell: Bell,
}

impl Woken {
    /// Of the thread that calls this.
    pub(super) fn new(bell: Bell) -> Arc<Self> {
        Arc::new(Self { flag: AtomicBool::new(false), owner: thread::current().id(), bell })
    }

    /// Whether there was a call since the last [`Self::clear`].
    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Before the tasks are run that have something to do.
    pub(super) fn clear(&self) {
        self.flag.store(false, Ordering::Relaxed);
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever finds it set already need not ring: the owner looks before it waits.
        if !self.flag.swap(true, Ordering::AcqRel) && thread::current().id() != self.owner {
            self.bell.ring();
        }
    }
}
