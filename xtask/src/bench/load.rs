//! One run of wrk, and what it measured.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::LOAD_CORE;
use super::scenario::Scenario;
use super::tokens;
use crate::process;
use crate::workspace;

/// What wrk saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) duration_us: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) socket_errors: u64,
}

/// Loads one proxy; an error when a response is not 2xx or nothing came through.
pub(super) fn run(
    scenario: Scenario,
    address: SocketAddr,
    tokens: Option<&tokens::Set>,
    seconds: u32,
) -> Result<Load> {
    let mut wrk = Command::new("taskset");
    wrk.args(["-c", LOAD_CORE, "wrk", "--threads", "1", "--latency"])
        .args(["--connections", &scenario.connections().to_string()])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(workspace::root().join("benches/end_to_end/load.lua"));
    if scenario.closes() {
        wrk.args(["--header", "Connection: close"]);
    }
    wrk.arg(format!("http://{address}{}", scenario.path()));
    if let Some(tokens) = tokens {
        wrk.arg("--").arg(&tokens.list);
    }
    parse(&process::output(&mut wrk)?)
}

fn parse(output: &str) -> Result<Load> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result: Value = serde_json::from_str(line.with_context(|| output.to_owned())?)?;
    let number = |key: &str| {
        result[key].as_u64().with_context(|| format!("wrk wrote no whole number `{key}`: {result}"))
    };
    let load = Load {
        requests: number("requests")?,
        duration_us: number("duration_us")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        socket_errors: number("socket_errors")?,
    };
    if number("bad_status")? > 0 || load.requests == 0 || load.duration_us == 0 {
        bail!("not every response was good: {result}");
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::{Load, parse};

    fn output(requests: u64, bad: u64) -> String {
        format!(
            "Running 4s test\nRESULT {{\"requests\":{requests},\"duration_us\":4000000,\
             \"p50_us\":900,\"p99_us\":1800,\"bad_status\":{bad},\"socket_errors\":2}}\n"
        )
    }

    #[test]
    fn the_result_line_is_read() {
        let (duration_us, p50_us, p99_us, socket_errors) = (4_000_000, 900, 1800, 2);
        let expected = Load { requests: 5, duration_us, p50_us, p99_us, socket_errors };
        assert_eq!(parse(&output(5, 0)).expect("a good run"), expected);
    }

    #[test]
    fn a_run_with_refusals_or_without_requests_is_no_measurement() {
        assert!(parse(&output(5, 1)).is_err());
        assert!(parse(&output(0, 0)).is_err());
        assert!(parse("wrk: unknown option").is_err());
    }
}
