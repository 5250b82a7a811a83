//! `ringgate check`: everything that `run` does with a configuration but listen.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::corpus;
use super::verify::clock;
use crate::auth::UnixTime;
use crate::control::certificates::Certificates;
use crate::control::compile::{Inputs, compile};
use crate::control::config::{self, Config, DenyListConfig, JwksSource, ProviderConfig, Workers};
use crate::control::deny::book;
use crate::control::jwks::parse::parse_set;
use crate::control::jwks::secrets::parse_secrets;
use crate::snapshot::Snapshot;
use crate::snapshot::deny_list::{Denial, DenyList};
use crate::snapshot::ids::Generation;
use crate::snapshot::key_set::KeySet;
use crate::telemetry::counters::Registry;

/// The exit code for a configuration that is refused.
const BAD_CONFIG: u8 = 2;

/// Check a configuration file and say everything that is wrong with it.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration file.
    file: PathBuf,
    /// Tokens with the verdicts that the configuration must give them, one JSON object a line:
    /// token, reason (null or the code of the refusal), and where needed route. Exit 1 where a
    /// verdict differs. Keys of a URL are not fetched.
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// The time to judge tokens by, in seconds since the epoch; the clock's without it.
    #[arg(long, requires = "tokens")]
    now: Option<i64>,
}

impl Check {
    /// Checks the file; problems and warnings go to standard error, one a line.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match examine(&self.file) {
            Ok((config, snapshot)) => {
                let warnings = config.warnings.list.len();
                if warnings > 0 {
                    say(&mut std::io::stderr(), &config.warnings.to_string());
                }
                let (routes, providers) = (config.routes.len(), config.providers.len());
                let tcp = config.listeners.iter().filter(|listener| listener.tcp.is_some()).count();
                let summary = format!(
                    "{}: good; routes: {routes}, tcp listeners: {tcp}, providers: {providers}, warnings: {warnings}",
                    self.file.display()
                );
                say(&mut std::io::stdout(), &summary);
                for line in led(&config) {
                    say(&mut std::io::stdout(), &line);
                }
                self.judge_tokens(&snapshot)
            }
            Err(problems) => {
                say(&mut std::io::stderr(), &problems);
                ExitCode::from(BAD_CONFIG)
            }
        }
    }
}

impl Check {
    fn judge_tokens(&self, snapshot: &Snapshot) -> ExitCode {
        let Some(tokens) = &self.tokens else { return ExitCode::SUCCESS };
        let now = self.now.map_or_else(clock, UnixTime);
        match corpus::judge(tokens, snapshot, now) {
            Ok(outcome) => {
                for line in &outcome.wrong {
                    say(&mut std::io::stderr(), line);
                }
                let (total, wrong) = (outcome.tokens, outcome.wrong.len());
                let summary = format!("{}: tokens: {total}, wrong: {wrong}", tokens.display());
                say(&mut std::io::stdout(), &summary);
                if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(problem) => {
                say(&mut std::io::stderr(), &problem);
                ExitCode::from(BAD_CONFIG)
            }
        }
    }
}

/// A line for each listener that has more addresses than its own.
fn led(config: &Config) -> impl Iterator<Item = String> {
    let listeners = config.listeners.iter().filter(|listener| !listener.led.is_empty());
    listeners.map(|listener| {
        let led: Vec<String> = listener.led.iter().map(ToString::to_string).collect();
        format!("listener {}: {}, led to it: {}", listener.name, listener.address, led.join(", "))
    })
}

/// The keys of the providers that have a file of keys: of the first. The configuration has seen that
/// they are good.
fn file_keys(config: &Config) -> HashMap<Box<str>, Arc<KeySet>> {
    let set = |provider: &ProviderConfig| {
        let read = |source: &JwksSource| match source {
            JwksSource::File(path) => Some(parse_set(&std::fs::read(path).ok()?).ok()?.keys),
            JwksSource::Secrets { path, algorithms } => {
                parse_secrets(&std::fs::read(path).ok()?, *algorithms).ok()
            }
            JwksSource::Inline { .. } | JwksSource::Url { .. } => None,
        };
        let keys = provider.sources.iter().find_map(read)?;
        Some((provider.name.clone(), Arc::new(keys)))
    };
    config.providers.iter().filter_map(set).collect()
}

/// The entries of the deny list. The configuration has seen that they are good.
fn denials(config: &Config) -> Vec<Denial> {
    let DenyListConfig { file, entries_max } = &config.deny_list;
    file.as_ref().and_then(|file| book::load(file, *entries_max).ok()).unwrap_or_default()
}

/// Reads and compiles a configuration; the error is what to print.
fn examine(file: &Path) -> Result<(Config, Snapshot), String> {
    let config = config::load(file).map_err(|errors| errors.to_string())?;
    let workers = match config.workers {
        Workers::Count(count) => count,
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let certificates = Certificates::load(&config, workers).map_err(|error| error.to_string())?;
    let inputs = Inputs {
        generation: Generation::default(),
        verdicts: Generation::default(),
        deny_list: &Arc::new(DenyList::new(&denials(&config))),
        workers,
        keys: &file_keys(&config),
        addresses: &HashMap::new(),
        tls: certificates.services(),
    };
    let snapshot = compile(&config, &inputs, &mut Registry::default())
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((config, snapshot))
}

/// Writes a line; a closed pipe changes nothing about the verdict.
fn say(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    #[test]
    fn a_good_file_is_compiled_too() {
        let (config, _) = examine(&repository("config/examples/full.json")).unwrap();
        // Twelve of the file and the metadata of a protected resource.
        assert_eq!((config.routes.len(), config.providers.len()), (13, 5));
    }

    #[test]
    fn tokens_are_held_to_their_verdicts() {
        let folder = tempfile::tempdir().unwrap();
        let keys = repository("tests/fixtures/tokens/keys.jwks");
        let text = serde_json::json!({
            "listeners": [{ "name": "a", "address": "127.0.0.1:0" }],
            "jwt": { "providers": { "p": {
                "issuer": "https://issuer.test/", "audiences": ["orders"], "leeway": "0s",
                "jwks": { "file": keys },
                "algorithms": [
                    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
                ],
            } } },
            "routes": [{ "jwt": { "providers": ["p"] }, "respond": { "status": 200 } }],
        });
        let file = folder.path().join("gateway.json");
        std::fs::write(&file, text.to_string()).unwrap();
        let (_, snapshot) = examine(&file).unwrap();
        let judge = |file: &Path, now| corpus::judge(file, &snapshot, UnixTime(now));
        let corpus = repository("tests/fixtures/tokens/attacks.jsonl");
        let outcome = judge(&corpus, 1_700_000_000).unwrap();
        assert_eq!(outcome.wrong, Vec::<String>::new());
        assert!(outcome.tokens > 450);
        let later = judge(&corpus, 1_800_000_000).unwrap();
        assert!(later.wrong[0].ends_with("expected accepted, found auth.expired"));

        let bad = folder.path().join("bad.jsonl");
        for (line, what) in [
            ("{}", "missing field `token`"),
            (r#"{"token":"a"}"#, "missing field `reason`"),
            (r#"{"token":"a","reason":"odd"}"#, "no refusal has the code \"odd\""),
            (r#"{"token":"a","reason":null,"route":"x"}"#, "no route \"x\""),
        ] {
            std::fs::write(&bad, format!("\n{line}\n")).unwrap();
            let error = judge(&bad, 0).unwrap_err();
            assert!(error.starts_with(&format!("{}:2: {what}", bad.display())), "{error}");
        }
    }

    #[test]
    fn what_is_led_to_a_listener_is_told() {
        let text = r#"{"listeners":[{"name":"a","address":"127.0.0.1:80"},{"name":"b",
            "address":"127.0.0.1:81","addresses":["10.0.0.0/8:1-9","10.1.2.3:80"]}],
            "routes":[{"match":{"path":"/"},"respond":{"status":204}}]}"#;
        let config = config::parse(text, Path::new("test.json")).unwrap();
        let expected = "listener b: 127.0.0.1:81, led to it: 10.0.0.0/8:1-9, 10.1.2.3/32:80";
        assert_eq!(led(&config).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = examine(Path::new("no-such-file.json")).unwrap_err();
        let what = "no-such-file.json: cannot be read: No such file or directory (os error 2)";
        assert_eq!(error, what);
    }

    #[test]
    fn more_routes_than_counters_have_cells_is_refused() {
        let routes: Vec<String> = (0..16_500)
            .map(|n| format!(r#"{{"match":{{"path":"/{n}"}},"respond":{{"status":200}}}}"#))
            .collect();
        let text = format!(
            r#"{{"listeners":[{{"name":"a","address":"127.0.0.1:0"}}],"routes":[{}]}}"#,
            routes.join(",")
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.json");
        std::fs::write(&file, text).unwrap();
        let error = examine(&file).unwrap_err();
        let expected = format!("{}: {}", file.display(), crate::telemetry::counters::OutOfCells);
        assert_eq!(error, expected);
    }
}
