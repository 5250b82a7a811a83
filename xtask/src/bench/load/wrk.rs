//! wrk: requests as fast as answers come, on connections that are kept or not.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Load;
use crate::bench::placement::Placement;
use crate::process;
use crate::workspace;

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) connections: u32,
    pub(crate) path: &'a str,
    /// Whether the client asks for each connection to be closed.
    pub(crate) closes: bool,
    pub(crate) tokens: Option<Turns<'a>>,
}

/// Tokens that requests take in turn.
#[derive(Clone, Copy)]
pub(crate) struct Turns<'a> {
    /// One a line.
    pub(crate) list: &'a Path,
    /// How many of them, from the first.
    pub(crate) count: usize,
    /// Which of these is the first one's.
    pub(crate) first: usize,
}

pub(crate) fn run(
    plan: &Plan<'_>,
    address: SocketAddr,
    seconds: u32,
    placement: &Placement,
) -> Result<Load> {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--latency"])
        .args(["--connections", &plan.connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(workspace::root().join("benches/end_to_end/load.lua"));
    if plan.closes {
        wrk.args(["--header", "Connection: close"]);
    }
    wrk.arg(format!("http://{address}{}", plan.path));
    if let Some(turns) = plan.tokens {
        wrk.arg("--").arg(turns.list).args([turns.count.to_string(), turns.first.to_string()]);
    }
    super::parse(&process::output(&mut placement.load(&wrk))?)
}
