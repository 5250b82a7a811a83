//! The proxies that are compared, and how each is started with equal settings.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::configuration;
use super::scenario::Scenario;
use super::server::{self, Server};
use super::tokens;
use crate::process;
use crate::workspace;

/// A proxy under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    Ringgate,
    Nginx,
    Haproxy,
}

impl Contender {
    pub(crate) const ALL: &[Self] = &[Self::Ringgate, Self::Nginx, Self::Haproxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ringgate => "ringgate",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// nginx verifies tokens in its commercial edition only.
    pub(super) fn takes_part(self, scenario: Scenario) -> bool {
        self != Self::Nginx || !scenario.tokens()
    }

    /// What the program says of its version, in one line.
    pub(super) fn version(self) -> Result<String> {
        let text = match self {
            Self::Ringgate => process::output(self.command()?.arg("--version"))?,
            // nginx writes it to stderr.
            Self::Nginx => {
                let output = self.command()?.arg("-v").output()?;
                String::from_utf8_lossy(&output.stderr).into_owned()
            }
            Self::Haproxy => process::output(self.command()?.arg("-v"))?,
        };
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Starts it on a free port, pinned, one worker, and waits until it accepts.
    pub(super) fn start(
        self,
        upstream: SocketAddr,
        folder: &Path,
        tokens: Option<&tokens::Set>,
    ) -> Result<Server> {
        let address = server::free_address()?;
        let kind = if tokens.is_some() { "tokens" } else { "plain" };
        let folder = folder.join(format!("{}-{kind}", self.name()));
        fs::create_dir_all(&folder)?;
        let file = folder.join("configuration");
        let (text, arguments) = match self {
            Self::Ringgate => (configuration::ringgate(address, upstream, tokens), vec!["run"]),
            Self::Nginx => (configuration::nginx(address, upstream, &folder), vec!["-c"]),
            Self::Haproxy => (configuration::haproxy(address, upstream, tokens), vec!["-db", "-f"]),
        };
        fs::write(&file, text)?;
        let mut command = self.command()?;
        command.args(arguments).arg(&file);
        Server::start(self.name(), &command, address, &folder)
    }

    fn command(self) -> Result<Command> {
        Ok(Command::new(match self {
            Self::Ringgate => workspace::built("release", "ringgate")?,
            Self::Nginx | Self::Haproxy => process::find(self.name()).context(self.name())?,
        }))
    }
}
