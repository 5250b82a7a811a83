//! `ringgate schema`: the JSON Schema of the configuration, for editors.

use std::io::Write;
use std::process::ExitCode;

use crate::control::config::schema_text;

/// Print the JSON Schema of the configuration file.
#[derive(Debug, clap::Args)]
pub struct Schema {}

impl Schema {
    /// Prints the schema; fails only where standard output does.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match std::io::stdout().write_all(schema_text().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}
