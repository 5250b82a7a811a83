//! The administration listener: health, metrics and what runs, for operators and orchestrators.
//!
//! It has blocking threads of its own and only reads: the shared [`Status`] and the workers'
//! counters. A worker never waits for it.

mod describe;
mod metrics;
mod process;
mod request;
mod view;

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use describe::describe;

use super::status::Status;
use crate::telemetry::access_log::DropCounts;
use crate::telemetry::counters::CounterBlock;
use request::{AdminRequest, Method, Target};

#[cfg(test)]
mod tests;

/// Connections at once; each has a thread.
const CONNECTIONS_MAX: usize = 32;
/// For the request to arrive, and again for the response to leave.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Before accepting again after a failure (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listener reads.
#[derive(Clone)]
pub struct Sources {
    /// What the control thread tells.
    pub status: Status,
    /// What the workers count.
    pub blocks: Vec<Arc<CounterBlock>>,
    /// Lost access log lines, where there is an access log.
    pub drops: Option<DropCounts>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    reason: &'static str,
    content_type: &'static str,
    body: String,
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
    let request = request::read(stream, Instant::now() + TIMEOUT)?;
    let head_only = matches!(request, Some(AdminRequest { method: Method::Head, .. }));
    let answer = match &request {
        Some(request) => answer(request, sources, Instant::now()),
        None => plain(400, "Bad Request", "not a request that is understood here\n"),
    };
    let mut bytes = head(&answer);
    if !head_only {
        bytes.push_str(&answer.body);
    }
    stream.set_write_timeout(Some(TIMEOUT))?;
    (&*stream).write_all(bytes.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}

fn head(answer: &Answer) -> String {
    let Answer { status, reason, content_type, body } = answer;
    let allow = if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         {allow}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\r\n"
    )
}

fn answer(request: &AdminRequest, sources: &Sources, now: Instant) -> Answer {
    if request.target == Target::Unknown {
        return plain(404, "Not Found", "here are /livez, /readyz, /metrics and /config\n");
    }
    if request.method == Method::Other {
        return plain(405, "Method Not Allowed", "GET and HEAD are allowed\n");
    }
    match request.target {
        Target::Livez => plain(200, "OK", "ok\n"),
        Target::Readyz => {
            let running = sources.status.lock();
            let (ready, body) = view::readiness(&running);
            if ready { json(200, "OK", &body) } else { json(503, "Service Unavailable", &body) }
        }
        Target::Config => json(200, "OK", &view::config(&sources.status.lock(), now)),
        Target::Metrics => match metrics::render(sources, now) {
            Ok(body) => Answer { status: 200, reason: "OK", content_type: metrics::TYPE, body },
            Err(std::fmt::Error) => plain(500, "Internal Server Error", "not encodable\n"),
        },
        Target::Unknown => plain(404, "Not Found", ""),
    }
}

fn plain(status: u16, reason: &'static str, body: &str) -> Answer {
    Answer { status, reason, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
}

fn json(status: u16, reason: &'static str, body: &serde_json::Value) -> Answer {
    Answer { status, reason, content_type: "application/json", body: format!("{body:#}\n") }
}
