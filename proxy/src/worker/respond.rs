//! The head that a client sees of an upstream's response, written anew, and how its body goes on.

use super::bounds::chunk_limits;
use super::carried::{Carried, write_via};
use super::facts::Facts;
use crate::http1::{BodyLength, HeadOverflow, HeadWriter, ResponseHead, Version};
use crate::relay::{Sink, Source};
use crate::snapshot::Snapshot;
use crate::uring::Buffer;

/// How a response goes on behind its head.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: u16,
    pub(super) source: Source,
    pub(super) sink: Sink,
    /// Whether the client's connection can stay once the body has been sent.
    pub(super) keep_client: bool,
    /// Whether the upstream's connection can stay once the body has been received.
    pub(super) keep_upstream: bool,
}

/// Writes the client's head for `head` to `out`, which must be empty. `keep_client` is what the
/// request allows.
///
/// # Errors
/// When it does not fit.
pub(super) fn write_final(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
    snapshot: &Snapshot,
    facts: &Facts,
    keep_client: bool,
) -> Result<Plan, HeadOverflow> {
    let http10 = facts.version == Version::Http10;
    let (sink, keep_client) = match head.body {
        BodyLength::None | BodyLength::Length(_) => (Sink::Raw, keep_client),
        // HTTP/1.0 knows no chunks: closing tells the end.
        BodyLength::Chunked | BodyLength::UntilClose if http10 => (Sink::Raw, false),
        BodyLength::Chunked | BodyLength::UntilClose => (Sink::Chunked, keep_client),
    };
    let mut writer = start(out, head, snapshot, facts);
    if facts.private {
        // Beside what the upstream says: of two directives the stricter counts (RFC 9111 section 4.2.1).
        writer.field("Cache-Control", b"private");
    }
    match (head.body, sink) {
        (BodyLength::Length(length), _) => {
            writer.number_field("Content-Length", length);
        }
        // A length that tells of a body not sent (HEAD, 304) is passed on.
        (BodyLength::None, _) => {
            // RFC 9110 section 8.6: never on a 204.
            if let Some(length) = head.declared_length.filter(|_| head.status != 204) {
                writer.number_field("Content-Length", length);
            }
        }
        (BodyLength::Chunked | BodyLength::UntilClose, Sink::Chunked) => {
            writer.field("Transfer-Encoding", b"chunked");
        }
        (BodyLength::Chunked | BodyLength::UntilClose, Sink::Raw) => {}
    }
    if !keep_client {
        writer.field("Connection", b"close");
    } else if http10 {
        writer.field("Connection", b"keep-alive");
    }
    let length = writer.end()?;
    out.commit(length);
    Ok(Plan {
        status: head.status,
        source: Source::new(head.body, chunk_limits(&snapshot.limits, &facts.bounds)),
        sink,
        keep_client,
        keep_upstream: head.keep_alive && head.body != BodyLength::UntilClose,
    })
}

/// Writes an interim (1xx) head to `out`, which must be empty.
///
/// # Errors
/// When it does not fit.
pub(super) fn write_interim(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
) -> Result<(), HeadOverflow> {
    let mut writer = HeadWriter::new(out.spare_mut());
    writer.status_line(head.status, head.reason);
    for field in head.end_to_end() {
        writer.field(field.name, field.value);
    }
    let length = writer.end()?;
    out.commit(length);
    Ok(())
}

/// Writes the head of a 101, or of a 2xx to CONNECT, to `out`, which must be empty: what follows is no
/// HTTP.
///
/// # Errors
/// When it does not fit.
pub(super) fn write_switch(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
    snapshot: &Snapshot,
    facts: &Facts,
) -> Result<Plan, HeadOverflow> {
    let mut writer = start(out, head, snapshot, facts);
    if head.status == 101 {
        if let Some(protocol) = head.upgrade {
            writer.field("Upgrade", protocol);
        }
        writer.field("Connection", b"upgrade");
    }
    let length = writer.end()?;
    out.commit(length);
    Ok(Plan {
        status: head.status,
        source: Source::UntilClose,
        sink: Sink::Raw,
        keep_client: false,
        keep_upstream: false,
    })
}

/// The status line, the end-to-end fields, and those that go with them.
fn start<'o>(
    out: &'o mut Buffer,
    head: &ResponseHead<'_, '_>,
    snapshot: &Snapshot,
    facts: &Facts,
) -> HeadWriter<'o> {
    let carried = Carried::of(snapshot, facts);
    let mut writer = HeadWriter::new(out.spare_mut());
    writer.status_line(head.status, head.reason);
    for field in head.end_to_end().filter(|field| !carried.replaces(field.name)) {
        writer.field(field.name, field.value);
    }
    carried.write(&mut writer, &[]);
    write_via(&mut writer, snapshot, head.version);
    writer
}
