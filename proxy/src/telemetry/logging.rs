//! The process's own log: lines by tracing on standard error, for people or for machines.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

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
    /// A word that tracing would take for a target, and then log nothing else.
    #[error(
        "log filter {filter:?}: {word:?} is no level; error, warn, info, debug, trace or off is allowed, or target=level,..."
    )]
    Word {
        /// As given.
        filter: String,
        /// The part of it that is neither.
        word: String,
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
    let filter = parse(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let installed = match format {
        Format::Human => lines.with_target(false).with_ansi(is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).with_target(false).try_init(),
    };
    installed.map_err(|_| LogSetupError::Twice)
}

/// Whether [`set_up`] understands a filter.
///
/// # Errors
/// When it does not.
pub fn check(filter: &str) -> Result<(), LogSetupError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LogSetupError> {
    let mut words = filter.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    if let Some(word) = words.find(|word| word.is_empty() || word.parse::<LevelFilter>().is_err()) {
        return Err(LogSetupError::Word { filter: filter.to_owned(), word: word.to_owned() });
    }
    EnvFilter::try_new(format!("ureq=warn,ureq_proto=warn,rustls=warn,{filter}"))
        .map_err(|source| LogSetupError::Filter { filter: filter.to_owned(), source })
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_alone_or_for_targets() {
        for good in ["info", "off", "DEBUG", "warn,ringgate::control=debug", "ringgate=trace"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "verbose", "inf", "ringgate", "info,", "ringgate=loud", "a=b=c"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let error = check("info,verbose").unwrap_err().to_string();
        assert!(error.contains("\"verbose\" is no level"), "{error}");
    }
}
