//! How ringgate's cost grows with what it has to do: connections, routes, keys, bodies, workers.
//!
//! One gateway a cell, all of a row of cells at once, loaded in turns.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::load::own::Run;
use super::load::wrk::{self, Turns};
use super::measure::{self, Figures};
use super::placement::Placement;
use super::rig::Rig;
use super::scenario::{How, Unit};
use super::server::{self, Server};
use super::spread::Spread;
use super::tokens::{self, AUDIENCE, Algorithm, ISSUER};
use super::{Effort, cpu, report};
use crate::workspace;

const CONNECTIONS: [u64; 5] = [1, 10, 100, 1_000, 10_000];
const ROUTES: [u64; 5] = [1, 10, 100, 1_000, 10_000];
const KEYS: [u64; 4] = [1, 10, 100, 1_000];
const BODIES: [u64; 6] = [128, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20];
const WORKERS: [u64; 2] = [1, 2];
/// Where it is not connections that grow.
const CONNECTIONS_USUAL: u64 = 64;
const CONNECTIONS_OF_BODIES: u64 = 16;
/// Keys that an issuer has at most: the gateway reads 128 of a set.
const KEYS_OF_ISSUER: usize = 125;

/// How long to measure, and what.
#[derive(clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    effort: Effort,
    /// Only what grows with these; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Axis>,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Axis {
    Connections,
    /// All but the first digits of their paths are alike; the last one is asked for
    Routes,
    /// ES256 keys, and tokens of the last one that no cache holds
    Keys,
    /// Bytes of a response
    Bodies,
    Workers,
}

impl Axis {
    const ALL: &[Self] =
        &[Self::Connections, Self::Routes, Self::Keys, Self::Bodies, Self::Workers];

    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Routes => "routes",
            Self::Keys => "keys",
            Self::Bodies => "bodies",
            Self::Workers => "workers",
        }
    }

    fn sizes(self) -> &'static [u64] {
        match self {
            Self::Connections => &CONNECTIONS,
            Self::Routes => &ROUTES,
            Self::Keys => &KEYS,
            Self::Bodies => &BODIES,
            Self::Workers => &WORKERS,
        }
    }
}

/// One size of what grows, and the gateway for it.
struct Cell {
    size: u64,
    server: Server,
    connections: u64,
    path: String,
    tokens: Option<tokens::Set>,
    next_token: usize,
    placement: Placement,
    runs: Vec<Figures>,
}

/// Measures, prints the table and writes the figures.
pub(super) fn run(options: &Options) -> Result<()> {
    let effort = options.effort;
    let rig = Rig::new(effort.priority(), true)?;
    let axes = if options.only.is_empty() { Axis::ALL } else { &options.only };
    let mut lines = Vec::new();
    for axis in axes {
        let cells = axis.sizes().iter().map(|size| Cell::start(*axis, *size, &rig));
        let mut cells = cells.collect::<Result<Vec<Cell>>>()?;
        for round in 0..=effort.runs {
            for cell in &mut cells {
                rig.interrupt.check()?;
                let seconds = if round == 0 { 1 } else { effort.seconds };
                let figures =
                    cell.run(seconds).with_context(|| format!("{} {}", cell.size, axis.name()))?;
                // The first one warms.
                if round > 0 {
                    cell.runs.push(figures);
                }
            }
        }
        for cell in &cells {
            let line = cell.line(*axis).context("at least one run")?;
            println!("{:<12} {:>9} {:.2} CPU-us/request", axis.name(), cell.size, line.cost);
            lines.push(line);
        }
    }
    print(&lines);
    let lines: Vec<Value> = lines.iter().map(Line::json).collect();
    let body = json!({
        "machine": report::machine()?, "settings": effort.json(), "lines": lines,
    });
    println!("\nfigures: {}", report::write(&effort.folder()?, "growth", &body)?.display());
    Ok(())
}

impl Cell {
    fn start(axis: Axis, size: u64, rig: &Rig) -> Result<Self> {
        let folder = rig.folder.path().join(format!("{}-{size}", axis.name()));
        fs::create_dir_all(&folder)?;
        let of = |this: Axis, usual: u64| if axis == this { size } else { usual };
        let tokens = match axis {
            Axis::Keys => Some(tokens::Set::make(&folder, Algorithm::Es256, tokens::FRESH)?),
            Axis::Connections | Axis::Routes | Axis::Bodies | Axis::Workers => None,
        };
        let issuers = tokens.as_ref().map(|tokens| issuers(tokens, size)).transpose()?;
        let issuers = issuers.unwrap_or_default();
        let address = server::free_address()?;
        let routes = of(Axis::Routes, 1);
        let mut config = json!({
            "workers": of(Axis::Workers, 1),
            "listeners": [{ "name": "bench", "address": address.to_string() }],
            "upstreams": { "bench": { "endpoints": [rig.upstream.address.to_string()] } },
            "forwarding": { "x_forwarded": false },
            "limits": { "connections": 12_000, "requests_per_connection": 1_000_000_000 },
            "access_log": { "target": "off" },
            "log": { "level": "warn" },
        });
        let mut list = Vec::new();
        for nth in 0..routes {
            let prefix = if axis == Axis::Routes { route(nth) } else { "/".into() };
            let mut route = json!({ "match": { "path_prefix": prefix }, "upstream": "bench" });
            if !issuers.is_empty() {
                let names: Vec<&String> = issuers.keys().collect();
                route["jwt"] = json!({ "providers": names });
            }
            list.push(route);
        }
        config["routes"] = list.into();
        if !issuers.is_empty() {
            config["jwt"] = json!({ "providers": issuers });
        }
        let file = folder.join("configuration.json");
        fs::write(&file, config.to_string())?;
        let mut command = Command::new(workspace::built("release", "ringgate")?);
        command.arg("run").arg(&file);
        let placement = placement(of(Axis::Workers, 1), &rig.placement)?;
        let server = Server::start("ringgate", &placement.proxy(&command), address, &folder)?;
        let path = match axis {
            Axis::Routes => route(routes - 1),
            Axis::Bodies => format!("/bytes/{size}"),
            Axis::Connections | Axis::Keys | Axis::Workers => "/".to_owned(),
        };
        let usual = match axis {
            Axis::Bodies => CONNECTIONS_OF_BODIES,
            Axis::Connections | Axis::Routes | Axis::Keys | Axis::Workers => CONNECTIONS_USUAL,
        };
        let connections = of(Axis::Connections, usual);
        let runs = Vec::new();
        Ok(Self { size, server, connections, path, tokens, next_token: 0, placement, runs })
    }

    fn run(&mut self, seconds: u32) -> Result<Figures> {
        let (address, pid) = (self.server.address, self.server.pid());
        let connections = u32::try_from(self.connections)?;
        let Some(tokens) = &self.tokens else {
            let arguments = measure::requests(connections, &self.path, How::Plain, seconds);
            let mut run = Run::start(&arguments, address, None, &self.placement)?;
            return measure::in_step(&mut run, pid);
        };
        let turns = Turns { list: &tokens.list, count: tokens.count, first: self.next_token };
        let plan = wrk::Plan { connections, path: "/", closes: false, tokens: Some(turns) };
        let before = cpu::time_ns(pid)?;
        let load = wrk::run(&plan, address, seconds, &self.placement)?;
        let cpu_ns = cpu::time_ns(pid)? - before;
        let sent = usize::try_from(load.requests)? + connections as usize;
        self.next_token = (self.next_token + sent) % tokens.count;
        Ok(Figures::Work { cpu_ns, load })
    }

    fn line(&self, axis: Axis) -> Option<Line> {
        let time = |which: fn(&Figures) -> Option<u64>| {
            Spread::of(self.runs.iter().filter_map(which).map(|us| us as f64))
        };
        Some(Line {
            axis,
            size: self.size,
            cost: Spread::of(self.runs.iter().map(|run| run.cost(Unit::Request)))?,
            cost_of_megabyte: Spread::of(self.runs.iter().map(|run| run.cost(Unit::Megabyte)))?,
            rate: Spread::of(self.runs.iter().filter_map(|run| run.rate(Unit::Request)))?,
            p50_us: time(|run| Some(run.load()?.p50_us))?,
            p99_us: time(|run| Some(run.load()?.p99_us))?,
        })
    }
}

fn route(nth: u64) -> String {
    format!("/team-{}/service-{nth}/", nth % 32)
}

/// Issuers with this many keys in all, of which the last one's last has signed the tokens.
fn issuers(tokens: &tokens::Set, keys: u64) -> Result<Map<String, Value>> {
    let mut all = tokens::other_keys(usize::try_from(keys)? - 1)?;
    all.extend(tokens.jwks["keys"].as_array().context("a key set")?.clone());
    let mut issuers = Map::new();
    for (nth, keys) in all.rchunks(KEYS_OF_ISSUER).enumerate() {
        let (name, issuer) = match nth {
            0 => ("bench".to_owned(), ISSUER.to_owned()),
            nth => (format!("other-{nth}"), format!("https://other-{nth}.example/")),
        };
        let provider = json!({
            "issuer": issuer, "audiences": [AUDIENCE], "jwks": { "inline": { "keys": keys } },
        });
        issuers.insert(name, provider);
    }
    Ok(issuers)
}

/// As many cores as workers; the load has one of its own where there is one left.
fn placement(workers: u64, usual: &Placement) -> Result<Placement> {
    if workers == 1 {
        return Ok(usual.clone());
    }
    let last = thread::available_parallelism()?.get() - 1;
    Ok(Placement {
        proxy_cores: "0,1".into(),
        load_cores: last.min(2).to_string(),
        priority: usual.priority,
    })
}

/// The runs of one cell, summed up.
struct Line {
    axis: Axis,
    size: u64,
    cost: Spread,
    cost_of_megabyte: Spread,
    rate: Spread,
    p50_us: Spread,
    p99_us: Spread,
}

impl Line {
    fn json(&self) -> Value {
        let spread = |s: &Spread| json!({ "median": s.median, "least": s.least, "most": s.most });
        json!({
            "axis": self.axis.name(),
            "size": self.size,
            "cpu_us_per_request": spread(&self.cost),
            "cpu_us_per_megabyte": spread(&self.cost_of_megabyte),
            "requests_per_second": spread(&self.rate),
            "p50_us": spread(&self.p50_us),
            "p99_us": spread(&self.p99_us),
        })
    }
}

fn print(lines: &[Line]) {
    println!("\n| grows | size | CPU-us/request | CPU-us/MB | requests/s | p50 us | p99 us |");
    println!("|---|---|---|---|---|---|---|");
    for line in lines {
        // Of small bodies a MB says nothing.
        let megabyte = match line.axis {
            Axis::Bodies => format!("{:.0}", line.cost_of_megabyte.median),
            Axis::Connections | Axis::Routes | Axis::Keys | Axis::Workers => String::new(),
        };
        println!(
            "| {} | {} | {:.2} | {megabyte} | {:.0} | {:.0} | {:.0} |",
            line.axis.name(),
            line.size,
            line.cost,
            line.rate.median,
            line.p50_us.median,
            line.p99_us.median,
        );
    }
}
