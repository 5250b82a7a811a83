//! The load of the end-to-end benches that wrk cannot make: handshakes, a fixed rate, uploads, echoes
//! and idle connections, each by the same steps.
//!
//! It connects, prints `READY`, begins on a line from stdin, prints `RESULT` and one line of JSON,
//! and holds its connections until stdin ends: whoever counts what that costs the other side counts
//! between these lines. Any answer but the expected one is the end of the run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks")]

mod dial;
mod echo;
mod figures;
mod idle;
mod message;
mod probe;
mod requests;
mod steps;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use dial::Dialer;

#[derive(Parser)]
#[command(name = "bench-load", about = "A load for proxies, and what it saw")]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    load: Load,
}

/// Where to, and how.
#[derive(clap::Args)]
struct Target {
    /// The proxy
    #[arg(long)]
    address: SocketAddr,
    /// Speak TLS 1.3, and trust this certificate (PEM)
    #[arg(long)]
    tls: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Load {
    /// Requests, one after the other on each connection, or at a fixed rate over all of them
    Requests(requests::Plan),
    /// Messages of a WebSocket that come back
    Echo(echo::Plan),
    /// Connections that stay idle after one request
    Idle(idle::Plan),
    /// One request, and what can be told of the answer
    Probe(probe::Plan),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let dialer = Dialer::new(arguments.target.address, arguments.target.tls.as_deref())?;
        runtime.block_on(async {
            match &arguments.load {
                Load::Requests(plan) => requests::run(&dialer, plan).await,
                Load::Echo(plan) => echo::run(&dialer, plan).await,
                Load::Idle(plan) => idle::run(&dialer, plan).await,
                Load::Probe(plan) => probe::run(&dialer, plan).await,
            }
        })
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
