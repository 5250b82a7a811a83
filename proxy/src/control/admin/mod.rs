//! The administration listener: health, metrics and what runs, for operators and orchestrators.
//!
//! ```text
//! accept --> head --> endpoint, or 403, 404, 405, 411, 421 --> body --> answer --> close
//! ```
//!
//! It has blocking threads of its own. They read the shared [`Status`] and the workers' counters;
//! what only the control thread can do, they ask it for, and wait a bounded time. A worker never
//! waits for them.

mod answer;
mod deny;
mod describe;
mod described_request;
mod endpoints;
mod explain;
mod guard;
mod keys;
mod metrics;
mod process;
mod request;
mod shield;
mod view;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

pub use describe::describe;

use super::event::Event;
use super::status::Status;
use crate::telemetry::access_log::DropCounts;
use crate::telemetry::counters::CounterBlock;
use endpoints::Request;
use request::{Method, Unreadable};

#[cfg(test)]
mod tests;

/// Connections at once; each has a thread.
const CONNECTIONS_MAX: usize = 32;
/// For the request to arrive, and again for the response to leave.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For what the client still sends when the answer is written, and how many reads of it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 256;
/// Before accepting again after a failure (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listener works with.
#[derive(Clone)]
pub struct Sources {
    /// What the control thread tells.
    pub status: Status,
    /// What the workers count.
    pub blocks: Vec<Arc<CounterBlock>>,
    /// Lost access log lines, where there is an access log.
    pub drops: Option<DropCounts>,
    /// The way to the control thread.
    pub events: Sender<Event>,
    /// Names beside addresses and `localhost` under which requests that change something may
    /// come.
    pub hosts: Arc<[Box<str>]>,
}

/// The listening socket, before anything is served: a port in use is found before workers start.
///
/// # Errors
/// As the kernel has them.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// Serves on a thread of its own until the process ends.
///
/// # Errors
/// When the thread cannot be started.
pub fn serve(listener: TcpListener, sources: Sources) -> io::Result<()> {
    thread::Builder::new().name("admin".into()).spawn(move || accept(&listener, &sources))?;
    Ok(())
}

fn accept(listener: &TcpListener, sources: &Sources) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        // This thread alone adds, so the check cannot be overtaken.
        if open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&open));
        let sources = sources.clone();
        let spawned = thread::Builder::new().name("admin-conn".into()).spawn(move || {
            let _slot = slot;
            // A client that goes away is no concern of ours.
            let _ = converse(&stream, &sources);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "admin: no thread for a connection");
        }
    }
}

/// Gives its place back however the connection ends.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request, one response, close.
fn converse(stream: &TcpStream, sources: &Sources) -> io::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut head_only = false;
    let answer = request::read_head(stream, deadline).and_then(|mut head| {
        head_only = head.method == Method::Head;
        let endpoint = match endpoints::find(&head, &sources.hosts) {
            Ok(endpoint) => endpoint,
            Err(refusal) => return Ok(refusal),
        };
        let body = head.read_body(stream, endpoint.body_bytes_max, deadline)?;
        Ok(endpoint.answer(&Request { head, body }, sources, Instant::now()))
    });
    let answer = match answer {
        Ok(answer) | Err(Unreadable::Refused(answer)) => answer,
        Err(Unreadable::Gone(error)) => return Err(error),
    };
    stream.set_write_timeout(Some(TIMEOUT))?;
    (&*stream).write_all(answer.bytes(head_only).as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    if answer.status < 400 { Ok(()) } else { linger(stream) }
}

/// Reads and forgets what the client of a refused request still sends: closing before would reset
/// the connection, and the answer might be lost with it.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + LINGER;
    let mut forgotten = [0; 4096];
    for _ in 0..LINGER_READS {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut forgotten)? == 0 {
            break;
        }
    }
    Ok(())
}
