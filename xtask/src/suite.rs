//! `test` and `ci`: every check in order, all of them run, the summary last.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{dependencies, ebpf, fuzz, generated, instructions, process, setup, tidy, workspace};

/// How a check ended.
pub(crate) enum Outcome {
    Passed,
    /// Not done, and why: shown in the summary, so that it is never taken for a pass.
    Skipped(String),
}

/// Everything a change must pass.
pub(crate) fn test() -> Result<()> {
    let mut suite = Suite::default();
    everything(&mut suite);
    suite.finish()
}

/// The same, what is known against the dependencies, and what takes minutes to build: the counts of
/// instructions by the release profile, and every test on the other library for signatures and TLS.
pub(crate) fn ci() -> Result<()> {
    let mut suite = Suite::default();
    suite.check("advisories", dependencies::advisories);
    everything(&mut suite);
    suite.check("instructions", instructions::check);
    let with_aws_lc = ["--features", "ringgate/aws-lc-rs"];
    suite.tests("tests aws-lc", &[&TESTS[..], &with_aws_lc].concat());
    suite.finish()
}

const TESTS: [&str; 4] = ["test", "--locked", "--workspace", "--no-fail-fast"];

/// One profile throughout: the tests are built before the checks that run the binary, which so
/// is the one that the tests use.
fn everything(suite: &mut Suite) {
    suite.check("setup", || setup::for_tests().map(|()| Outcome::Passed));
    suite.check("npm packages", setup::issuer);
    suite.check("TLS clients", setup::tls_clients);
    suite.check("tidy", || tidy::run().map(|()| Outcome::Passed));
    suite.check("dependencies", || dependencies::check().map(|()| Outcome::Passed));
    suite.cargo("format", &["fmt", "--all", "--check"]);
    suite.cargo("format ebpf", &["fmt", "--manifest-path", ebpf::MANIFEST, "--check"]);
    suite.cargo("format fuzz", &["fmt", "--manifest-path", fuzz::MANIFEST, "--check"]);
    suite.cargo(
        "clippy",
        &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"],
    );
    suite.cargo(
        "clippy memory",
        &[
            "clippy",
            "--locked",
            "-p",
            "ringgate",
            "--lib",
            "--features",
            "simulation",
            "--",
            "-D",
            "warnings",
        ],
    );
    suite.check("rustdoc", rustdoc);
    suite.cargo("build", &["test", "--locked", "--workspace", "--no-run"]);
    suite.check("schema", || generated::SCHEMA.check(&binary()?).map(|()| Outcome::Passed));
    suite.check("reasons", || generated::REASONS.check(&binary()?).map(|()| Outcome::Passed));
    suite.check("examples", examples);
    suite.check("ebpf", ebpf::check);
    suite.check("fuzz", fuzz::briefly);
    // Of a workspace of its own, or its feature would be that of the gateway under test as well.
    let simulation =
        ["test", "--locked", "--manifest-path", fuzz::MANIFEST, "--no-default-features"];
    suite.tests("simulation", &[&simulation[..], &["--target-dir", "target"]].concat());
    suite.tests("tests", &TESTS);
}

fn rustdoc() -> Result<Outcome> {
    let mut cargo = workspace::cargo();
    cargo.args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

/// `ringgate check` on each example configuration.
fn examples() -> Result<Outcome> {
    let binary = binary()?;
    let folder = workspace::root().join("config/examples");
    let mut examples = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            examples.push(path);
        }
    }
    examples.sort();
    if examples.is_empty() {
        bail!("{} holds no example", folder.display());
    }
    for example in examples {
        process::run(workspace::command(&binary).arg("check").arg(example))?;
    }
    Ok(Outcome::Passed)
}

fn binary() -> Result<PathBuf> {
    workspace::built("debug", "ringgate")
}

/// What ran so far, and how each ended.
#[derive(Default)]
struct Suite {
    lines: Vec<String>,
    passed: u64,
    failed: u64,
}

impl Suite {
    /// Runs one check; a failure is kept for the summary and stops nothing.
    fn check(&mut self, name: &str, run: impl FnOnce() -> Result<Outcome>) {
        println!("==> {name}");
        let start = Instant::now();
        let outcome = run();
        let seconds = start.elapsed().as_secs();
        self.lines.push(match outcome {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                format!("{name:<14} passed   {seconds:>4} s")
            }
            Ok(Outcome::Skipped(why)) => {
                println!("SKIPPED {name}: {why}");
                format!("{name:<14} SKIPPED  {why}")
            }
            Err(error) => {
                self.failed += 1;
                eprintln!("FAILED {name}: {error:#}");
                format!("{name:<14} FAILED   {seconds:>4} s")
            }
        });
    }

    fn cargo(&mut self, name: &str, arguments: &[&str]) {
        self.check(name, || {
            process::run(workspace::cargo().args(arguments))?;
            Ok(Outcome::Passed)
        });
    }

    /// Runs tests; each counts for itself.
    fn tests(&mut self, name: &str, arguments: &[&str]) {
        let mut tally = Tally::default();
        self.check(name, || {
            tally = run_tests(workspace::cargo().args(arguments))?;
            Ok(Outcome::Passed)
        });
        self.passed += tally.passed;
        self.failed += tally.failed;
    }

    fn finish(self) -> Result<()> {
        println!("\n==> summary");
        for line in &self.lines {
            println!("{line}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed > 0 { bail!("{} failed", self.failed) } else { Ok(()) }
    }
}

/// Tests that passed and failed, over all test binaries.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds what a line like `test result: ok. 3 passed; 0 failed; 0 ignored; ...` says.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let count = |word: &str| -> u64 {
            let words: Vec<&str> = result.split([' ', ';']).filter(|w| !w.is_empty()).collect();
            let at = words.iter().position(|w| *w == word);
            at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// Runs `cargo test`, shows what it writes as it comes, and counts.
fn run_tests(cargo: &mut Command) -> Result<Tally> {
    if std::io::stdout().is_terminal() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        tally.add(&String::from_utf8_lossy(&line));
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        bail!("`{}` failed: {status}", process::shown(cargo));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_of_test_binaries_add_up() {
        let mut tally = Tally::default();
        tally.add("running 3 tests");
        tally.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        tally.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        tally.add("the words 7 passed; 7 failed in a test's own output");
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }
}
