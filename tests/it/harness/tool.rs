//! Programs of other people: found on this machine, or the test says loudly that it did nothing.

use std::path::PathBuf;
use std::process::Command;

/// The path of a program, or none after saying so on standard error, past the capture of the test
/// runner, so that a skipped test is seen.
pub fn find(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(test, &format!("{program} is not installed"));
    }
    found
}

/// Whether Python can import a module; says so when not.
pub fn python_has(test: &str, python: &PathBuf, module: &str) -> bool {
    let import = Command::new(python).args(["-c", &format!("import {module}")]).output();
    let has = import.is_ok_and(|output| output.status.success());
    if !has {
        skipped(test, &format!("Python has no module {module}"));
    }
    has
}

/// Writes past the test runner's capture.
pub fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
