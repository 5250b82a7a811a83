//! One contender under the load of one scenario, and what that cost.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::contender::Contender;
use super::load::Load;
use super::load::own::Run;
use super::load::wrk::{self, Turns};
use super::rig::Rig;
use super::scenario::{self, Entrance, How, Scenario, Unit};
use super::server::Server;
use super::{cpu, memory, prove};

/// A contender that has been started, and proven to do what is measured.
pub(super) struct Running {
    pub(super) contender: Contender,
    scenario: Scenario,
    server: Server,
    /// The token of the next request.
    next: usize,
}

/// What one run measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Figures {
    Work { cpu_ns: u64, load: Load },
    Memory { bytes_each: f64 },
}

impl Running {
    pub(super) fn start(contender: Contender, scenario: Scenario, rig: &Rig) -> Result<Self> {
        let shape = scenario.shape();
        let job = rig.job(&shape)?;
        let server = contender.start(&job, rig.folder.path(), &rig.placement)?;
        prove::contender(scenario, server.address, job.tokens, &rig.certificate, &rig.placement)
            .context("it does not do what is measured")?;
        Ok(Self { contender, scenario, server, next: 0 })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Loads it once.
    pub(super) fn run(&mut self, seconds: u32, rig: &Rig) -> Result<Figures> {
        let shape = self.scenario.shape();
        let arguments = match shape.load {
            scenario::Load::Wrk { connections, path, closes } => {
                return self.run_wrk(seconds, rig, (connections, path, closes));
            }
            scenario::Load::Own { connections, path, how } => {
                requests(connections, path, how, seconds)
            }
            scenario::Load::Echo { connections, bytes } => [
                "echo".to_owned(),
                format!("--connections={connections}"),
                format!("--seconds={seconds}"),
                format!("--bytes={bytes}"),
            ]
            .to_vec(),
            scenario::Load::Idle => memory::arguments(),
        };
        let trusted = &rig.certificate.chain;
        let trusted = (shape.entrance == Entrance::Https).then_some(trusted.as_path());
        let (address, pid) = (self.server.address, self.server.pid());
        let mut run = Run::start(&arguments, address, trusted, &rig.placement)?;
        if shape.load == scenario::Load::Idle {
            return Ok(Figures::Memory { bytes_each: memory::bytes_each(&mut run, pid)? });
        }
        in_step(&mut run, pid)
    }

    /// Connections are made within the run: wrk knows no steps.
    fn run_wrk(
        &mut self,
        seconds: u32,
        rig: &Rig,
        (connections, path, closes): (u32, &str, bool),
    ) -> Result<Figures> {
        let shape = self.scenario.shape();
        let rotation = shape.tokens.map(|(_, rotation)| rotation);
        let set = rig.tokens(&shape)?;
        let turns = set.zip(rotation).map(|(set, rotation)| Turns {
            list: &set.list,
            count: rotation.count().min(set.count),
            first: self.next,
        });
        let plan = wrk::Plan { connections, path, closes, tokens: turns };
        let pid = self.server.pid();
        let before = cpu::time_ns(pid)?;
        let load = wrk::run(&plan, self.server.address, seconds, &rig.placement)?;
        let cpu_ns = cpu::time_ns(pid)? - before;
        if let Some(turns) = turns {
            // Each connection may have sent one that nobody counted.
            let sent = usize::try_from(load.requests)? + connections as usize;
            self.next = (self.next + sent) % turns.count;
        }
        Ok(Figures::Work { cpu_ns, load })
    }
}

/// From when all connections are there until the last answer is.
pub(super) fn in_step(run: &mut Run, pid: u32) -> Result<Figures> {
    run.wait_for("READY")?;
    let before = cpu::time_ns(pid)?;
    run.go_on()?;
    let load = run.load()?;
    let cpu_ns = cpu::time_ns(pid)? - before;
    Ok(Figures::Work { cpu_ns, load })
}

/// Arguments of our own load.
pub(super) fn requests(connections: u32, path: &str, how: How, seconds: u32) -> Vec<String> {
    let mut arguments = vec![
        "requests".to_owned(),
        format!("--connections={connections}"),
        format!("--path={path}"),
        format!("--seconds={seconds}"),
    ];
    arguments.extend(match how {
        How::Plain => None,
        How::Upload { bytes } => Some(format!("--body={bytes}")),
        How::Rate { per_second } => Some(format!("--rate={per_second}")),
        How::FullHandshakes => Some("--anew=full".to_owned()),
        How::ResumedHandshakes => Some("--anew=resumed".to_owned()),
    });
    arguments
}

impl Figures {
    /// CPU-us for a unit of work, or KiB for a connection.
    pub(super) fn cost(&self, unit: Unit) -> f64 {
        match self {
            Self::Work { cpu_ns, load } => *cpu_ns as f64 / 1000.0 / units(load, unit),
            Self::Memory { bytes_each } => bytes_each / 1024.0,
        }
    }

    /// Units of work a second.
    pub(super) fn rate(&self, unit: Unit) -> Option<f64> {
        let load = self.load()?;
        Some(units(load, unit) / (load.duration_us as f64 / 1_000_000.0))
    }

    pub(super) fn load(&self) -> Option<&Load> {
        match self {
            Self::Work { load, .. } => Some(load),
            Self::Memory { .. } => None,
        }
    }

    pub(super) fn json(&self, unit: Unit) -> Value {
        match self {
            Self::Work { cpu_ns, load } => json!({
                "cpu_ns": cpu_ns,
                "requests": load.requests,
                "bytes": load.bytes,
                "duration_us": load.duration_us,
                "p50_us": load.p50_us,
                "p99_us": load.p99_us,
                "p999_us": load.p999_us,
                "socket_errors": load.socket_errors,
                "cpu_us_per_unit": self.cost(unit),
                "units_per_second": self.rate(unit),
            }),
            Self::Memory { bytes_each } => json!({ "bytes_per_connection": bytes_each }),
        }
    }
}

fn units(load: &Load, unit: Unit) -> f64 {
    match unit {
        Unit::Request | Unit::Echo | Unit::Connection => load.requests as f64,
        Unit::Megabyte => load.bytes as f64 / 1_000_000.0,
    }
}
