//! The parts of the style that a machine can check, on every file of the project.

mod header;
mod layers;
mod machine_paths;
mod names;
mod size;
mod tokens;
mod unsafety;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace;
use tokens::Token;

/// One broken rule, at a line of a file.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    line: usize,
    what: String,
}

impl Violation {
    fn new(line: usize, what: impl fmt::Display) -> Self {
        Self { line, what: what.to_string() }
    }
}

/// A Rust file, read and cut into tokens.
struct Source<'a> {
    /// Relative to the root, with `/`.
    path: &'a str,
    text: &'a str,
    tokens: Vec<Token>,
}

/// The checks of a Rust file.
const CHECKS: &[fn(&Source<'_>) -> Vec<Violation>] =
    &[header::check, layers::check, names::check, size::check, unsafety::check];

/// Checks all files; prints one `path:line: error: what` for each broken rule.
pub(crate) fn run() -> Result<()> {
    let mut count = 0_usize;
    for file in workspace::files()? {
        for violation in check_file(&file)? {
            eprintln!("{}:{}: error: {}", file.display(), violation.line, violation.what);
            count += 1;
        }
    }
    if count == 0 { Ok(()) } else { bail!("{count} violations of the style") }
}

fn check_file(file: &Path) -> Result<Vec<Violation>> {
    let path = file.to_str().with_context(|| format!("{}: not UTF-8", file.display()))?;
    if !path.ends_with(".rs") && !machine_paths::covers(path) {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(workspace::root().join(file)).context(path.to_owned())?;
    let mut violations = machine_paths::check(path, &text);
    if path.ends_with(".rs") {
        match tokens::cut(&text) {
            Ok(tokens) => {
                let source = Source { path, text: &text, tokens };
                violations.extend(CHECKS.iter().flat_map(|check| check(&source)));
            }
            Err(line) => violations.push(Violation::new(line, "not Rust")),
        }
    }
    Ok(violations)
}

/// What `check` finds in a file of this path and text.
#[cfg(test)]
fn found(check: fn(&Source<'_>) -> Vec<Violation>, path: &str, text: &str) -> Vec<(usize, String)> {
    let tokens = tokens::cut(text).expect("the example is Rust");
    check(&Source { path, text, tokens }).into_iter().map(|v| (v.line, v.what)).collect()
}
