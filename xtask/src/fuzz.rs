//! A few seconds of each fuzz target, where a nightly toolchain allows it.

use anyhow::{Context, Result};

use crate::process;
use crate::suite::Outcome;
use crate::workspace;

const FOLDER: &str = "tests/fuzz";
/// Enough to catch a target that no longer builds or a crash near the corpus.
const SECONDS_A_TARGET: u32 = 5;

/// Runs each target on its corpus and on fresh inputs for a few seconds.
pub(crate) fn briefly() -> Result<Outcome> {
    if let Some(why) = obstacle() {
        return Ok(Outcome::Skipped(why));
    }
    let list = process::output(cargo_fuzz("list").args(["--fuzz-dir", FOLDER]))?;
    for target in list.split_whitespace() {
        println!("--> {target}");
        process::run(cargo_fuzz("run").args(["--fuzz-dir", FOLDER, target, "--"]).args([
            format!("-max_total_time={SECONDS_A_TARGET}").as_str(),
            "-verbosity=0",
            "-print_final_stats=1",
        ]))
        .with_context(|| format!("fuzz target {target}"))?;
    }
    Ok(Outcome::Passed)
}

/// Why fuzzing is not possible here; installs cargo-fuzz where only that is missing.
fn obstacle() -> Option<String> {
    if !workspace::root().join(FOLDER).join("Cargo.toml").is_file() {
        return Some(format!("there is no {FOLDER}"));
    }
    if !process::succeeds(workspace::command("cargo").args(["+nightly", "--version"])) {
        return Some("no nightly toolchain: rustup toolchain install nightly".to_owned());
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
