//! What a program says of single frames, as lines of the gateway's log.
//!
//! The program speaks where debug lines are wanted when it is loaded, and not of each frame: it
//! rations its lines itself, so that a flood costs no more than its counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use tracing::Level;

/// Whether the log takes what programs say.
pub(super) fn are_wanted() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// The lines of a program, in a ring that the kernel and this process share.
pub(super) struct Lines {
    ring: EbpfLogger<ToTracing>,
    said: Arc<AtomicU64>,
    /// Frames without a line, as far as the log tells of them.
    unsaid: u64,
}

impl Lines {
    /// Takes them out of an object, before its program is loaded; none if it has none.
    pub(super) fn of(ebpf: &mut Ebpf) -> Option<Self> {
        let said = Arc::default();
        let ring = EbpfLogger::init_with_logger(ebpf, ToTracing(Arc::clone(&said))).ok()?;
        Some(Self { ring, said, unsaid: 0 })
    }

    /// Writes what came since the last time, and how many of all the frames that there were a line
    /// for, or could have been, have none.
    pub(super) fn pass_on(&mut self, frames: u64) {
        self.ring.flush();
        let unsaid = frames.saturating_sub(self.said.load(Ordering::Relaxed));
        if unsaid > self.unsaid {
            tracing::debug!(frames = unsaid - self.unsaid, "dropped without a line of their own");
            self.unsaid = unsaid;
        }
    }
}

/// The lines as aya-log reads them, handed on and counted.
struct ToTracing(Arc<AtomicU64>);

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        are_wanted()
    }

    fn log(&self, record: &Record<'_>) {
        tracing::debug!(program = record.target(), "{}", record.args());
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}
