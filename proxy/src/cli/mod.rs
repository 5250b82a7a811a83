//! The command line: which subcommand, with which arguments; usage errors exit 64.

pub mod check;
mod corpus;
pub mod demo;
pub mod probe;
pub mod reasons;
pub mod run;
pub mod schema;
pub mod token;
pub mod verify;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

/// Exit code for a command line that is not understood (EX_USAGE of sysexits.h).
const BAD_USAGE: u8 = 64;
/// Exit code for a configuration that is refused.
const BAD_CONFIG: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes: 0 fine, 1 failed at run time, 2 bad configuration, 64 bad usage.
Signals to `run`: SIGHUP reloads, SIGTERM drains, SIGINT or a second SIGTERM stops at once.";

/// An edge gateway that verifies a JSON Web Token on every request, on io_uring.
#[derive(Debug, Parser)]
#[command(name = "ringgate", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Demo(demo::Demo),
    Schema(schema::Schema),
    Reasons(reasons::Reasons),
    Verify(verify::Verify),
    Token(token::Token),
    Probe(probe::Probe),
}

/// Parses argv and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Demo(demo) => demo.run(),
            Command::Schema(schema) => schema.run(),
            Command::Reasons(reasons) => reasons.run(),
            Command::Verify(verify) => verify.run(),
            Command::Token(token) => token.run(),
            Command::Probe(probe) => probe.run(),
        },
        Err(error) => {
            // Help and version go to standard output, all else to standard error.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(BAD_USAGE),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_a_file_and_a_ready_file() {
        let cli = Cli::try_parse_from(["ringgate", "run", "a.json", "--ready-file", "r"]);
        assert!(matches!(cli.unwrap().command, Command::Run(_)));
        let error = Cli::try_parse_from(["ringgate", "run"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
    }
}
