//! One run of a load, and what it measured.

pub(super) mod own;
pub(super) mod wrk;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What the clients saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    /// That came, heads included where wrk counts them.
    pub(super) bytes: u64,
    pub(super) duration_us: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) socket_errors: u64,
}

/// Reads the line that says what a run measured; an error when a response was not 2xx or nothing
/// came through.
fn parse(output: &str) -> Result<Load> {
    let result = result(output)?;
    let number = |key: &str| {
        result[key].as_u64().with_context(|| format!("no whole number `{key}`: {result}"))
    };
    let load = Load {
        requests: number("requests")?,
        bytes: number("bytes")?,
        duration_us: number("duration_us")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        p999_us: number("p999_us")?,
        socket_errors: number("socket_errors")?,
    };
    if number("bad_status")? > 0 || load.requests == 0 || load.duration_us == 0 {
        bail!("not every response was good: {result}");
    }
    Ok(load)
}

fn result(output: &str) -> Result<Value> {
    let line = output.lines().find_map(|line| line.strip_prefix("RESULT "));
    Ok(serde_json::from_str(line.with_context(|| output.to_owned())?)?)
}

#[cfg(test)]
mod tests {
    use super::{Load, parse};

    fn output(requests: u64, bad: u64) -> String {
        format!(
            "Running 4s test\nRESULT {{\"requests\":{requests},\"bytes\":640,\
             \"duration_us\":4000000,\"p50_us\":900,\"p99_us\":1800,\"p999_us\":1900,\
             \"bad_status\":{bad},\"socket_errors\":2}}\n"
        )
    }

    #[test]
    fn the_result_line_is_read() {
        let expected = Load {
            requests: 5,
            bytes: 640,
            duration_us: 4_000_000,
            p50_us: 900,
            p99_us: 1800,
            p999_us: 1900,
            socket_errors: 2,
        };
        assert_eq!(parse(&output(5, 0)).expect("a good run"), expected);
    }

    #[test]
    fn a_run_with_refusals_or_without_requests_is_no_measurement() {
        assert!(parse(&output(5, 1)).is_err());
        assert!(parse(&output(0, 0)).is_err());
        assert!(parse("wrk: unknown option").is_err());
    }
}
