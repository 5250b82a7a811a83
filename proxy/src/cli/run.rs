//! `ringgate run`: the gateway in the foreground.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::BAD_CONFIG;
use crate::gateway::{self, GatewayError, Options};
use crate::telemetry::logging;

/// Run the gateway in the foreground.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The configuration file; SIGHUP reads it again.
    file: PathBuf,
    /// Write the addresses listened on to this file, as JSON, once every worker accepts.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// What to log, instead of the configuration's `log.level`: a level or target=level,...
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    log: Option<String>,
}

impl Run {
    /// Runs until a signal ends it.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let options =
            Options { file: self.file, ready_file: self.ready_file, log_filter: self.log };
        let Err(error) = gateway::run(&options) else { return ExitCode::SUCCESS };
        // Standard error may be closed; the exit code still tells.
        let _ = writeln!(std::io::stderr(), "{error}");
        match error {
            GatewayError::Config(_) => ExitCode::from(BAD_CONFIG),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A filter that is not understood is bad usage, told before the configuration is read.
fn filter(text: &str) -> Result<String, String> {
    logging::check(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}
