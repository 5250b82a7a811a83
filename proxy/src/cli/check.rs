//! `ringgate check`: everything that `run` does with a configuration but listen.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::control::compile::{Inputs, compile};
use crate::control::config::{self, Config, Workers};
use crate::snapshot::ids::Generation;
use crate::telemetry::counters::Registry;

/// The exit code for a configuration that is refused.
const BAD_CONFIG: u8 = 2;

/// Check a configuration file and say everything that is wrong with it.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The configuration file.
    file: PathBuf,
}

impl Check {
    /// Checks the file; problems and warnings go to standard error, one a line.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match examine(&self.file) {
            Ok(config) => {
                let warnings = config.warnings.list.len();
                if warnings > 0 {
                    say(&mut std::io::stderr(), &config.warnings.to_string());
                }
                let (routes, providers) = (config.routes.len(), config.providers.len());
                let summary = format!(
                    "{}: good; routes: {routes}, providers: {providers}, warnings: {warnings}",
                    self.file.display()
                );
                say(&mut std::io::stdout(), &summary);
                ExitCode::SUCCESS
            }
            Err(problems) => {
                say(&mut std::io::stderr(), &problems);
                ExitCode::from(BAD_CONFIG)
            }
        }
    }
}

/// Reads and compiles a configuration; the error is what to print.
fn examine(file: &Path) -> Result<Config, String> {
    let config = config::load(file).map_err(|errors| errors.to_string())?;
    let workers = match config.workers {
        Workers::Count(count) => count,
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let inputs = Inputs {
        generation: Generation::default(),
        workers,
        keys: &HashMap::new(),
        addresses: &HashMap::new(),
    };
    compile(&config, &inputs, &mut Registry::default())
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(config)
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
        let config = examine(&repository("config/examples/full.json")).unwrap();
        // Six of the file and the metadata of a protected resource.
        assert_eq!((config.routes.len(), config.providers.len()), (7, 4));
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
