//! A few seconds of each fuzz target, where a nightly toolchain allows it.

use std::fs;

use anyhow::{Context, Result};

use crate::process;
use crate::suite::Outcome;
use crate::workspace;

const FOLDER: &str = "tests/fuzz";
/// The package of the targets, and of the property tests that share their build of the gateway.
pub(crate) const MANIFEST: &str = "tests/fuzz/Cargo.toml";
/// Enough to catch a target that no longer builds or a crash near the corpus.
const SECONDS_A_TARGET: u32 = 5;
/// A head of usual size fits; longer inputs slow the search.
const INPUT_BYTES_MAX: u32 = 2500;

/// Runs each target on its corpus and on fresh inputs for a few seconds.
pub(crate) fn briefly() -> Result<Outcome> {
    if let Some(why) = obstacle() {
        return Ok(Outcome::Skipped(why));
    }
    // All of them at once, or each would wait for the one before to be linked.
    process::run(cargo_fuzz("build").args(["--fuzz-dir", FOLDER, "-s", "none"]))?;
    let list = process::output(cargo_fuzz("list").args(["--fuzz-dir", FOLDER]))?;
    for target in list.split_whitespace() {
        println!("--> {target}");
        run(target).with_context(|| format!("fuzz target {target}"))?;
    }
    Ok(Outcome::Passed)
}

/// New inputs of interest go to the target folder; the committed corpus stays as it is. No
/// sanitizer: the parsers have no unsafe code, and a toolchain without rust-src is enough. Always the
/// same seed: what fails is the change under test, not the dice. Searches without end are for who has time.
fn run(target: &str) -> Result<()> {
    let fresh = workspace::target_folder()?.join("fuzz").join(target);
    fs::create_dir_all(&fresh)?;
    let corpus = workspace::root().join(FOLDER).join("corpus").join(target);
    let mut fuzz = cargo_fuzz("run");
    fuzz.args(["--fuzz-dir", FOLDER, "-s", "none", target]).arg(fresh).arg(corpus);
    fuzz.args(["--", "-verbosity=0", "-print_final_stats=1", "-seed=1"])
        .arg(format!("-max_total_time={SECONDS_A_TARGET}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"));
    process::run(&mut fuzz)
}

/// Why fuzzing is not possible here; installs cargo-fuzz where only that is missing.
fn obstacle() -> Option<String> {
    if !workspace::root().join(FOLDER).join("Cargo.toml").is_file() {
        return Some(format!("there is no {FOLDER}"));
    }
    if !process::succeeds(workspace::command("cargo").args(["+nightly", "--version"])) {
        return Some("no nightly toolchain: rustup toolchain install nightly".to_owned());
    }
    if process::find("c++").is_none() {
        return Some("no C++ compiler, which libFuzzer needs: apt-get install g++".to_owned());
    }
    if process::succeeds(&mut cargo_fuzz("--version")) {
        return None;
    }
    println!("installing cargo-fuzz");
    let mut install = workspace::cargo();
    install.args(["install", "cargo-fuzz", "--locked", "--quiet"]);
    process::run(&mut install).err().map(|error| format!("cargo-fuzz cannot be installed: {error}"))
}

fn cargo_fuzz(subcommand: &str) -> std::process::Command {
    let mut command = workspace::command("cargo");
    command.args(["+nightly", "fuzz", subcommand]);
    command
}
