//! What the gateway says that it holds, and what the kernel says of its memory and descriptors.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Gateway;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks in a row that must be the same: gauges of buffers are up to 100 ms old.
const LOOKS: usize = 5;

/// What is held; pooled upstream connections, which may come and go, are not counted, nor the
/// descriptor and the buffer of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gauges {
    connections: f64,
    in_flight: f64,
    head_buffers: f64,
    body_buffers: f64,
    descriptors: f64,
}

impl Gauges {
    fn look(gateway: &Gateway) -> Result<Self> {
        let scrape = gateway.scrape()?;
        let pooled = scrape.sum("ringgate_upstream_connections_idle");
        let buffers = |pool| scrape.with("ringgate_buffers_in_use", pool);
        let descriptors = fs::read_dir(format!("/proc/{}/fd", gateway.server.pid()))?.count();
        Ok(Self {
            connections: scrape.sum("ringgate_connections_open"),
            in_flight: scrape.sum("ringgate_upstream_requests_in_flight"),
            head_buffers: buffers("pool=\"head\"") - pooled,
            body_buffers: buffers("pool=\"body\""),
            descriptors: descriptors as f64 - pooled,
        })
    }
}

/// Once it stays the same and no client is connected; as it is then, or at the end of the time.
pub(super) fn settled(gateway: &Gateway, within: Duration) -> Result<Gauges> {
    let deadline = Instant::now() + within;
    let mut seen = vec![Gauges::look(gateway)?];
    loop {
        thread::sleep(LOOK_EVERY);
        let now = Gauges::look(gateway)?;
        if seen.last() != Some(&now) || now.connections > 0.0 {
            seen.clear();
        }
        seen.push(now);
        if seen.len() == LOOKS || Instant::now() > deadline {
            return Ok(now);
        }
    }
}

/// Resident memory.
pub(super) fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The metrics as they are once.
pub(in crate::bench) struct Scrape(String);

impl Scrape {
    pub(in crate::bench) fn take(admin: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(admin)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(Self(text))
    }

    /// Over all series of this name.
    pub(in crate::bench) fn sum(&self, name: &str) -> f64 {
        self.with(name, "")
    }

    /// Over those with this label.
    pub(in crate::bench) fn with(&self, name: &str, label: &str) -> f64 {
        self.samples(name)
            .filter(|(labels, _)| labels.contains(label))
            .map(|(_, value)| value)
            .sum()
    }

    /// Those that happened, by reason.
    pub(in crate::bench) fn refusals(&self) -> BTreeMap<String, f64> {
        let mut refusals = BTreeMap::new();
        for (labels, value) in self.samples("ringgate_refusals_total") {
            if let Some((_, rest)) = labels.split_once("reason=\"")
                && let Some((reason, _)) = rest.split_once('"')
                && value > 0.0
            {
                *refusals.entry(reason.to_owned()).or_default() += value;
            }
        }
        refusals
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name).then(|| value.parse().ok().map(|value| (labels, value)))?
        })
    }
}
