//! CPU time of a process and its children, all threads, from the scheduler's own account.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Nanoseconds on a CPU so far. Threads that ended are not in it: the contenders keep theirs.
pub(super) fn time_ns(pid: u32) -> Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let mut total = 0;
    for entry in Path::new(&tasks).read_dir().with_context(|| tasks.clone())? {
        let task = entry?.path();
        // First of three numbers: time on a CPU, time waiting for one, turns.
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let ran = schedstat.split(' ').next().unwrap_or_default();
        total += ran.parse::<u64>().with_context(|| schedstat.clone())?;
        for child in fs::read_to_string(task.join("children"))?.split_whitespace() {
            total += time_ns(child.parse()?)?;
        }
    }
    Ok(total)
}
