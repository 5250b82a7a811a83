//! The configuration file: JSON text in, valid runtime types or all of its problems out.
//!
//! ```text
//! text -> serde_json -> Value -- shape (against the schema) --> problems
//!      -> locate (where each key is)                        |
//!                               Value -> raw types -> convert -> Config, or problems and positions
//! ```

mod convert;
mod error;
mod json_path;
mod locate;
mod quantity;
mod raw;
mod schema;
mod settings;
mod shape;

use std::path::Path;

pub(in crate::control) use json_path::JsonPath;
pub(in crate::control) use locate::Locator;

pub use error::{ConfigErrors, Problem, Problems};
pub use locate::Position;
pub use schema::{schema, schema_text};
pub(super) use settings::share;
pub use settings::{
    AccessLogTarget, AdminConfig, AuthorityFile, BanConfig, CertificateFiles, ClientTrust, Config,
    Connections, DenyListConfig, EndpointConfig, JwksSource, KernelConfig, Led, LimitsConfig,
    ListenerConfig, ListenerOverrides, LogConfig, LogFormat, ProviderConfig, RouteConfig,
    RouteOverrides, ShieldConfig, Startup, SteeringConfig, TlsConfig, TrustFiles, UpstreamConfig,
    UpstreamTlsConfig, Workers,
};

/// Reads the configuration in a file.
///
/// # Errors
/// Every problem of the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    read(path, KeyFiles::Needed)
}

/// As [`load`], for a process that runs already: a file of keys that is bad is a warning, since
/// its provider goes on with the keys that it has.
///
/// # Errors
/// Every other problem of the file, or that it cannot be read.
pub fn load_again(path: &Path) -> Result<Config, ConfigErrors> {
    read(path, KeyFiles::Replaceable)
}

fn read(path: &Path, key_files: KeyFiles) -> Result<Config, ConfigErrors> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse_with(&text, path, key_files),
        Err(error) => Err(sole_problem(path, None, format!("cannot be read: {error}"))),
    }
}

/// What a file of keys without a usable key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyFiles {
    /// A problem.
    Needed,
    /// A warning.
    Replaceable,
}

/// Reads a configuration from its text; `path` is named in messages, and files that the text
/// names are sought beside it.
///
/// # Errors
/// Every problem of the text.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    parse_with(text, path, KeyFiles::Needed)
}

fn parse_with(text: &str, path: &Path, key_files: KeyFiles) -> Result<Config, ConfigErrors> {
    // RFC 8259, section 8.1. Editors do not show it, so "expected value" would puzzle.
    if text.starts_with('\u{feff}') {
        let what = "begins with a byte order mark; allowed: UTF-8 without one".to_owned();
        return Err(sole_problem(path, Some(Position { line: 1, column: 1 }), what));
    }
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        let position = position_of(&error, text);
        let full = error.to_string();
        let what = full.split(" at line ").next().unwrap_or(&full);
        sole_problem(path, Some(position), format!("not JSON: {what}"))
    })?;
    convert::convert(&value, text, path, key_files)
}

/// Where serde_json stopped; it counts bytes.
pub(in crate::control) fn position_of(error: &serde_json::Error, text: &str) -> Position {
    let line = error.line().max(1);
    let before = text.split('\n').nth(line - 1).and_then(|l| l.get(..error.column().max(1) - 1));
    let column = before.map_or(1, |before| before.chars().count() + 1);
    Position { line, column }
}

fn sole_problem(path: &Path, position: Option<Position>, what: String) -> ConfigErrors {
    let problem = Problem { position, path: String::new(), what };
    ConfigErrors(Problems { file: path.into(), list: vec![problem] })
}

#[cfg(test)]
mod tests;
