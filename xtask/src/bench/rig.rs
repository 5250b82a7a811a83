//! What a run needs beside the contenders: the upstream, keys and tokens, a certificate, a folder.

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::certificate::Certificate;
use super::configuration::Job;
use super::interrupt::Interrupt;
use super::placement::{Placement, Priority};
use super::scenario::{Rotation, Scenario, Shape};
use super::server::Server;
use super::tokens::{self, Algorithm};
use crate::{process, setup, workspace};

/// Lives as long as a run. The upstream ends before the folder goes.
pub(super) struct Rig {
    pub(super) interrupt: Interrupt,
    pub(super) placement: Placement,
    pub(super) certificate: Certificate,
    pub(super) upstream: Server,
    tokens: Vec<tokens::Set>,
    pub(super) folder: TempDir,
}

impl Rig {
    /// Builds and installs what is missing, and starts the upstream.
    pub(super) fn new(priority: Priority, with_ringgate: bool) -> Result<Self> {
        setup::for_bench()?;
        if std::thread::available_parallelism()?.get() < 2 {
            bail!("two CPUs are needed: one for the proxy, one for the load");
        }
        build(with_ringgate)?;
        let interrupt = Interrupt::watch()?;
        let placement = Placement::new(priority);
        let folder = tempfile::tempdir()?;
        let certificate = Certificate::make(folder.path())?;
        let program = workspace::built("release", "bench-upstream")?;
        let upstream = Server::upstream(&program, &placement)?;
        Ok(Self { interrupt, placement, certificate, upstream, tokens: Vec::new(), folder })
    }

    /// Makes the tokens that these scenarios need.
    pub(super) fn make_tokens(&mut self, scenarios: &[Scenario]) -> Result<()> {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Eddsa] {
            let counts = scenarios.iter().filter_map(|scenario| match scenario.shape().tokens {
                Some((its, rotation)) if its == algorithm => Some(rotation.count()),
                Some(_) | None => None,
            });
            let Some(count) = counts.max() else { continue };
            self.interrupt.check()?;
            println!("bench: signing {count} tokens, {}", algorithm.name());
            self.tokens.push(tokens::Set::make(self.folder.path(), algorithm, count)?);
        }
        Ok(())
    }

    pub(super) fn tokens(&self, shape: &Shape) -> Result<Option<&tokens::Set>> {
        let Some((algorithm, _)) = shape.tokens else { return Ok(None) };
        let set = self.tokens.iter().find(|set| set.algorithm == algorithm);
        Ok(Some(set.context("tokens are made before they are used")?))
    }

    pub(super) fn job(&self, shape: &Shape) -> Result<Job<'_>> {
        Ok(Job {
            entrance: shape.entrance,
            upstream: self.upstream.address,
            tokens: self.tokens(shape)?,
            certificate: &self.certificate,
        })
    }
}

impl Rotation {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Same => 1,
            Self::Thousand => tokens::THOUSAND,
            Self::Fresh => tokens::FRESH,
        }
    }
}

/// With the release profile.
pub(super) fn build(with_ringgate: bool) -> Result<()> {
    let mut packages = vec!["bench-upstream", "bench-load"];
    if with_ringgate {
        packages.push("ringgate");
    }
    // Each for itself: together they would share features.
    for package in packages {
        let mut cargo = workspace::cargo();
        process::run(cargo.args(["build", "--locked", "--release", "--package", package]))?;
    }
    Ok(())
}
