//! Files that the binary writes from its own types: the configuration's schema, the table of reasons.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace;

/// The JSON Schema of the configuration.
pub(crate) const SCHEMA: Generated = Generated { file: "config/schema.json", subcommand: "schema" };
/// The codes of refusals.
pub(crate) const REASONS: Generated = Generated { file: "docs/reasons.md", subcommand: "reasons" };

/// A committed file that a subcommand of the binary prints; the task that writes it has its name.
pub(crate) struct Generated {
    file: &'static str,
    subcommand: &'static str,
}

impl Generated {
    /// Builds the binary and writes the file anew.
    pub(crate) fn write(&self) -> Result<()> {
        let text = self.text(&build()?)?;
        fs::write(workspace::root().join(self.file), text).context(self.file)
    }

    /// Builds the binary and compares.
    pub(crate) fn build_and_check(&self) -> Result<()> {
        self.check(&build()?)
    }

    /// Compares the committed file with what this binary writes.
    pub(crate) fn check(&self, binary: &Path) -> Result<()> {
        let Self { file, subcommand } = self;
        let generated = self.text(binary)?;
        let committed = fs::read_to_string(workspace::root().join(file)).context(*file)?;
        match first_difference(&committed, &generated) {
            None => Ok(()),
            Some((line, old, new)) => bail!(
                "{file}:{line}: error: differs from the code: `{old}` is now `{new}`; run `cargo \
                 xtask {subcommand}` and commit the file"
            ),
        }
    }

    fn text(&self, binary: &Path) -> Result<String> {
        process::output(Command::new(binary).arg(self.subcommand))
    }
}

fn build() -> Result<std::path::PathBuf> {
    process::run(workspace::cargo().args(["build", "--locked", "--package", "ringgate"]))?;
    workspace::built("debug", "ringgate")
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
