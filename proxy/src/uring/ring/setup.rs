//! The ring of one worker: how it is set up, and what to tell the operator when it cannot be.

use std::io;

use io_uring::IoUring;

/// How many entries the queues of a ring have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queues {
    pub(super) submission: u32,
    pub(super) completion: u32,
}

impl Queues {
    /// Those of a worker. More submissions would only save system calls when over a thousand
    /// operations start in one turn; completions beyond theirs go to a list of the kernel's, which
    /// takes memory and time.
    pub(super) const WORKER: Self = Self { submission: 1024, completion: 16 * 1024 };
}

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

/// A ring for this thread alone.
///
/// # Errors
/// When the kernel gives none.
pub(super) fn ring(queues: Queues) -> Result<IoUring, StartError> {
    match deferring(queues) {
        // A kernel before 6.1.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(cooperating(queues)?),
        made => Ok(made?),
    }
}

/// One whose completions are run when this thread asks for them, all at once.
pub(super) fn deferring(queues: Queues) -> io::Result<IoUring> {
    let mut ring = IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_submit_all();
    ring.setup_clamp().setup_cqsize(queues.completion).build(queues.submission)
}

/// One whose completions are run whenever this thread enters the kernel, without interrupting it.
pub(super) fn cooperating(queues: Queues) -> io::Result<IoUring> {
    let mut ring = IoUring::builder();
    ring.setup_coop_taskrun().setup_taskrun_flag().setup_submit_all();
    ring.setup_clamp().setup_cqsize(queues.completion).build(queues.submission)
}
