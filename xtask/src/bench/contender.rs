//! The proxies that are compared, and how each is started with equal settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::configuration::{self, Job, Place, TokenCache};
use super::placement::Placement;
use super::scenario::{Entrance, Rotation, Scenario};
use super::server::{self, Server};
use super::tokens::Algorithm;
use crate::process;
use crate::setup;
use crate::workspace;

/// A proxy under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Contender {
    Ringgate,
    Nginx,
    Haproxy,
    Envoy,
    /// Envoy that remembers verified tokens
    EnvoyCache,
}

impl Contender {
    pub(crate) const ALL: &[Self] =
        &[Self::Ringgate, Self::Nginx, Self::Haproxy, Self::Envoy, Self::EnvoyCache];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ringgate => "ringgate",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyCache => "envoy_cache",
        }
    }

    /// Why it takes no part; none where it does.
    pub(super) fn abstains(self, scenario: Scenario) -> Option<&'static str> {
        let shape = scenario.shape();
        match (self, shape.tokens) {
            (Self::Nginx, Some(_)) => Some("verifies tokens in its commercial edition only"),
            (Self::Haproxy, Some((Algorithm::Eddsa, _))) => Some("knows no EdDSA"),
            (Self::EnvoyCache, None) => Some("is Envoy where there are no tokens"),
            (Self::EnvoyCache, Some((Algorithm::Es256 | Algorithm::Eddsa, Rotation::Fresh))) => {
                Some("is Envoy where no token comes twice")
            }
            (Self::Nginx, None) if shape.entrance == Entrance::Tcp => {
                let is_there = Path::new(setup::NGINX_STREAM_MODULE).exists();
                (!is_there).then_some("has no module of plain TCP here")
            }
            (
                Self::Ringgate | Self::Nginx | Self::Haproxy | Self::Envoy | Self::EnvoyCache,
                None | Some(_),
            ) => None,
        }
    }

    /// What the program says of its version, in one line.
    pub(super) fn version(self) -> Result<String> {
        let text = match self {
            Self::Ringgate | Self::Envoy | Self::EnvoyCache => {
                process::output(Command::new(self.program()?).arg("--version"))?
            }
            // nginx writes it to stderr.
            Self::Nginx => {
                let output = Command::new(self.program()?).arg("-v").output()?;
                String::from_utf8_lossy(&output.stderr).into_owned()
            }
            Self::Haproxy => process::output(Command::new(self.program()?).arg("-v"))?,
        };
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        // Envoy's begins with its own path.
        Ok(line.rsplit_once("version: ").map_or(line, |(_, version)| version).to_owned())
    }

    /// Starts it on a free port, pinned, one worker, and waits until it accepts.
    pub(super) fn start(
        self,
        job: &Job<'_>,
        folder: &Path,
        placement: &Placement,
    ) -> Result<Server> {
        let address = server::free_address()?;
        let folder = folder.join(format!("{}-{}", self.name(), address.port()));
        fs::create_dir_all(&folder)?;
        let place = Place { address, folder: &folder };
        let (text, arguments) = match self {
            Self::Ringgate => (configuration::ringgate(job, &place), &["run"][..]),
            Self::Nginx => (configuration::nginx(job, &place), &["-c"][..]),
            Self::Haproxy => (configuration::haproxy(job, &place), &["-db", "-f"][..]),
            Self::Envoy => (configuration::envoy(job, &place, TokenCache::Off), ENVOY),
            Self::EnvoyCache => (configuration::envoy(job, &place, TokenCache::On), ENVOY),
        };
        // Envoy goes by the name's end.
        let file = folder.join("configuration.json");
        fs::write(&file, text)?;
        let mut command = Command::new(self.program()?);
        command.args(arguments).arg(&file);
        Server::start(self.name(), &placement.proxy(&command), address, &folder)
    }

    fn program(self) -> Result<PathBuf> {
        match self {
            Self::Ringgate => workspace::built("release", "ringgate"),
            Self::Nginx | Self::Haproxy => process::find(self.name()).context(self.name()),
            Self::Envoy | Self::EnvoyCache => setup::envoy(),
        }
    }
}

const ENVOY: &[&str] = &["--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c"];
