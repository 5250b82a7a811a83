//! Counts the instructions of a request's way under callgrind, and compares them with a committed
//! baseline: a regression shows without a quiet machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process;
use crate::suite::Outcome;
use crate::workspace;

const PACKAGE: &str = "bench-instructions";
const BASELINE: &str = "benches/instructions/baseline.json";
/// Each step is run so many times, and twice as many: the difference is that of the step. The set-up
/// makes keys and seeds anew, and varies by some thousand instructions; shared by so many, that is none.
const TIMES: u64 = 10_000;
/// How far a count may be over its baseline.
const TOLERANCE: f64 = 0.02;

/// Shows the counts beside the baseline.
pub(crate) fn show() -> Result<()> {
    let measured = Counts::measure()?;
    let baseline = Counts::read()?;
    for (step, count) in &measured.steps {
        let before = baseline.steps.get(step);
        let change = before.map(|before| format!("{:+.1} %", change(*before, *count)));
        println!("{step:<16} {count:>7}  {}", change.unwrap_or_default());
    }
    if measured.built_with != baseline.built_with {
        println!("the baseline is of {}, this is {}", baseline.built_with, measured.built_with);
    }
    Ok(())
}

/// Writes them as the baseline.
pub(crate) fn write() -> Result<()> {
    let counts = Counts::measure()?;
    let body = json!({ "built_with": counts.built_with, "instructions": counts.steps });
    Ok(fs::write(baseline_file(), format!("{body:#}\n"))?)
}

/// Fails where a count is over its baseline. Skipped where the counts cannot be had, or would be of
/// something else.
pub(crate) fn check() -> Result<Outcome> {
    if process::find("valgrind").is_none() {
        return Ok(Outcome::Skipped("valgrind is not installed".to_owned()));
    }
    let baseline = Counts::read()?;
    let here = built_with()?;
    if here != baseline.built_with {
        let why = format!("the baseline is of {}, this is {here}", baseline.built_with);
        return Ok(Outcome::Skipped(why));
    }
    let problems = Counts::measure()?.regressions(&baseline);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        bail!(
            "more instructions than in {BASELINE}: `cargo xtask instructions --write` if need be"
        );
    }
    Ok(Outcome::Passed)
}

/// Instructions of each step, and what they depend on beside the code.
struct Counts {
    built_with: String,
    steps: BTreeMap<String, u64>,
}

impl Counts {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(baseline_file()).context(BASELINE)?;
        let file: Value = serde_json::from_str(&text).context(BASELINE)?;
        let built_with = file["built_with"].as_str().context(BASELINE)?.to_owned();
        let steps = file["instructions"].as_object().context(BASELINE)?;
        let steps = steps.iter().map(|(step, count)| Some((step.clone(), count.as_u64()?)));
        Ok(Self { built_with, steps: steps.collect::<Option<_>>().context(BASELINE)? })
    }

    fn measure() -> Result<Self> {
        let mut cargo = workspace::cargo();
        process::run(cargo.args(["build", "--locked", "--release", "--package", PACKAGE]))?;
        let program = workspace::built("release", PACKAGE)?;
        let names = process::output(&mut Command::new(&program))?;
        let mut steps = BTreeMap::new();
        for step in names.lines() {
            let once = instructions(&program, step, TIMES)?;
            let twice = instructions(&program, step, 2 * TIMES)?;
            steps.insert(step.to_owned(), twice.saturating_sub(once) / TIMES);
        }
        Ok(Self { built_with: built_with()?, steps })
    }

    /// A line for each step that is over its baseline, or in one of the two alone.
    fn regressions(&self, baseline: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (step, count) in &self.steps {
            match baseline.steps.get(step) {
                None => lines.push(format!("{step}: {count}, and no baseline")),
                Some(before) if *count as f64 > *before as f64 * (1.0 + TOLERANCE) => {
                    let change = change(*before, *count);
                    lines.push(format!("{step}: {count}, baseline {before} ({change:+.1} %)"));
                }
                Some(_) => {}
            }
        }
        let gone = baseline.steps.keys().filter(|step| !self.steps.contains_key(*step));
        lines.extend(gone.map(|step| format!("{step}: in the baseline alone")));
        lines
    }
}

fn baseline_file() -> PathBuf {
    workspace::root().join(BASELINE)
}

/// Percent.
fn change(before: u64, after: u64) -> f64 {
    (after as f64 / before as f64 - 1.0) * 100.0
}

/// The compiler, and whether libraries choose their code for AVX2, as they do when they run.
fn built_with() -> Result<String> {
    let rustc = process::output(workspace::command("rustc").arg("--version"))?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has_avx2 = cpuinfo.split_whitespace().any(|word| word == "avx2");
    let features = if has_avx2 { "with AVX2" } else { "without AVX2" };
    Ok(format!("{}, {} {features}", rustc.trim(), std::env::consts::ARCH))
}

fn instructions(program: &Path, step: &str, times: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(program).arg(step).arg(times.to_string());
    let output = valgrind.output().context("valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{step} under valgrind: {}\n{text}", output.status);
    }
    collected(&text).with_context(|| format!("no count in {text}"))
}

/// The number behind `Collected :`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Counts, collected};

    fn counts(steps: &[(&str, u64)]) -> Counts {
        let steps = steps.iter().map(|(step, count)| ((*step).to_owned(), *count)).collect();
        Counts { built_with: String::new(), steps }
    }

    #[test]
    fn the_count_is_read() {
        let text = "==12== Events    : Ir\n==12== Collected : 1234567\n==12== \n";
        assert_eq!(collected(text), Some(1_234_567));
        assert_eq!(collected("==12== "), None);
    }

    #[test]
    fn two_percent_pass_and_more_does_not() {
        let baseline = counts(&[("parse", 1000), ("gone", 1)]);
        let gone = "gone: in the baseline alone".to_owned();
        let found = |count| counts(&[("parse", count)]).regressions(&baseline);
        assert_eq!(found(1020), std::slice::from_ref(&gone));
        assert_eq!(found(1021), ["parse: 1021, baseline 1000 (+2.1 %)".to_owned(), gone]);
        let new = counts(&[("parse", 1), ("gone", 1), ("new", 2)]).regressions(&baseline);
        assert_eq!(new, ["new: 2, and no baseline"]);
    }
}
