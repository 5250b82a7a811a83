//! The project's automation, one subcommand a task: `cargo xtask --help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks")]

mod bench;
mod dependencies;
mod ebpf;
mod fuzz;
mod generated;
mod instructions;
mod process;
mod setup;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's automation")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need and this machine lacks (apt as root; elsewhere: say what)
    Setup,
    /// Set up, then every check and every test; a summary at the end
    Test,
    /// What `test` does, and known advisories against dependencies, where they can be had
    Ci,
    /// Check layers, names, sizes, file headers, unsafe code and paths
    Tidy,
    /// Write config/schema.json from the binary's own types
    Schema {
        /// Only compare; fail when the committed file differs
        #[arg(long)]
        check: bool,
    },
    /// Write docs/reasons.md from the codes of refusals
    Reasons {
        /// Only compare; fail when the committed file differs
        #[arg(long)]
        check: bool,
    },
    /// Build the eBPF programs into proxy-ebpf/object
    Ebpf {
        /// Only compare; fail when the committed objects differ
        #[arg(long)]
        check: bool,
    },
    /// Measure ringgate beside nginx, haproxy and Envoy on this machine
    Bench(bench::Options),
    /// Count the instructions of a request's way (valgrind), beside benches/instructions/baseline.json
    Instructions {
        /// Fail where a count is over its baseline
        #[arg(long, conflicts_with = "write")]
        check: bool,
        /// Write them as the baseline
        #[arg(long)]
        write: bool,
    },
    /// Measure what a flood of bad tokens does to good requests on the same core
    Flood(bench::flood::Options),
    /// Measure what 1,000 slow connections do to good requests, in four modes of slowhttptest
    Slow(bench::slow::Options),
    /// Mixed traffic and reloads for minutes: no error that was not asked for, flat memory
    Soak(bench::soak::Options),
    /// Measure how connections spread over the workers with each policy of steering (root)
    Steering(bench::steering::Options),
}

fn set_up() -> anyhow::Result<()> {
    setup::for_tests()?;
    if let suite::Outcome::Skipped(why) = setup::issuer()? {
        println!("SKIPPED npm packages: {why}");
    }
    Ok(())
}

fn count_instructions() -> anyhow::Result<()> {
    if let suite::Outcome::Skipped(why) = instructions::check()? {
        println!("SKIPPED instructions: {why}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup => set_up(),
        Task::Test => suite::test(),
        Task::Ci => suite::ci(),
        Task::Tidy => tidy::run(),
        Task::Schema { check: false } => generated::SCHEMA.write(),
        Task::Schema { check: true } => generated::SCHEMA.build_and_check(),
        Task::Reasons { check: false } => generated::REASONS.write(),
        Task::Reasons { check: true } => generated::REASONS.build_and_check(),
        Task::Ebpf { check: false } => ebpf::write(),
        Task::Ebpf { check: true } => ebpf::require_equal(),
        Task::Bench(options) => bench::run(&options),
        Task::Instructions { check: true, .. } => count_instructions(),
        Task::Instructions { write: true, .. } => instructions::write(),
        Task::Instructions { check: false, write: false } => instructions::show(),
        Task::Flood(options) => bench::flood::run(&options),
        Task::Slow(options) => bench::slow::run(&options),
        Task::Soak(options) => bench::soak::run(&options),
        Task::Steering(options) => bench::steering::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
