//! What 1,000 slow connections do to good requests, in the four modes of slowhttptest.
//!
//! The method and its limits are told in benches/README.md.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::placement::{LOAD_CORE, Placement, Priority};
use super::rig;
use super::server::{self, Server};
use super::soak::gauges::Scrape;
use super::steady::{self, Times};
use crate::{setup, workspace};

const CONNECTIONS: u32 = 1000;
/// New connections a second.
const RATE: u32 = 1000;
/// How long they may take to be there.
const MARGIN: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What ringgate promises of the p99.
const RATIO_MAX: f64 = 3.0;

/// How long to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds of each mode, each without and with the slow connections
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of good requests in each
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
}

/// What is slow, and how slowhttptest is told so.
struct Mode {
    name: &'static str,
    arguments: &'static [&'static str],
    path: &'static str,
}

const MODES: [Mode; 4] = [
    Mode { name: "slow headers", arguments: &["-H", "-i", "1", "-t", "GET"], path: "/slow" },
    Mode {
        name: "slow body",
        arguments: &["-B", "-i", "1", "-s", "65536", "-x", "16"],
        path: "/slow",
    },
    Mode {
        name: "ranges",
        arguments: &["-R", "-a", "5", "-b", "3000", "-t", "GET"],
        path: "/slow",
    },
    Mode {
        name: "slow read",
        arguments: &["-X", "-n", "1", "-w", "256", "-y", "1024", "-z", "32", "-k", "2"],
        path: "/1m",
    },
];

/// Measures and fails where the service was not there for a good request or for slowhttptest's own
/// probe, or where the median of a mode's ratios is over the bound.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::for_slow()?;
    rig::build(true)?;
    let folder = tempfile::tempdir()?;
    // Two, so that good requests wait for nobody there: what they wait for is in the gateway.
    let program = workspace::built("release", "bench-upstream")?;
    let placement = Placement::new(Priority::Usual);
    let upstream = || Server::upstream(&program, &placement);
    let (good, slow) = (upstream()?, upstream()?);
    let (server, admin) = start(good.address, slow.address, folder.path(), &placement)?;
    let how_long = Duration::from_secs(options.seconds.into());
    steady::ask(server.address, Duration::from_secs(1)).context("warming")?;
    let columns = ["round", "open", "p50, p99 alone", "beside", "p99 by"];
    let [round, open, alone, beside, by] = columns;
    println!("{:<13} {round:>5} {open:>5} {alone:>17} {beside:>17} {by:>6}", "mode");
    let mut over = Vec::new();
    for mode in &MODES {
        let mut ratios = Vec::new();
        for round in 1..=options.rounds {
            let alone = steady::ask(server.address, how_long)?;
            let connected =
                || -> Result<f64> { Ok(Scrape::take(admin)?.sum("ringgate_connections_total")) };
            let all = connected()? + f64::from(CONNECTIONS);
            let slow = Slow::start(mode, server.address, how_long)?;
            wait_for(|| Ok(connected()? >= all))?;
            let open = Scrape::take(admin)?.sum("ringgate_connections_open");
            let beside = steady::ask(server.address, how_long)
                .with_context(|| format!("no service beside {}", mode.name))?;
            slow.finish()?;
            let ratio = beside.p99.as_secs_f64() / alone.p99.as_secs_f64();
            let (alone, beside) = (shown(alone), shown(beside));
            println!(
                "{:<13} {round:>5} {open:>5} {alone:>17} {beside:>17} {ratio:>6.2}",
                mode.name
            );
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        println!("{:<13} median {median:.2}", mode.name);
        if median > RATIO_MAX {
            over.push(format!("beside {} by {median:.2}", mode.name));
        }
    }
    if !over.is_empty() {
        bail!("the p99 of good requests grows {}; {RATIO_MAX} is allowed", over.join(", "));
    }
    Ok(())
}

/// Until all of the slow connections have been accepted.
fn wait_for(is_over: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + MARGIN;
    while !is_over()? {
        if Instant::now() > deadline {
            bail!("slowhttptest does not open {CONNECTIONS} connections within {MARGIN:?}");
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Microseconds.
fn shown(times: Times) -> String {
    format!("{}, {}", times.p50.as_micros(), times.p99.as_micros())
}

/// One worker, and every bound as it is where nothing is configured.
fn start(
    good: SocketAddr,
    slow: SocketAddr,
    folder: &Path,
    placement: &Placement,
) -> Result<(Server, SocketAddr)> {
    let (address, admin) = (server::free_address()?, server::free_address()?);
    let config = json!({
        "workers": 1,
        "listeners": [{ "name": "public", "address": address.to_string() }],
        "admin": { "address": admin.to_string() },
        "upstreams": {
            "good": { "endpoints": [good.to_string()] },
            "slow": { "endpoints": [slow.to_string()] },
        },
        "routes": [
            { "match": { "path": "/" }, "upstream": "good" },
            { "match": {}, "upstream": "slow" },
        ],
        "access_log": { "target": "off" },
        "log": { "level": "warn" },
    });
    let file = folder.join("slow.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(workspace::built("release", "ringgate")?);
    command.arg("run").arg(&file);
    Ok((Server::start("ringgate", &placement.proxy(&command), address, folder)?, admin))
}

/// slowhttptest, on the core of the load and behind the good requests.
struct Slow {
    mode: &'static str,
    child: Child,
}

impl Slow {
    fn start(mode: &Mode, address: SocketAddr, how_long: Duration) -> Result<Self> {
        // It ends by itself behind the good requests, should it not be stopped.
        let seconds = (how_long + MARGIN).as_secs();
        let mut command = Command::new("nice");
        command
            .args(["-n", "15", "taskset", "-c", LOAD_CORE, "slowhttptest"])
            .args(mode.arguments)
            .args(["-c", &CONNECTIONS.to_string(), "-r", &RATE.to_string()])
            .args(["-l", &seconds.to_string(), "-p", "3", "-v", "1"])
            .args(["-u", &format!("http://{address}{}", mode.path)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(Self { mode: mode.name, child: command.spawn().context("slowhttptest")? })
    }

    /// Ends it; its own probe must have been answered all the time.
    fn finish(self) -> Result<()> {
        // It says what it has seen when it is told to go, or has gone by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let output = self.child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seen: Vec<&str> =
            text.lines().filter(|line| line.contains("service available")).collect();
        if seen.is_empty() || seen.iter().any(|line| !line.contains("YES")) {
            bail!("slowhttptest found no service beside {}:\n{text}", self.mode);
        }
        Ok(())
    }
}
