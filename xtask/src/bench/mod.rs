//! ringgate, nginx and haproxy side by side: the same load, the same upstream, in turns.
//!
//! The method and its limits are told in benches/README.md.

mod configuration;
mod contender;
mod cpu;
pub(crate) mod flood;
pub(crate) mod idle;
mod load;
mod report;
mod scenario;
mod server;
mod service;
pub(crate) mod slow;
pub(crate) mod soak;
mod steady;
pub(crate) mod steering;
mod tokens;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{process, setup, workspace};
use contender::Contender;
use report::{Report, Round};
use scenario::Scenario;
use server::Server;

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds of each contender in each scenario, in turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of load in a round
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Only this scenario; may be repeated
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// Only this contender; may be repeated
    #[arg(long = "contender", value_enum)]
    contenders: Vec<Contender>,
}

/// The core of the proxy under test, and the one of the load and the upstream.
pub(crate) const PROXY_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";

/// Measures, prints the table, writes the raw figures under benches/results.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::for_bench()?;
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("two CPUs are needed: one for the proxy, one for the load");
    }
    let all = |given: &[Contender]| match given {
        [] => Contender::ALL.to_vec(),
        given => given.to_vec(),
    };
    let contenders = all(&options.contenders);
    build(&contenders)?;
    let folder = tempfile::tempdir()?;
    let upstream = Server::upstream(&workspace::built("release", "bench-upstream")?)?;
    let mut report = Report::new(options.rounds, options.seconds, &contenders)?;
    let scenarios = match options.scenarios.as_slice() {
        [] => Scenario::ALL,
        given => given,
    };
    for scenario in scenarios {
        measure(*scenario, options, &contenders, &upstream, folder.path(), &mut report)?;
    }
    report.print();
    println!("\nraw figures: {}", report.write()?.display());
    Ok(())
}

fn build(contenders: &[Contender]) -> Result<()> {
    let mut packages = vec!["bench-upstream"];
    if contenders.contains(&Contender::Ringgate) {
        packages.push("ringgate");
    }
    for package in packages {
        let mut cargo = workspace::cargo();
        process::run(cargo.args(["build", "--locked", "--release", "--package", package]))?;
    }
    Ok(())
}

/// All rounds of one scenario: every contender once, then every contender again.
fn measure(
    scenario: Scenario,
    options: &Options,
    contenders: &[Contender],
    upstream: &Server,
    folder: &Path,
    report: &mut Report,
) -> Result<()> {
    let tokens = scenario.tokens().then(|| tokens::Set::make(folder)).transpose()?;
    let mut running = Vec::new();
    for contender in contenders.iter().filter(|contender| contender.takes_part(scenario)) {
        let server = contender.start(upstream.address, folder, tokens.as_ref())?;
        if let Some(tokens) = &tokens {
            tokens::prove_verification(server.address, tokens)
                .with_context(|| format!("{} does not verify tokens", contender.name()))?;
        }
        load::run(scenario, server.address, tokens.as_ref(), 1)
            .with_context(|| format!("warming {}", contender.name()))?;
        running.push((*contender, server));
    }
    for round in 1..=options.rounds {
        for (contender, server) in &running {
            let before = cpu::time_ns(server.pid())?;
            let load = load::run(scenario, server.address, tokens.as_ref(), options.seconds)
                .with_context(|| format!("{scenario:?} through {}", contender.name()))?;
            let cpu_ns = cpu::time_ns(server.pid())? - before;
            let figures = Round { scenario, contender: *contender, round, cpu_ns, load };
            println!("{figures}");
            report.rounds.push(figures);
        }
    }
    Ok(())
}
