//! config/schema.json, written by the binary from its own types.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace;

const FILE: &str = "config/schema.json";

/// Builds the binary and writes the file anew.
pub(crate) fn write() -> Result<()> {
    let schema = generated(&build()?)?;
    fs::write(workspace::root().join(FILE), schema).context(FILE)
}

/// Builds the binary and compares.
pub(crate) fn build_and_check() -> Result<()> {
    check(&build()?)
}

/// Compares the committed file with what this binary writes.
pub(crate) fn check(binary: &Path) -> Result<()> {
    let generated = generated(binary)?;
    let committed = fs::read_to_string(workspace::root().join(FILE)).context(FILE)?;
    match first_difference(&committed, &generated) {
        None => Ok(()),
        Some((line, old, new)) => bail!(
            "{FILE}:{line}: error: differs from the types: `{old}` is now `{new}`; run `cargo \
             xtask schema` and commit the file"
        ),
    }
}

fn build() -> Result<std::path::PathBuf> {
    process::run(workspace::cargo().args(["build", "--locked", "--package", "ringgate"]))?;
    workspace::built("debug", "ringgate")
}

fn generated(binary: &Path) -> Result<String> {
    process::output(Command::new(binary).arg("schema"))
}

/// The first line, from 1, where two texts differ, with what stands there in each.
fn first_difference<'t>(old: &'t str, new: &'t str) -> Option<(usize, &'t str, &'t str)> {
    if old == new {
        return None;
    }
    let end = "(end of file)";
    let (mut olds, mut news) = (old.split('\n'), new.split('\n'));
    for line in 1.. {
        match (olds.next(), news.next()) {
            (Some(old), Some(new)) if old == new => {}
            (old, new) => return Some((line, old.unwrap_or(end), new.unwrap_or(end))),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn equal_texts_do_not_differ() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_differing_line_is_named() {
        assert_eq!(first_difference("a\nb\nc\n", "a\nB\nC\n"), Some((2, "b", "B")));
    }

    #[test]
    fn a_text_that_ends_early_differs_at_its_end() {
        assert_eq!(first_difference("a", "a\nb"), Some((2, "(end of file)", "b")));
        assert_eq!(first_difference("a\n", "a"), Some((2, "", "(end of file)")));
    }
}
