//! How connections spread over the workers with each policy of steering: 1,000 long ones, and new
//! ones beside a worker that is busy.
//!
//! The method and its limits are told in benches/README.md.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::rig;
use super::server::Server;
use crate::workspace;

const CONNECTIONS: usize = 1000;
/// Threads that open them at once.
const OPENERS: usize = 4;
/// Connections that keep one worker busy, and requests that each has on its way at once.
const BUSY_CONNECTIONS: usize = 8;
const PIPELINED: usize = 64;
/// New connections, one after the other, beside the busy worker.
const VISITS: usize = 2000;
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// The last bytes of the answer.
const BODY: &str = "steered";
const POLICIES: [&str; 4] = ["cpu", "least_loaded", "hash", "off"];

/// How often to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds of each policy, in turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// What one start of the gateway has shown.
struct Round {
    deviation: f64,
    worst_to_mean: f64,
    p50: Duration,
    p99: Duration,
}

/// Measures with two workers, and with eight, more than there are cores, for the spread over many.
pub(crate) fn run(options: &Options) -> Result<()> {
    rig::build(true)?;
    let folder = tempfile::tempdir()?;
    let columns = ["std. deviation", "worst/mean", "p50 us, one busy", "p99 us, one busy"];
    let columns = columns.map(|column| format!("{column:>27}")).concat();
    println!("workers  policy      {columns}");
    for workers in [2, 8] {
        let policies = POLICIES.iter().filter(|policy| workers == 2 || **policy != "cpu");
        let mut rounds: Vec<(&str, Vec<Round>)> =
            policies.map(|policy| (*policy, Vec::new())).collect();
        for _ in 0..options.rounds {
            for (policy, rounds) in &mut rounds {
                rounds.push(measure(policy, workers, folder.path())?);
            }
        }
        for (policy, rounds) in &rounds {
            let deviations = figures(rounds, |round| round.deviation);
            let worst = figures(rounds, |round| round.worst_to_mean);
            let p50 = figures(rounds, |round| round.p50.as_secs_f64() * 1e6);
            let p99 = figures(rounds, |round| round.p99.as_secs_f64() * 1e6);
            println!("{workers:>7}  {policy:<12}{deviations}{worst}{p50}{p99}");
        }
    }
    Ok(())
}

/// The median, the least and the most.
fn figures(rounds: &[Round], of: impl Fn(&Round) -> f64) -> String {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    let text = format!("{:.2} ({least:.2}..{most:.2})", values[values.len() / 2]);
    format!("{text:>27}")
}

fn measure(policy: &str, workers: usize, folder: &Path) -> Result<Round> {
    let config = json!({
        "workers": workers,
        "kernel": { "steering": policy },
        "listeners": [{ "name": "public", "address": "127.0.0.1:0" }],
        "admin": { "address": "127.0.0.1:0" },
        "routes": [{ "match": {}, "respond": { "status": 200, "body": BODY } }],
    });
    let (file, ready) = (folder.join("steering.json"), folder.join("ready.json"));
    fs::write(&file, config.to_string())?;
    // Of the round before.
    let _ = fs::remove_file(&ready);
    let mut command = Command::new(workspace::built("release", "ringgate")?);
    command.arg("run").arg(&file).stderr(Stdio::null());
    let (server, admin) = Server::everywhere(&mut command, &ready)
        .with_context(|| format!("steering {policy}, which needs root"))?;
    let (deviation, worst_to_mean) = spread(server.address, admin)?;
    let (p50, p99) = beside_a_busy_worker(server.address, admin)?;
    Ok(Round { deviation, worst_to_mean, p50, p99 })
}

/// The spread of long connections: standard deviation over the workers, and worst to mean.
fn spread(address: SocketAddr, admin: SocketAddr) -> Result<(f64, f64)> {
    let held = thread::scope(|scope| {
        let open = || (0..CONNECTIONS / OPENERS).map(|_| served(address)).collect();
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
        let opened = openers.into_iter().map(|opener| opener.join().expect("no panic"));
        opened.collect::<Result<Vec<Vec<TcpStream>>>>()
    })?;
    let shares = connections(admin)?;
    drop(held);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
    let worst = shares.iter().copied().fold(0.0, f64::max);
    Ok(((squares / shares.len() as f64).sqrt(), worst / mean))
}

/// How long new connections take, from connect to answer, while the first worker is busy.
fn beside_a_busy_worker(address: SocketAddr, admin: SocketAddr) -> Result<(Duration, Duration)> {
    while connections(admin)?.iter().any(|share| *share > 0.0) {
        thread::yield_now();
    }
    let busy = connections_of_the_first_worker(address, admin)?;
    let over = AtomicBool::new(false);
    let mut times = thread::scope(|scope| {
        let load = scope.spawn(|| keep_busy(&busy, &over));
        let times: Result<Vec<Duration>> = (0..VISITS).map(|_| visit(address)).collect();
        over.store(true, Ordering::Relaxed);
        load.join().expect("no panic")?;
        times
    })?;
    times.sort();
    Ok((times[VISITS / 2], times[VISITS * 99 / 100]))
}

fn connections_of_the_first_worker(
    address: SocketAddr,
    admin: SocketAddr,
) -> Result<Vec<TcpStream>> {
    let mut of_first = Vec::new();
    let mut others = Vec::new();
    while of_first.len() < BUSY_CONNECTIONS {
        let before = connections(admin)?;
        let connection = served(address)?;
        let is_first = connections(admin)?[0] > before[0];
        let list = if is_first { &mut of_first } else { &mut others };
        list.push(connection);
        if others.len() > CONNECTIONS {
            bail!("the first worker gets no connection");
        }
    }
    Ok(of_first)
}

/// Requests on all of them, many at once on each.
fn keep_busy(connections: &[TcpStream], over: &AtomicBool) -> Result<()> {
    let batch = REQUEST.repeat(PIPELINED);
    let mut answers = vec![0; 64 * 1024];
    while !over.load(Ordering::Relaxed) {
        for mut connection in connections {
            connection.write_all(&batch)?;
        }
        for mut connection in connections {
            let mut left = PIPELINED;
            let mut bytes = Vec::new();
            while left > 0 {
                let read = connection.read(&mut answers)?;
                bytes.extend_from_slice(&answers[..read]);
                let ends = String::from_utf8_lossy(&bytes).matches(BODY).count();
                if read == 0 {
                    bail!("a busy connection was closed");
                }
                left = PIPELINED - ends;
            }
        }
    }
    Ok(())
}

/// A new connection for one request, and how long it took.
fn visit(address: SocketAddr) -> Result<Duration> {
    let begin = Instant::now();
    drop(served(address)?);
    Ok(begin.elapsed())
}

/// A connection that a worker has answered on.
fn served(address: SocketAddr) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    connection.write_all(REQUEST)?;
    let mut answer = [0; 4096];
    let read = connection.read(&mut answer)?;
    if !answer[..read].ends_with(BODY.as_bytes()) {
        bail!("expected 200, found {:?}", String::from_utf8_lossy(&answer[..read]));
    }
    Ok(connection)
}

/// Open connections of each worker.
fn connections(admin: SocketAddr) -> Result<Vec<f64>> {
    let mut connection = TcpStream::connect(admin)?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    let lines = text.lines().filter(|line| line.starts_with("ringgate_worker_connections{"));
    let counts = lines.map(|line| Ok(line.rsplit(' ').next().context("a value")?.parse()?));
    counts.collect()
}
