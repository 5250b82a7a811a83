//! What idle connections cost in user memory: 10,000 of them, each after one request.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::load::own::Run;

pub(super) const CONNECTIONS: u32 = 10_000;
/// Long enough for a proxy to take back the buffers of connections that have gone idle.
const SETTLE: Duration = Duration::from_secs(4);

/// Arguments of the load that opens them.
pub(super) fn arguments() -> Vec<String> {
    vec!["idle".into(), "--connections".into(), CONNECTIONS.to_string()]
}

/// Resident bytes a connection, over what there was with one connection that had been served.
pub(super) fn bytes_each(run: &mut Run, pid: u32) -> Result<f64> {
    run.wait_for("FIRST")?;
    thread::sleep(SETTLE);
    let before = resident_bytes(pid)?;
    run.go_on()?;
    run.wait_for("READY")?;
    thread::sleep(SETTLE);
    let after = resident_bytes(pid)?;
    run.go_on()?;
    run.result().context("a connection that was idle")?;
    Ok(after.saturating_sub(before) as f64 / f64::from(CONNECTIONS - 1))
}

/// Resident memory of the process and its children.
fn resident_bytes(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).context("no Rss")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    let mut total = kibibytes * 1024;
    let children = format!("/proc/{pid}/task/{pid}/children");
    for child in fs::read_to_string(children)?.split_whitespace() {
        total += resident_bytes(child.parse()?)?;
    }
    Ok(total)
}
