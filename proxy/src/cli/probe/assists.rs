//! Which eBPF programs this kernel takes from this process.

use super::{Finding, Outcome};
use crate::kernel::{Assist, Probe};

/// Loads each program, attaches it nowhere, and lets go of it.
pub(super) fn probe() -> impl Iterator<Item = Finding> {
    let probe = Probe::of_this_process();
    Assist::ALL.into_iter().map(move |assist| {
        let program = format!("{} of Linux {}", assist.program(), assist.since());
        let outcome = match probe.try_out(assist) {
            Ok(()) => Outcome::Available(format!("{program}: loads")),
            Err(off) => Outcome::Missing(format!("{program}: {off}")),
        };
        Finding::optional(assist.name(), outcome)
    })
}
