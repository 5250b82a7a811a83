//! What an idle keep-alive connection costs in user memory: 10,000 of them, each after one request.
//!
//! The method and its limits are told in benches/README.md.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::contender::Contender;
use super::server::Server;
use crate::{setup, workspace};

const CONNECTIONS: usize = 10_000;
/// Files of this process beside the connections.
const OWN_DESCRIPTORS: u64 = 100;
/// Long enough for ringgate to take back the buffers of connections that have gone idle.
const SETTLE: Duration = Duration::from_secs(4);
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// What ringgate promises.
const BYTES_MAX: u64 = 4096;

/// Measures each contender and fails where ringgate is over its bound.
pub(crate) fn run() -> Result<()> {
    setup::for_bench()?;
    raise_descriptor_limit()?;
    super::build(Contender::ALL)?;
    let folder = tempfile::tempdir()?;
    let upstream = Server::upstream(&workspace::built("release", "bench-upstream")?)?;
    println!("{CONNECTIONS} idle connections, resident memory in KiB\n");
    println!("{:<9} {:>8} {:>8} {:>22}", "proxy", "before", "after", "bytes a connection");
    let mut ours = 0;
    for contender in Contender::ALL {
        let server = contender.start(upstream.address, folder.path(), None)?;
        let (before, after) =
            measure(&server).with_context(|| format!("idle on {}", contender.name()))?;
        let each = after.saturating_sub(before) / CONNECTIONS as u64;
        let (before, after) = (before / 1024, after / 1024);
        println!("{:<9} {before:>8} {after:>8} {each:>22}", contender.name());
        if *contender == Contender::Ringgate {
            ours = each;
        }
    }
    if ours > BYTES_MAX {
        bail!("ringgate holds {ours} bytes a connection; {BYTES_MAX} are allowed");
    }
    Ok(())
}

fn raise_descriptor_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS as u64 + OWN_DESCRIPTORS;
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("{wanted} descriptors are needed; raise the hard limit (ulimit -Hn)");
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Resident bytes with one connection that has been served, and with all of them, idle.
fn measure(server: &Server) -> Result<(u64, u64)> {
    let _first = served(server.address)?;
    thread::sleep(SETTLE);
    let before = resident_bytes(server.pid())?;
    let connections =
        (0..CONNECTIONS).map(|_| served(server.address)).collect::<Result<Vec<_>>>()?;
    thread::sleep(SETTLE);
    let after = resident_bytes(server.pid())?;
    // Still open: a proxy that had closed some would hold less.
    for connection in &connections {
        ask(connection)?;
    }
    Ok((before, after))
}

fn served(address: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
    ask(&connection)?;
    Ok(connection)
}

/// One request and its response, whose head comes with its body.
fn ask(mut connection: &TcpStream) -> Result<()> {
    connection.write_all(REQUEST)?;
    let mut response = [0; 4096];
    let read = connection.read(&mut response)?;
    if !response[..read].starts_with(b"HTTP/1.1 200 ") {
        bail!("expected 200, found {:?}", String::from_utf8_lossy(&response[..read]));
    }
    Ok(())
}

/// Resident memory of the process and its children.
fn resident_bytes(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).context("no Rss")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    let mut total = kibibytes * 1024;
    let children = format!("/proc/{pid}/task/{pid}/children");
    for child in fs::read_to_string(children)?.split_whitespace() {
        total += resident_bytes(child.parse()?)?;
    }
    Ok(total)
}
