//! From a parsed document to the runtime types, or to all of its problems.
//!
//! A unit of the document (a listener, a provider, an upstream, a route, a section) whose shape is
//! wrong is left out of the semantic checks, which would otherwise complain of its absent parts;
//! its name still counts as defined.

mod answers;
mod certificate_rules;
mod claims;
mod connects;
mod credentials;
mod deny_list;
mod fields;
mod forwarding;
mod kernel;
mod key_sources;
mod limits;
mod listeners;
mod matching;
mod policy;
mod providers;
mod resources;
mod rewrites;
mod routes;
mod secrets;
mod tls;
mod upstream_tls;
mod upstreams;

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::KeyFiles;
use super::error::{ConfigErrors, Problem, Problems};
use super::json_path::{JsonPath, Step};
use super::locate::{Locator, Position};
use super::raw;
use super::schema::schema;
use super::settings::{Config, LogConfig, LogFormat, Workers};
use super::shape;

/// Reads a document that serde_json found well-formed in `text`.
pub(super) fn convert(
    value: &Value,
    text: &str,
    file: &Path,
    key_files: KeyFiles,
) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(value, text, file);
    reader.key_files = key_files;
    let workers = match reader.section::<raw::Workers>("workers") {
        raw::Workers::Auto => Workers::Auto,
        raw::Workers::Count(count) => Workers::Count(count),
    };
    let limits = limits::limits(&mut reader, workers);
    let timeouts = limits::timeouts(&mut reader);
    let (forwarding, trusted_proxies) = forwarding::forwarding(&mut reader);
    let process = listeners::Process { workers, limits: &limits, trusted: &trusted_proxies };
    let listeners = listeners::listeners(&mut reader, &process);
    let admin = listeners::admin(&mut reader, &listeners);
    let kernel = kernel::kernel(&mut reader, &trusted_proxies);
    let providers = providers::providers(&mut reader);
    let cache_directory = key_sources::cache_directory(&mut reader);
    let deny_list = deny_list::deny_list(&mut reader);
    let startup = key_sources::startup(&mut reader);
    let upstreams = upstreams::upstreams(&mut reader, workers);
    let identity = fields::identity(&mut reader);
    let reserved = fields::Reserved::new(forwarding, &providers, &identity);
    let (routes, added) = routes::routes(&mut reader, &providers, &reserved);
    let path_normalization = reader.section::<raw::PathNormalization>("path_normalization").into();
    let log = log(&reader.section("log"));
    let access_log = listeners::access_log(&mut reader);
    let typed = [
        reader.names(&providers::path()).len(),
        reader.names(&upstreams::path()).len(),
        reader.count(&["listeners"].into()),
        reader.count(&["routes"].into()),
    ];
    let warnings = reader.finish()?;
    // A route left out without a word would hand its requests to a broader one.
    let converted = [providers.len(), upstreams.len(), listeners.len(), routes.len() - added];
    assert_eq!(converted, typed, "what is left out is among the problems");
    Ok(Config {
        workers,
        listeners: listeners.into_iter().map(|(_, listener)| listener).collect(),
        providers,
        cache_directory,
        deny_list,
        startup,
        upstreams,
        routes,
        limits,
        timeouts,
        forwarding,
        path_normalization,
        identity,
        trusted_proxies,
        admin,
        log,
        access_log,
        kernel,
        warnings,
    })
}

fn log(raw: &raw::Log) -> LogConfig {
    LogConfig {
        format: match raw.format {
            raw::LogFormat::Human => LogFormat::Human,
            raw::LogFormat::Json => LogFormat::Json,
        },
        level: match raw.level {
            raw::LogLevel::Error => tracing::Level::ERROR,
            raw::LogLevel::Warn => tracing::Level::WARN,
            raw::LogLevel::Info => tracing::Level::INFO,
            raw::LogLevel::Debug => tracing::Level::DEBUG,
            raw::LogLevel::Trace => tracing::Level::TRACE,
        },
    }
}

/// The document under conversion and what was found wrong with it so far.
struct Reader<'a> {
    value: &'a Value,
    locator: Locator<'a>,
    file: &'a Path,
    key_files: KeyFiles,
    /// Where the shape is wrong.
    misshapen: Vec<JsonPath>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Names that something refers to, by the section that defines them.
    used: HashSet<(&'static str, Box<str>)>,
}

impl<'a> Reader<'a> {
    /// Checks keys and shape, and keeps what it finds.
    fn new(value: &'a Value, text: &'a str, file: &'a Path) -> Self {
        let locator = Locator::new(text);
        let mut reader = Self {
            value,
            locator,
            file,
            key_files: KeyFiles::Needed,
            misshapen: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            used: HashSet::new(),
        };
        for (path, position) in reader.locator.duplicates() {
            reader.problem_at(position, &path, "stands here a second time; allowed: once");
        }
        for (path, what) in shape::check(&schema(), value) {
            reader.problem(&path, what);
            reader.misshapen.push(path);
        }
        reader
    }

    /// Notes something that is wrong with the value at a path.
    fn problem(&mut self, path: &JsonPath, what: impl Display) {
        self.problem_at(self.locator.position(path), path, what);
    }

    fn problem_at(&mut self, position: Position, path: &JsonPath, what: impl Display) {
        self.problems.push(note(position, path, what));
    }

    /// Notes something that is allowed and likely not meant.
    fn warning(&mut self, path: &JsonPath, what: impl Display) {
        let position = self.locator.position(path);
        self.warnings.push(note(position, path, format_args!("warning: {what}")));
    }

    /// The problems if there are any, else the warnings, both in the order of the text.
    fn finish(mut self) -> Result<Problems, ConfigErrors> {
        let file = self.file.to_path_buf();
        let in_order = |mut list: Vec<Problem>| {
            list.sort_by_key(|problem| problem.position);
            list
        };
        if self.problems.is_empty() {
            Ok(Problems { file, list: in_order(std::mem::take(&mut self.warnings)) })
        } else {
            Err(ConfigErrors(Problems { file, list: in_order(self.problems) }))
        }
    }

    /// A file that the configuration names: relative paths start beside the configuration.
    fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().map_or_else(|| PathBuf::from(path), |parent| parent.join(path))
    }

    /// Whether a listener asks its clients for certificates: the one of this name, or any.
    fn asks_for_certificates(&self, only: Option<&str>) -> bool {
        let listeners = self.value.get("listeners").and_then(Value::as_array);
        let is_meant = |listener: &&Value| {
            only.is_none_or(|only| listener.get("name").and_then(Value::as_str) == Some(only))
        };
        let asks = |listener: &Value| listener.pointer("/tls/client_certificates").is_some();
        listeners.into_iter().flatten().filter(is_meant).any(asks)
    }

    /// The value at a path as it was typed.
    fn typed(&self, path: &JsonPath) -> &'a str {
        self.locator.typed(path).unwrap_or_default()
    }

    /// A section of the top level, or its defaults where it is absent or its shape is wrong.
    fn section<T: DeserializeOwned + Default>(&mut self, key: &'static str) -> T {
        self.read(&[key].into()).unwrap_or_default()
    }

    /// The value at a path; none where it is absent or the shape of a part of it is wrong, which is
    /// then among the problems.
    fn read<T: DeserializeOwned>(&mut self, path: &JsonPath) -> Option<T> {
        if self.misshapen.iter().any(|wrong| path.contains(wrong)) {
            return None;
        }
        let value = self.value_at(path)?;
        match serde_path_to_error::deserialize(value) {
            Ok(raw) => Some(raw),
            // The shape check passed what serde refuses: still a refusal, and still with a place.
            Err(error) => {
                let inner = JsonPath::from(error.path());
                let inner = inner.steps().iter().fold(path.clone(), |p, step| p.join(step.clone()));
                self.problem(&inner, error.inner());
                None
            }
        }
    }

    /// Whether the file says anything here.
    fn is_typed(&self, path: &JsonPath) -> bool {
        self.value_at(path).is_some()
    }

    fn value_at(&self, path: &JsonPath) -> Option<&'a Value> {
        path.steps().iter().try_fold(self.value, |value, step| match step {
            Step::Key(key) => value.get(&**key),
            Step::Index(index) => value.get(index),
        })
    }

    /// The elements of a list, each read on its own, with their paths.
    fn elements<T: DeserializeOwned>(&mut self, list: &JsonPath) -> Vec<(JsonPath, T)> {
        (0..self.count(list))
            .map(|index| list.join(index))
            .filter_map(|path| self.read(&path).map(|element| (path, element)))
            .collect()
    }

    /// How many elements a list has.
    fn count(&self, list: &JsonPath) -> usize {
        self.value_at(list).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The members of an object that maps names to things, each read on its own, by name.
    fn members<T: DeserializeOwned>(&mut self, object: &JsonPath) -> Vec<(String, JsonPath, T)> {
        let names = self.names(object);
        names
            .into_iter()
            .filter_map(|name| {
                let path = object.join(name.as_str());
                self.read(&path).map(|member| (name, path, member))
            })
            .collect()
    }

    /// The names that an object maps, sorted, whatever the shape of what they are mapped to.
    fn names(&self, object: &JsonPath) -> Vec<String> {
        let members = self.value_at(object).and_then(Value::as_object);
        members.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// The position of a name among those defined, or a problem that lists them.
    fn refer(
        &mut self,
        (section, thing): (&'static str, &str),
        defined: &[String],
        name: &str,
        path: &JsonPath,
    ) -> Option<usize> {
        self.used.insert((section, name.into()));
        let found = defined.iter().position(|one| one == name);
        if found.is_none() {
            let suggestion = shape::suggestion(name, defined.iter().map(String::as_str));
            let all = if defined.is_empty() { "none".to_owned() } else { defined.join(", ") };
            self.problem(
                path,
                format!("no {thing} is called {name:?}{suggestion}; defined: {all}"),
            );
        }
        found
    }

    /// Whether something refers to this name.
    fn is_used(&self, section: &'static str, name: &str) -> bool {
        self.used.contains(&(section, name.into()))
    }

    /// Notes a name that would not stand well in a metric label or a log line.
    fn check_name(&mut self, path: &JsonPath, name: &str) {
        let mark = |c: char| matches!(c, '.' | '_' | '-' | '/');
        let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= 128
            && name.chars().all(|c| c.is_ascii_alphanumeric() || mark(c));
        if !valid {
            let what = "is no name; allowed: up to 128 letters, digits, ., _, - and /, a letter or digit first";
            self.problem(path, format!("{name:?} {what}"));
        }
    }

    /// Notes a value that is out of its range.
    fn in_range<T: PartialOrd + Display>(&mut self, path: &JsonPath, value: &T, low: &T, high: &T) {
        if value < low || value > high {
            self.problem(path, format!("{value} is out of range; allowed: {low} to {high}"));
        }
    }
}

fn note(position: Position, path: &JsonPath, what: impl Display) -> Problem {
    Problem { position: Some(position), path: path.to_string(), what: what.to_string() }
}
