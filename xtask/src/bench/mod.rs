//! Where speed is measured: ringgate beside other proxies, the same load, the same upstream, in turns.
//!
//! The method and its limits are told in benches/README.md.

mod certificate;
mod chart;
mod configuration;
mod contender;
mod cpu;
pub(crate) mod flood;
mod growth;
mod interrupt;
mod load;
mod measure;
mod memory;
mod placement;
mod prove;
mod report;
mod rig;
mod scenario;
mod server;
mod service;
pub(crate) mod slow;
pub(crate) mod soak;
mod spread;
mod steady;
pub(crate) mod steering;
mod table;
mod tokens;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use serde_json::json;

use crate::{setup, workspace};
use contender::Contender;
use measure::Running;
use placement::Priority;
use report::Report;
use rig::Rig;
use scenario::Scenario;

/// What to measure, and how long.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    effort: Effort,
    /// Only this scenario; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Scenario>,
    /// Only this contender; may be repeated
    #[arg(long = "contender", value_enum)]
    contenders: Vec<Contender>,
}

/// What is measured apart.
#[derive(clap::Subcommand)]
enum Part {
    /// How ringgate's cost grows with connections, routes, keys, bodies and workers
    Growth(growth::Options),
}

/// How long, and what becomes of the figures.
#[derive(clap::Args, Clone, Copy)]
struct Effort {
    /// Runs of each contender in each scenario, in turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of load in a run
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Run contenders, upstream and load with real-time priority (chrt -r 10; root)
    #[arg(long)]
    realtime: bool,
    /// Keep the figures in benches/results, not only in the target folder
    #[arg(long)]
    save: bool,
}

impl Effort {
    fn priority(self) -> Priority {
        if self.realtime { Priority::Realtime } else { Priority::Usual }
    }

    fn folder(self) -> Result<PathBuf> {
        Ok(match self.save {
            true => workspace::root().join("benches/results"),
            false => workspace::target_folder()?.join("bench"),
        })
    }

    fn json(self) -> serde_json::Value {
        json!({ "runs": self.runs, "seconds": self.seconds, "realtime": self.realtime })
    }
}

/// Measures, prints the table, writes the raw figures and a chart.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.part {
        Some(Part::Growth(options)) => growth::run(options),
        None => compare(options),
    }
}

fn compare(options: &Options) -> Result<()> {
    let contenders = contenders(&options.contenders);
    let scenarios = match options.only.as_slice() {
        [] => Scenario::value_variants(),
        given => given,
    };
    let effort = options.effort;
    let mut rig = Rig::new(effort.priority(), contenders.contains(&Contender::Ringgate))?;
    rig.make_tokens(scenarios)?;
    let mut report = Report::new(&contenders, &effort.json())?;
    let mut failures = Vec::new();
    for scenario in scenarios {
        measure(*scenario, effort, &contenders, &rig, &mut report, &mut failures)?;
    }
    report.print();
    println!(
        "\nraw figures, and a chart beside them: {}",
        report.write(&effort.folder()?)?.display()
    );
    if !failures.is_empty() {
        bail!("not measured: {}", failures.join("; "));
    }
    Ok(())
}

/// Those that were asked for and can be had.
fn contenders(given: &[Contender]) -> Vec<Contender> {
    let wanted = if given.is_empty() { Contender::ALL } else { given };
    let needs_envoy =
        |contender: &&Contender| matches!(contender, Contender::Envoy | Contender::EnvoyCache);
    let (of_envoy, mut others): (Vec<_>, Vec<_>) = wanted.iter().partition(needs_envoy);
    if !of_envoy.is_empty() {
        match setup::envoy() {
            Ok(_) => others.extend(of_envoy),
            Err(error) => println!("SKIPPED envoy: {error:#}"),
        }
    }
    others
}

/// All runs of one scenario: every contender once, then every contender again. One that fails is
/// out of the scenario, and named at the end.
fn measure(
    scenario: Scenario,
    effort: Effort,
    contenders: &[Contender],
    rig: &Rig,
    report: &mut Report,
    failures: &mut Vec<String>,
) -> Result<()> {
    let mut fail = |contender: Contender, error: anyhow::Error| -> Result<()> {
        rig.interrupt.check()?;
        let what = format!("{} in {}: {error:#}", contender.name(), scenario.name());
        println!("FAILED {what}");
        failures.push(what);
        Ok(())
    };
    let is_idle = scenario.shape().load == scenario::Load::Idle;
    let mut running = Vec::new();
    for contender in contenders.iter().filter(|c| c.abstains(scenario).is_none()) {
        rig.interrupt.check()?;
        let warmed = Running::start(*contender, scenario, rig).and_then(|mut running| {
            // A server that has had 10,000 connections does not need memory for them.
            if !is_idle {
                running.run(1, rig)?;
            }
            Ok(running)
        });
        match warmed {
            Ok(warm) => running.push(warm),
            Err(error) => fail(*contender, error)?,
        }
    }
    // For the same reason there is no second run.
    for round in 1..=if is_idle { 1 } else { effort.runs } {
        let mut still_running = Vec::new();
        for mut server in running {
            let figures = server.run(effort.seconds, rig);
            rig.interrupt.check()?;
            match figures {
                Ok(figures) => {
                    report.add(scenario, server.contender, round, figures);
                    still_running.push(server);
                }
                Err(error) => fail(server.contender, error)?,
            }
        }
        running = still_running;
    }
    Ok(())
}
