//! One access-log line: the fields of an entry as a JSON object, whatever bytes they hold.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime};

use super::{AccessEntry, RequestEntry, Subject};

/// Bytes kept of a path; a longer one is cut and marked.
const PATH_BYTES_MAX: usize = 2048;
/// Bytes kept of each other string that a client chooses.
const STRING_BYTES_MAX: usize = 256;
/// The mark of a cut string.
const CUT: &str = "…";

/// The longest line: a path and twelve other strings with every byte escaped to six, and 1 KiB for
/// names, numbers and addresses.
pub const BYTES_MAX: usize = 6 * (PATH_BYTES_MAX + 12 * STRING_BYTES_MAX) + 1024;

/// Appends the line with its line feed. A batch with [`BYTES_MAX`] to spare does not grow.
pub fn append(line: &mut Vec<u8>, entry: &AccessEntry<'_>) {
    line.extend_from_slice(b"{\"time\":");
    append_time(line, entry);
    number(line, "duration_us", microseconds(entry.duration));
    // The peer is the client unless it tells of another.
    if let Some(client) = entry.told_client {
        address(line, "client", client);
        address(line, "peer", entry.peer);
    } else {
        address(line, "client", entry.peer);
    }
    string(line, "listener", entry.listener, STRING_BYTES_MAX);
    if let Some(tls) = &entry.tls {
        string(line, "tls_version", tls.version, STRING_BYTES_MAX);
        string(line, "tls_suite", tls.suite, STRING_BYTES_MAX);
        key(line, "tls_resumed");
        line.extend_from_slice(if tls.is_resumed { b"true" } else { b"false" });
        if let Some((subject, thumbprint)) = tls.client {
            string(line, "tls_client_subject", subject, STRING_BYTES_MAX);
            string(line, "tls_client_thumbprint", thumbprint, STRING_BYTES_MAX);
        }
    }
    match &entry.subject {
        Subject::Request(request) => append_request(line, request),
        Subject::Connection(end) => string(line, "ended", end.label(), STRING_BYTES_MAX),
    }
    optional(line, "reason", entry.reason);
    optional(line, "upstream", entry.upstream);
    optional(line, "endpoint", entry.endpoint);
    number(line, "received_bytes", entry.received_bytes);
    number(line, "sent_bytes", entry.sent_bytes);
    line.extend_from_slice(b"}\n");
}

fn append_request(line: &mut Vec<u8>, request: &RequestEntry<'_>) {
    string(line, "method", request.method, STRING_BYTES_MAX);
    string(line, "host", request.host, STRING_BYTES_MAX);
    string(line, "path", request.path, PATH_BYTES_MAX);
    if request.id.is_some() {
        optional(line, "request_id", request.id);
    }
    optional(line, "route", request.route);
    number(line, "status", u64::from(request.status));
    optional(line, "verdict", request.verdict);
    optional(line, "provider", request.provider);
    optional(line, "kid", request.kid);
}

/// RFC 3339 in UTC with milliseconds, or `null` for a time that it cannot spell.
fn append_time(line: &mut Vec<u8>, entry: &AccessEntry<'_>) {
    let start = line.len();
    line.push(b'"');
    // humantime panics on a time before the epoch and fails on one after the year 9999.
    let epoch = SystemTime::UNIX_EPOCH;
    if entry.time >= epoch
        && write!(line, "{}", humantime::format_rfc3339_millis(entry.time)).is_ok()
    {
        line.push(b'"');
    } else {
        line.truncate(start);
        line.extend_from_slice(b"null");
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// An address, which needs no escapes.
fn address(line: &mut Vec<u8>, name: &str, value: impl Display) {
    key(line, name);
    // Writing to a Vec cannot fail.
    let _ = write!(line, "\"{value}\"");
}

fn number(line: &mut Vec<u8>, name: &str, value: u64) {
    key(line, name);
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A member that is left out where there is nothing to say.
fn optional(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(line, name, value, STRING_BYTES_MAX);
    }
}

fn string(line: &mut Vec<u8>, name: &str, value: &str, bytes_max: usize) {
    key(line, name);
    line.push(b'"');
    if value.len() <= bytes_max {
        escape(line, value);
    } else {
        escape(line, &value[..value.floor_char_boundary(bytes_max - CUT.len())]);
        line.extend_from_slice(CUT.as_bytes());
    }
    line.push(b'"');
}

/// Copies runs that need no escape; `"`, `\`, and everything a terminal could take as a command
/// (C0 and C1 controls, DEL) is written as an escape (RFC 8259 section 7).
fn escape(line: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (position, &byte) in bytes.iter().enumerate() {
        // A C1 control is 0xc2 and a byte that is the code point.
        let (control, length) = match (byte, bytes.get(position + 1)) {
            (0..0x20 | b'"' | b'\\' | 0x7f, _) => (byte, 1),
            (0xc2, Some(&second @ 0x80..0xa0)) => (second, 2),
            _ => continue,
        };
        line.extend_from_slice(&bytes[copied..position]);
        copied = position + length;
        if matches!(control, b'"' | b'\\') {
            line.extend_from_slice(&[b'\\', control]);
        } else {
            append_escape(line, control);
        }
    }
    line.extend_from_slice(&bytes[copied..]);
}

fn append_escape(line: &mut Vec<u8>, control: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(b"\\u00");
    line.push(HEX[usize::from(control >> 4)]);
    line.push(HEX[usize::from(control & 15)]);
}
