//! The process's own log: lines by tracing on standard error, for people or for machines.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `time level message field=value`.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The filter is not understood.
    #[error("log filter {filter:?}: {source}; a level or target=level,... is allowed")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Another subscriber is already there.
    #[error("logging was already set up in this process")]
    Twice,
}

/// Sends log lines to standard error from now on. `filter` is a level or directives; what the
/// crates below say is left out up to `warn`, since a TLS or HTTP library may name bytes it saw.
///
/// # Errors
/// When the filter is not understood or logging was set up before.
pub fn set_up(format: Format, filter: &str) -> Result<(), LogSetupError> {
    let directives = format!("ureq=warn,ureq_proto=warn,rustls=warn,{filter}");
    let filter = EnvFilter::try_new(directives)
        .map_err(|source| LogSetupError::Filter { filter: filter.to_owned(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = match format {
        Format::Human => lines.with_target(false).with_ansi(is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).with_target(false).try_init(),
    };
    installed.map_err(|_| LogSetupError::Twice)
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}
