//! All runs of all contenders: to a table, to a file, to a chart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::chart;
use super::contender::Contender;
use super::measure::Figures;
use super::scenario::Scenario;
use super::table::{self, Line, Verdict};
use crate::process;
use crate::workspace;

/// One contender under load once.
struct Run {
    scenario: Scenario,
    contender: Contender,
    round: u32,
    figures: Figures,
}

/// All runs, and on what they ran.
pub(super) struct Report {
    runs: Vec<Run>,
    machine: Value,
}

impl Report {
    pub(super) fn new(contenders: &[Contender], settings: &Value) -> Result<Self> {
        let mut versions = serde_json::Map::new();
        for contender in contenders {
            versions.insert(contender.name().to_owned(), contender.version()?.into());
        }
        let mut machine = machine()?;
        machine["versions"] = versions.into();
        machine["settings"] = settings.clone();
        Ok(Self { runs: Vec::new(), machine })
    }

    /// Adds a run, and shows it.
    pub(super) fn add(
        &mut self,
        scenario: Scenario,
        contender: Contender,
        round: u32,
        figures: Figures,
    ) {
        let unit = scenario.shape().unit;
        let (name, who, cost) = (scenario.name(), contender.name(), figures.cost(unit));
        let rate = figures.rate(unit).map(|r| format!("{r:>9.0} a second")).unwrap_or_default();
        println!("{name:<15} run {round:>2} {who:<11} {cost:>9.2} a {} {rate}", unit.name());
        self.runs.push(Run { scenario, contender, round, figures });
    }

    /// The lines of each scenario that was run, and what became of its mark.
    fn lines(&self) -> Vec<(Vec<Line>, Option<Verdict>)> {
        let of = |scenario: Scenario, contender: Contender| -> Vec<Figures> {
            let wanted = |run: &&Run| run.scenario == scenario && run.contender == contender;
            self.runs.iter().filter(wanted).map(|run| run.figures).collect()
        };
        let scenarios = Scenario::value_variants().iter().map(|scenario| {
            let ours = of(*scenario, Contender::Ringgate);
            let line = |contender: &Contender| {
                Line::of(*scenario, *contender, &of(*scenario, *contender), &ours)
            };
            let lines: Vec<Line> = Contender::ALL.iter().filter_map(line).collect();
            let verdict = table::verdict(*scenario, &lines);
            (lines, verdict)
        });
        scenarios.filter(|(lines, _)| !lines.is_empty()).collect()
    }

    /// One line a scenario and contender, and how many marks are reached.
    pub(super) fn print(&self) {
        println!("\n{}\n\n{}", self.machine, Line::HEADER);
        let scenarios = self.lines();
        for (lines, verdict) in &scenarios {
            for line in lines {
                let is_ours = line.contender == Contender::Ringgate;
                println!("{}", line.row(verdict.as_ref().filter(|_| is_ours)));
            }
            for contender in Contender::ALL {
                let why = lines.first().and_then(|line| contender.abstains(line.scenario));
                if let Some((line, why)) = lines.first().zip(why) {
                    let (name, who) = (line.scenario.name(), contender.name());
                    println!("| {name} | {who} | - | - | - | - | - | | {why} |");
                }
            }
        }
        let verdicts: Vec<&Verdict> = scenarios.iter().filter_map(|(_, v)| v.as_ref()).collect();
        let reached = verdicts.iter().filter(|verdict| verdict.is_reached).count();
        println!("\n{reached} of {} marks reached", verdicts.len());
    }

    /// Writes every run to a new file in this folder, and a chart beside it.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let scenarios = self.lines();
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                let mut json = run.figures.json(run.scenario.shape().unit);
                json["scenario"] = run.scenario.name().into();
                json["contender"] = run.contender.name().into();
                json["round"] = run.round.into();
                json
            })
            .collect();
        let lines: Vec<Value> = scenarios
            .iter()
            .flat_map(|(lines, verdict)| {
                lines.iter().map(|line| {
                    let is_ours = line.contender == Contender::Ringgate;
                    line.json(verdict.as_ref().filter(|_| is_ours))
                })
            })
            .collect();
        let body = json!({ "machine": self.machine, "lines": lines, "runs": runs });
        let file = write(folder, "end_to_end", &body)?;
        let all: Vec<&[Line]> = scenarios.iter().map(|(lines, _)| lines.as_slice()).collect();
        fs::write(file.with_extension("svg"), chart::draw(&all))?;
        Ok(file)
    }
}

/// What the figures depend on.
pub(super) fn machine() -> Result<Value> {
    let git = |arguments: &[&str]| {
        let output = process::output(workspace::command("git").args(arguments));
        output.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(json!({
        "cpu": model.unwrap_or_default().trim_start_matches(['\t', ' ', ':']),
        "cpus": std::thread::available_parallelism()?.get(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        "load_average": fs::read_to_string("/proc/loadavg")?.trim(),
        "commit": git(&["rev-parse", "HEAD"]),
        "changed_files": git(&["status", "--porcelain"]).lines().count(),
    }))
}

/// Writes it to a new file of this kind in the folder.
pub(super) fn write(folder: &Path, kind: &str, body: &Value) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let file = folder.join(format!("{kind}-{now}.json"));
    let mut text = body.clone();
    text["unix_time"] = now.into();
    fs::write(&file, format!("{text:#}\n")).with_context(|| file.display().to_string())?;
    Ok(file)
}
