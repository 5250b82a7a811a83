//! `bench-load`, in step with whoever counts what it costs the proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Load;
use crate::bench::placement::Placement;
use crate::workspace;

/// A run that has connected and waits for each word. Dropping it ends it.
pub(crate) struct Run {
    child: Child,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Run {
    pub(crate) fn start(
        arguments: &[String],
        address: SocketAddr,
        trusted: Option<&Path>,
        placement: &Placement,
    ) -> Result<Self> {
        let mut command = Command::new(workspace::built("release", "bench-load")?);
        command.args(["--address", &address.to_string()]);
        if let Some(certificate) = trusted {
            command.arg("--tls").arg(certificate);
        }
        command.args(arguments);
        let mut placed = placement.load(&command);
        placed.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = placed.spawn().context("bench-load")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { child, stdout, line: String::new() })
    }

    /// Waits until it says so.
    pub(crate) fn wait_for(&mut self, word: &str) -> Result<()> {
        self.line.clear();
        self.stdout.read_line(&mut self.line)?;
        if self.line.trim_end() != word {
            bail!("expected {word} of bench-load, found {:?}", self.line);
        }
        Ok(())
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("stdin is piped")?;
        Ok(stdin.write_all(b"\n")?)
    }

    /// What it says at its end; its connections are still open.
    pub(crate) fn result(&mut self) -> Result<Value> {
        self.line.clear();
        self.stdout.read_line(&mut self.line)?;
        super::result(&self.line)
    }

    /// The same, of a run that measures.
    pub(crate) fn load(&mut self) -> Result<Load> {
        self.line.clear();
        self.stdout.read_line(&mut self.line)?;
        super::parse(&self.line)
    }
}

impl Drop for Run {
    /// It ends when its input does; one that is in the middle of its run is killed.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if !self.line.starts_with("RESULT ") {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
