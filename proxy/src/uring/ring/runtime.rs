//! The ring of one worker: how it is set up, and what to tell the operator when it cannot be.

use std::future::Future;
use std::io;

/// Submission entries. More only saves system calls when over a thousand operations start in one
/// turn; the queue is flushed when it is full.
const SUBMISSION_ENTRIES: u32 = 1024;

/// Completion entries: what may complete between two turns without the kernel's overflow list.
const COMPLETION_ENTRIES: u32 = 16 * 1024;

/// Why a worker has no ring.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `ENOSYS`.
    #[error("this kernel has no io_uring; ringgate needs Linux 5.19 or later")]
    NoIoUring,
    /// `EPERM`: switched off, or filtered.
    #[error(
        "io_uring is not permitted here: sysctl kernel.io_uring_disabled is {sysctl} (0 allows it \
         to everyone, 1 to members of kernel.io_uring_group and CAP_SYS_ADMIN, 2 to nobody); \
         if it is 0, a seccomp filter refuses it: in a container allow io_uring_setup, \
         io_uring_enter and io_uring_register"
    )]
    NotPermitted {
        /// What the sysctl says now, or why it cannot be read.
        sysctl: String,
    },
    /// `ENOMEM`.
    #[error(
        "no memory for the io_uring queues: on kernels before 5.12 they count against \
         RLIMIT_MEMLOCK; raise it (LimitMEMLOCK= in a systemd unit)"
    )]
    NoMemory,
    /// `EINVAL`: a flag this kernel does not know.
    #[error("this kernel's io_uring is too old; ringgate needs Linux 5.19 or later")]
    TooOld,
    /// Anything else.
    #[error("cannot set up io_uring: {0}")]
    Other(#[source] io::Error),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::NoIoUring,
            Some(libc::EPERM | libc::EACCES) => {
                let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
                    .map_or_else(|e| format!("unreadable ({e})"), |text| text.trim().to_owned());
                Self::NotPermitted { sysctl }
            }
            Some(libc::ENOMEM) => Self::NoMemory,
            Some(libc::EINVAL) => Self::TooOld,
            _ => Self::Other(error),
        }
    }
}

/// Runs `future` to its end on a new ring and a single-threaded runtime of this thread.
///
/// # Errors
/// When the kernel gives no ring; `future` has not run then.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, StartError> {
    let mut ring = io_uring::IoUring::builder();
    // COOP_TASKRUN (5.19): completions are run when this thread enters the kernel anyway, instead
    // of interrupting it; 6-10 % less CPU a request. DEFER_TASKRUN would be cheaper still but
    // hangs: the runtime never enters with GETEVENTS.
    ring.setup_coop_taskrun().setup_cqsize(COMPLETION_ENTRIES);
    let mut builder = tokio_uring::builder();
    builder.entries(SUBMISSION_ENTRIES).uring_builder(&ring);
    let runtime = tokio_uring::Runtime::new(&builder)?;
    Ok(runtime.block_on(future))
}
