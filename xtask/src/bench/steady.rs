//! Good requests at a fixed rate, and how long each took from when it was due: a wait behind a late
//! one counts, too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Connections that the requests take turns on.
const CONNECTIONS: u32 = 8;
/// Requests on each.
const INTERVAL: Duration = Duration::from_millis(40);
/// Later than that is no service.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// What the good requests saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// Asks for so long; an error when one request was not answered with 200 in time.
pub(super) fn ask(address: SocketAddr, how_long: Duration) -> Result<Times> {
    let mut times = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|nth| scope.spawn(move || one(address, how_long, INTERVAL * nth / CONNECTIONS)))
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        times.collect::<Result<Vec<Vec<Duration>>>>()
    })?
    .concat();
    times.sort();
    let last = times.last().context("no request in so short a time")?;
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).unwrap_or(last);
    Ok(Times { p50: *at(0.5), p99: *at(0.99) })
}

/// On a connection of its own, each request for the first time where the one before was late.
fn one(address: SocketAddr, how_long: Duration, offset: Duration) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    let began = Instant::now() + offset;
    let mut times = Vec::new();
    let mut due = began;
    while due < began + how_long {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(REQUEST).context("sending a good request")?;
        let mut reply = [0; 1024];
        let read = stream.read(&mut reply).context("waiting for a good answer")?;
        if !reply[..read].starts_with(b"HTTP/1.1 200 ") {
            bail!("a good request got {:?}", String::from_utf8_lossy(&reply[..read]));
        }
        times.push(due.elapsed());
        due += INTERVAL;
    }
    Ok(times)
}
