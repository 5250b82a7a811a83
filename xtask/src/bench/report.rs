//! Figures to a table and to a file: medians over rounds, and ratios of rounds that ran in turn.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::contender::Contender;
use super::load::Load;
use super::scenario::Scenario;
use crate::process;
use crate::workspace;

/// One contender under load once.
pub(super) struct Round {
    pub(super) scenario: Scenario,
    pub(super) contender: Contender,
    pub(super) round: u32,
    pub(super) cpu_ns: u64,
    pub(super) load: Load,
}

impl Round {
    fn cpu_us_per_request(&self) -> f64 {
        self.cpu_ns as f64 / 1000.0 / self.load.requests as f64
    }

    fn requests_per_second(&self) -> f64 {
        self.load.requests as f64 / (self.load.duration_us as f64 / 1_000_000.0)
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario.name(),
            "contender": self.contender.name(),
            "round": self.round,
            "cpu_ns": self.cpu_ns,
            "requests": self.load.requests,
            "duration_us": self.load.duration_us,
            "p50_us": self.load.p50_us,
            "p99_us": self.load.p99_us,
            "socket_errors": self.load.socket_errors,
            "cpu_us_per_request": self.cpu_us_per_request(),
            "requests_per_second": self.requests_per_second(),
        })
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} round {:>2} {:<9} {:>8.2} CPU-us/request {:>9.0} requests/s",
            self.scenario.name(),
            self.round,
            self.contender.name(),
            self.cpu_us_per_request(),
            self.requests_per_second(),
        )
    }
}

/// All rounds, and on what they ran.
pub(super) struct Report {
    pub(super) rounds: Vec<Round>,
    machine: Value,
}

impl Report {
    pub(super) fn new(rounds: u32, seconds: u32, contenders: &[Contender]) -> Result<Self> {
        let git = |arguments: &[&str]| {
            let output = process::output(workspace::command("git").args(arguments));
            output.map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let mut versions = serde_json::Map::new();
        for contender in contenders {
            versions.insert(contender.name().to_owned(), contender.version()?.into());
        }
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let machine = json!({
            "cpu": model.unwrap_or_default().trim_start_matches(['\t', ' ', ':']),
            "cpus": std::thread::available_parallelism()?.get(),
            "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
            "commit": git(&["rev-parse", "HEAD"]),
            "changed_files": git(&["status", "--porcelain"]).lines().count(),
            "versions": versions,
            "rounds": rounds,
            "seconds": seconds,
        });
        Ok(Self { rounds: Vec::new(), machine })
    }

    /// One line a scenario and contender.
    pub(super) fn print(&self) {
        println!("\n{}", serde_json::to_string(&self.machine).unwrap_or_default());
        println!(
            "\n{:<10} {:<9} {:>24} {:>11} {:>8} {:>8} {:>25}",
            "scenario",
            "proxy",
            "CPU-us/request",
            "requests/s",
            "p50 us",
            "p99 us",
            "CPU of ringgate / proxy"
        );
        for scenario in Scenario::ALL {
            for contender in Contender::ALL {
                let rounds = self.of(*scenario, *contender);
                if !rounds.is_empty() {
                    println!("{}", self.line(*scenario, *contender, &rounds));
                }
            }
        }
    }

    fn of(&self, scenario: Scenario, contender: Contender) -> Vec<&Round> {
        let wanted = |round: &&Round| round.scenario == scenario && round.contender == contender;
        self.rounds.iter().filter(wanted).collect()
    }

    fn line(&self, scenario: Scenario, contender: Contender, rounds: &[&Round]) -> String {
        let spread = |figure: fn(&Round) -> f64| Spread::of(rounds.iter().map(|r| figure(r)));
        let ours = self.of(scenario, Contender::Ringgate);
        let ratios = ours
            .iter()
            .zip(rounds)
            .map(|(our, peer)| our.cpu_us_per_request() / peer.cpu_us_per_request());
        let ratio = match contender {
            Contender::Ringgate => String::new(),
            Contender::Nginx | Contender::Haproxy => {
                Spread::of(ratios).map(|spread| format!("{spread:.2}")).unwrap_or_default()
            }
        };
        let middle = |figure| spread(figure).map(|spread| spread.median).unwrap_or_default();
        format!(
            "{:<10} {:<9} {:>24} {:>11.0} {:>8.0} {:>8.0} {:>25}",
            scenario.name(),
            contender.name(),
            spread(Round::cpu_us_per_request).map(|s| format!("{s:.2}")).unwrap_or_default(),
            middle(Round::requests_per_second),
            middle(|round| round.load.p50_us as f64),
            middle(|round| round.load.p99_us as f64),
            ratio,
        )
    }

    /// Writes every round to a new file under benches/results.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let folder = workspace::root().join("benches/results");
        fs::create_dir_all(&folder)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let file = folder.join(format!("end_to_end-{now}.json"));
        let rounds: Vec<Value> = self.rounds.iter().map(Round::json).collect();
        let text = json!({ "unix_time": now, "machine": self.machine, "rounds": rounds });
        fs::write(&file, format!("{text:#}\n")).with_context(|| file.display().to_string())?;
        Ok(file)
    }
}

/// A median and the two ends.
#[derive(Debug, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// None of no figures.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}..{:.digits$})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let odd = Spread { median: 2.0, least: 1.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 2.0].into_iter()), Some(odd));
        let even = Spread { median: 3.0, least: 1.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 2.0, 4.0].into_iter()), Some(even));
        assert_eq!(Spread::of([].into_iter()), None);
    }

    #[test]
    fn a_spread_is_shown_with_its_ends() {
        let spread = Spread { median: 0.854, least: 0.8, most: 1.0 };
        assert_eq!(format!("{spread:.2}"), "0.85 (0.80..1.00)");
    }
}
