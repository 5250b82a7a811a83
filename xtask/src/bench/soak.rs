//! Mixed traffic for minutes: wrk on connections that are kept, closed and carry large bodies; uploads,
//! WebSockets, clients that abort; a reload every five seconds.
//!
//! What it asks of the gateway, and how, is told in benches/README.md.

mod clients;
pub(super) mod gauges;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::rig;
use super::server::Server;
use super::service;
use crate::{setup, workspace};
use gauges::Scrape;

const RELOAD_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// What the last quarter's mean of resident memory may have over the second's: measured steps of the
/// allocator, no growth with time.
const GROWTH_MAX: f64 = 0.05;
/// What clients that abort are counted as.
const ASKED_FOR: [&str; 2] = ["client.left", "client.lost"];

/// How long to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes of traffic
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
}

/// Runs it and fails on an error that the load did not ask for, on memory that grows and on what is
/// held when the load has gone.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::for_soak()?;
    rig::build(true)?;
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::start(service::start()?, folder.path())?;
    clients::ask(gateway.server.address).context("before the load")?;
    let before = gauges::settled(&gateway, SETTLE_TIMEOUT)?;
    let length = Duration::from_secs(u64::from(options.minutes) * 60);
    let (resident, reloads) = load(&gateway, length)?;
    let after = gauges::settled(&gateway, SETTLE_TIMEOUT)?;
    let scrape = gateway.scrape()?;
    let quarter = resident.len() / 4;
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    let (second, last) = (mean(&resident[quarter..2 * quarter]), mean(&resident[3 * quarter..]));
    println!(
        "\n{} requests, {} responses 5xx, {} reloads; refusals {:?}",
        scrape.sum("ringgate_listener_requests_total"),
        scrape.with("ringgate_responses_total", "class=\"5xx\""),
        reloads,
        scrape.refusals(),
    );
    println!("resident KiB: {second:.0} in the second quarter, {last:.0} in the last");
    println!("held before: {before:?}\nheld after:  {after:?}");
    judge(&scrape, (second, last), reloads)?;
    if before != after {
        bail!("the gateway does not let go of everything");
    }
    Ok(())
}

fn judge(scrape: &Scrape, (second, last): (f64, f64), reloads: u32) -> Result<()> {
    let unasked: Vec<_> = scrape
        .refusals()
        .into_iter()
        .filter(|(reason, _)| !ASKED_FOR.contains(&reason.as_str()))
        .collect();
    if !unasked.is_empty() {
        bail!("refused, and nobody asked for it: {unasked:?}");
    }
    let taken = scrape.with("ringgate_config_reloads_total", "result=\"applied\"");
    if taken < f64::from(reloads) {
        bail!("{taken} of {reloads} reloads were applied");
    }
    if last > second * (1.0 + GROWTH_MAX) {
        bail!("resident memory grows from {second:.0} to {last:.0} KiB");
    }
    Ok(())
}

/// All of the load at once; resident memory in KiB at each look, and the number of reloads.
fn load(gateway: &Gateway, length: Duration) -> Result<(Vec<u64>, u32)> {
    let (over, failed) = (AtomicBool::new(false), AtomicBool::new(false));
    let (address, seconds) = (gateway.server.address, length.as_secs());
    thread::scope(|scope| {
        let (over, failed) = (&over, &failed);
        // Whoever fails ends all, so that nobody waits ten minutes to hear of it.
        let guarded = |run: &dyn Fn() -> Result<()>| {
            let ended = run();
            if ended.is_err() {
                failed.store(true, Ordering::Relaxed);
                over.store(true, Ordering::Relaxed);
            }
            ended
        };
        let mut parts = Vec::new();
        for (name, arguments, path) in [
            ("wrk, kept", ["--connections", "16"].as_slice(), "/"),
            ("wrk, closed", &["--connections", "8", "--header", "Connection: close"], "/"),
            ("wrk, large", &["--connections", "4"], "/1m"),
        ] {
            let run = move || wrk(address, arguments, path, seconds, failed).context(name);
            parts.push(scope.spawn(move || guarded(&run)));
        }
        for (name, client) in clients::ALL {
            let run = move || client(address, over).context(*name);
            parts.push(scope.spawn(move || guarded(&run)));
        }
        let watched = watch(gateway, length, over);
        over.store(true, Ordering::Relaxed);
        for part in parts {
            part.join().expect("no panic")?;
        }
        watched
    })
}

/// Looks at memory and reloads in turn until the time is over or somebody has failed.
fn watch(gateway: &Gateway, length: Duration, over: &AtomicBool) -> Result<(Vec<u64>, u32)> {
    let began = Instant::now();
    let (mut resident, mut reloads) = (Vec::new(), 0);
    while began.elapsed() < length && !over.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
        resident.push(gauges::resident_kib(gateway.server.pid())?);
        if began.elapsed() >= RELOAD_EVERY * (reloads + 1) {
            reloads += 1;
            gateway.reload(reloads)?;
        }
    }
    Ok((resident, reloads))
}

/// wrk behind everybody else; every answer must be good, and no connection may be lost.
fn wrk(
    address: SocketAddr,
    arguments: &[&str],
    path: &str,
    seconds: u64,
    failed: &AtomicBool,
) -> Result<()> {
    let mut wrk = Command::new("nice");
    wrk.args(["-n", "15", "wrk", "--threads", "1", "--duration", &format!("{seconds}s")])
        .args(["--timeout", "10s"])
        .args(arguments)
        .arg(format!("http://{address}{path}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = wrk.spawn().context("wrk")?;
    while child.try_wait()?.is_none() {
        if failed.load(Ordering::Relaxed) {
            child.kill()?;
        }
        thread::sleep(LOOK_EVERY);
    }
    let text = String::from_utf8(child.wait_with_output()?.stdout)?;
    match text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        Some(line) => bail!("{}", line.trim()),
        None if text.contains("requests in") || failed.load(Ordering::Relaxed) => Ok(()),
        None => bail!("no requests:\n{text}"),
    }
}

/// The gateway under load, and what its file says.
struct Gateway {
    server: Server,
    admin: SocketAddr,
    file: PathBuf,
    upstream: SocketAddr,
}

impl Gateway {
    fn start(upstream: SocketAddr, folder: &Path) -> Result<Self> {
        let file = folder.join("soak.json");
        fs::write(&file, configuration(upstream, 0))?;
        let mut command = Command::new(workspace::built("release", "ringgate")?);
        command.arg("run").arg(&file).stderr(Stdio::null());
        let (server, admin) = Server::everywhere(&mut command, &folder.join("ready.json"))?;
        Ok(Self { server, admin, file, upstream })
    }

    /// As an editor does it: a new file renamed over the old, then SIGHUP.
    fn reload(&self, number: u32) -> Result<()> {
        let next = self.file.with_extension("next");
        fs::write(&next, configuration(self.upstream, number))?;
        fs::rename(&next, &self.file)?;
        let pid = Pid::from_raw(self.server.pid().cast_signed()).context("a process id")?;
        Ok(kill_process(pid, Signal::HUP)?)
    }

    fn scrape(&self) -> Result<Scrape> {
        Scrape::take(self.admin)
    }
}

/// Another one for each number: a reload that changes nothing would prove nothing.
fn configuration(upstream: SocketAddr, number: u32) -> String {
    json!({
        "workers": 2,
        "kernel": { "steering": "off" },
        "listeners": [{ "name": "public", "address": "127.0.0.1:0" }],
        "admin": { "address": "127.0.0.1:0" },
        "upstreams": { "service": { "endpoints": [upstream.to_string()] } },
        "routes": [
            { "match": {}, "upstream": "service" },
            {
                "match": { "path": "/generation" },
                "respond": { "status": 200, "body": number.to_string() },
            },
        ],
        "access_log": { "target": "off" },
        "log": { "level": "warn" },
    })
    .to_string()
}
