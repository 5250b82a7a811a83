//! What io_uring offers here: a ring, the operations that workers use, the cheap completions.

use std::io;

use io_uring::{IoUring, opcode};

use super::{Finding, Outcome};
use crate::uring::StartError;

/// The operations that `uring/` submits.
const NEEDED: [(&str, u8); 8] = [
    ("ACCEPT", opcode::Accept::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SEND", opcode::Send::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("NOP", opcode::Nop::CODE),
];

pub(super) fn probe() -> Vec<Finding> {
    let plain = IoUring::new(8);
    let (ring, operations) = match &plain {
        Ok(ring) => (Outcome::Available("a ring can be set up".to_owned()), operations(ring)),
        Err(error) => {
            let why = Outcome::Missing("there is no ring".to_owned());
            (Outcome::Missing(cause(error)), why)
        }
    };
    vec![
        Finding::required("io_uring", ring),
        Finding::required("io_uring operations", operations),
        Finding::required("COOP_TASKRUN", cooperative()),
        Finding::optional("DEFER_TASKRUN", deferred()),
    ]
}

fn operations(ring: &IoUring) -> Outcome {
    let mut probe = io_uring::Probe::new();
    if let Err(error) = ring.submitter().register_probe(&mut probe) {
        return Outcome::Missing(format!("the kernel does not tell: {error}"));
    }
    let lacking: Vec<&str> = NEEDED
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    if lacking.is_empty() {
        Outcome::Available(NEEDED.map(|(name, _)| name).join(" "))
    } else {
        Outcome::Missing(format!(
            "lacking: {}; ringgate needs Linux 5.19 or later",
            lacking.join(" ")
        ))
    }
}

/// Workers set it where the kernel has nothing better.
fn cooperative() -> Outcome {
    match IoUring::<io_uring::squeue::Entry>::builder().setup_coop_taskrun().build(8) {
        Ok(_) => Outcome::Available("completions without interrupts".to_owned()),
        Err(error) => Outcome::Missing(cause(&error)),
    }
}

/// Workers set it where the kernel has it.
fn deferred() -> Outcome {
    match IoUring::<io_uring::squeue::Entry>::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8)
    {
        Ok(_) => Outcome::Available("completions when a worker asks for them".to_owned()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            Outcome::Missing("it came with Linux 6.1; a request costs more CPU".to_owned())
        }
        Err(error) => Outcome::Missing(cause(&error)),
    }
}

fn cause(error: &io::Error) -> String {
    let code = error.raw_os_error();
    StartError::from(
        code.map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error),
    )
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_names_what_to_change() {
        // ENOSYS and EPERM.
        assert!(cause(&io::Error::from_raw_os_error(38)).contains("no io_uring"));
        assert!(cause(&io::Error::from_raw_os_error(1)).contains("kernel.io_uring_disabled"));
    }
}
