//! What a flood of bad tokens does to good requests on the same core: 1,000 connections with one
//! forged token after the other, beside requests whose tokens the gateway knows.
//!
//! The method and its limits are told in benches/README.md.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::contender::Contender;
use super::load::Load;
use super::measure::Running;
use super::placement::{LOAD_CORE, Priority};
use super::rig::Rig;
use super::scenario::Scenario;
use super::tokens;
use crate::workspace;

const CONNECTIONS: u32 = 1000;
/// The flood begins so long before the good requests, and ends as long after them.
const MARGIN: Duration = Duration::from_secs(1);
/// What ringgate promises of the p99.
const RATIO_MAX: f64 = 3.0;

/// How long to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds, each without and with the flood
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of good requests in each
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
}

/// Measures and fails where the median of the ratios is over the bound.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut rig = Rig::new(Priority::Usual, true)?;
    let scenario = Scenario::Rs256Thousand;
    rig.make_tokens(&[scenario])?;
    let tokens = rig.tokens(&scenario.shape())?.context("tokens")?;
    let mut server = Running::start(Contender::Ringgate, scenario, &rig)?;
    let address = server.address();
    let mut good = |seconds| -> Result<Load> {
        rig.interrupt.check()?;
        server.run(seconds, &rig)?.load().copied().context("a load")
    };
    good(1).context("warming")?;
    println!("{:>5} {:>15} {:>15} {:>6}", "round", "p50, p99 alone", "in the flood", "p99 by");
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        let alone = good(options.seconds)?;
        let flood = Flood::start(address, tokens, options.seconds)?;
        thread::sleep(MARGIN);
        let flooded = good(options.seconds)?;
        flood.finish()?;
        let ratio = flooded.p99_us as f64 / alone.p99_us as f64;
        let shown = |load: &Load| format!("{}, {}", load.p50_us, load.p99_us);
        println!("{round:>5} {:>15} {:>15} {ratio:>6.2}", shown(&alone), shown(&flooded));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    if median > RATIO_MAX {
        bail!("the p99 of good requests grows by {median:.2}; {RATIO_MAX} is allowed");
    }
    Ok(())
}

/// wrk with forged tokens, on the core of the load and behind the good requests' own.
struct Flood(std::process::Child);

impl Flood {
    fn start(address: SocketAddr, tokens: &tokens::Set, seconds: u32) -> Result<Self> {
        let seconds = u64::from(seconds) + 2 * MARGIN.as_secs();
        let mut wrk = Command::new("nice");
        wrk.args(["-n", "15", "taskset", "-c", LOAD_CORE, "wrk", "--threads", "1"])
            .args(["--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{seconds}s"), "--script"])
            .arg(workspace::root().join("benches/end_to_end/flood.lua"))
            .arg(format!("http://{address}/"))
            .arg("--")
            .arg(&tokens.list);
        wrk.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self(wrk.spawn().context("wrk")?))
    }

    /// Every answer must have been a refusal: a flood of good tokens is none.
    fn finish(self) -> Result<()> {
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        let count = |line: &str| line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        let of = |mark: &str| text.lines().find(|line| line.contains(mark)).and_then(count);
        match (of(" requests in "), of("Non-2xx or 3xx responses:")) {
            (Some(all), Some(refused)) if all > 0 && all == refused => Ok(()),
            counts => bail!("not every forged token was refused: {counts:?}\n{text}"),
        }
    }
}
