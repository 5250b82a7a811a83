//! A request to the administration listener: its head within bounds, and what it asks for.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Instant;

use crate::http1::{FieldSlots, HeadLimits, Progress, RequestError, parse_request};

/// The most bytes of a head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const LIMITS: HeadLimits =
    HeadLimits { head_bytes: HEAD_BYTES_MAX, head_fields: 64, target_bytes: 1024 };

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AdminRequest {
    pub(super) method: Method,
    pub(super) target: Target,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// What there is to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Livez,
    Readyz,
    Metrics,
    Config,
    Unknown,
}

/// Reads one head; nothing where it is not understood or too long.
pub(super) fn read(stream: &TcpStream, deadline: Instant) -> io::Result<Option<AdminRequest>> {
    let mut buffer = [0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = (&*stream).read(&mut buffer[filled..])?;
        filled += count;
        match parse(&buffer[..filled]) {
            Ok(Some(request)) => return Ok(Some(request)),
            Ok(None) if count > 0 && filled < HEAD_BYTES_MAX => {}
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

/// The request, or nothing while the head is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<AdminRequest>, RequestError> {
    let mut slots = FieldSlots::new();
    let Progress::Complete(head) = parse_request(bytes, &mut slots, LIMITS)? else {
        return Ok(None);
    };
    let method = match head.method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let target = match head.target.path() {
        "/livez" => Target::Livez,
        "/readyz" => Target::Readyz,
        "/metrics" => Target::Metrics,
        "/config" => Target::Config,
        _ => Target::Unknown,
    };
    Ok(Some(AdminRequest { method, target }))
}
