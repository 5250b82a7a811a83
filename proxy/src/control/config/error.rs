//! Everything that is wrong with a configuration, each with the place where it was typed.

use std::fmt;
use std::path::{Path, PathBuf};

use super::locate::Position;

/// One thing that is wrong, or, as a warning, likely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the key was typed; none when the file could not be read.
    pub position: Option<Position>,
    /// The path within the document; empty for the whole.
    pub path: String,
    /// What is wrong, then what is allowed.
    pub what: String,
}

impl Problem {
    /// The line that is printed: `file:line:col: path: what`.
    fn write(&self, file: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Problems of one file, in the order of the text; prints one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file as it was named.
    pub file: PathBuf,
    /// In the order of the text.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.write(&self.file, f)?;
        }
        Ok(())
    }
}

/// Why a file is no configuration: at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigErrors(pub Problems);
