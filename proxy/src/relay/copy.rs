//! A body from one connection to the other, with back-pressure and bounded memory.
//!
//! Two buffers at most: one is being filled while the other is being sent. Nothing is received
//! while both are full, so a slow receiver slows the sender through its own TCP window.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use super::pace::Pace;
use super::{Pools, Sink, Source};
use crate::http1::{ChunkedError, retain_trailers};
use crate::snapshot::limits::BodyRate;
use crate::uring::{Buffer, Recv, Send, Stream};

/// From where to where, within which bounds.
#[derive(Clone, Copy)]
pub struct Flow<'a> {
    /// Where the bytes come from.
    pub from: &'a Stream,
    /// Where they go.
    pub to: &'a Stream,
    /// The longest time without progress, on either side.
    pub progress: Duration,
    /// The slowest that the sender may be.
    pub rate_from: Option<&'a BodyRate>,
    /// The slowest that the receiver may be.
    pub rate_to: Option<&'a BodyRate>,
    /// Body bytes at most.
    pub bytes_max: u64,
    /// Which trailer fields may go on.
    pub keep_trailer: &'a dyn Fn(&str) -> bool,
    /// Where buffers come from.
    pub pools: Pools<'a>,
    /// Body bytes so far; counted here so that they are known however it ends.
    pub bytes: &'a Cell<u64>,
}

/// Why a body did not arrive whole, by whose fault.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The sender closed before the end.
    #[error("the sender closed before the end of the body")]
    SourceClosed,
    /// The sender made no progress in time.
    #[error("the sender made no progress in time")]
    SourceTimedOut,
    /// Receiving failed.
    #[error("receiving failed: {0}")]
    Source(#[source] io::Error),
    /// The sender's chunks are malformed.
    #[error("malformed chunks: {0:?}")]
    Malformed(ChunkedError),
    /// The sender's connection was stopped.
    #[error("the body was cut")]
    Stopped,
    /// More than `bytes_max`.
    #[error("the body is over its limit")]
    TooLarge,
    /// The sender is slower than it may be.
    #[error("the sender is too slow")]
    SourceTooSlow,
    /// The receiver is slower than it may be.
    #[error("the receiver is too slow")]
    SinkTooSlow,
    /// The receiver made no progress in time.
    #[error("the receiver made no progress in time")]
    SinkTimedOut,
    /// Sending failed.
    #[error("sending failed: {0}")]
    Sink(#[source] io::Error),
}

impl CopyError {
    /// Whether it is the receiving side's fault.
    #[must_use]
    pub fn is_sink(&self) -> bool {
        matches!(self, Self::SinkTimedOut | Self::SinkTooSlow | Self::Sink(_))
    }
}

/// Sends on what comes until the body ends. `first` holds bytes already received, possibly none.
/// Returns what was received behind the body's end, if anything.
///
/// # Errors
/// See [`CopyError`]. Both connections are silent then: nothing is in flight on them.
pub async fn copy(
    flow: Flow<'_>,
    source: &mut Source,
    sink: Sink,
    first: Option<Buffer>,
) -> Result<Option<Buffer>, CopyError> {
    let mut sending: Option<Send> = None;
    let mut paces = Paces { from: Pace::new(flow.rate_from), to: Pace::new(flow.rate_to) };
    let ended = pump(&flow, source, sink, first, &mut sending, &mut paces).await;
    // Whatever ended it, what is queued goes out: the receiver gets all that came before.
    let flushed = match sending {
        Some(sending) => finish(&flow, sending, &mut paces.to).await.map(drop),
        None => Ok(()),
    };
    let leftover = ended?;
    flushed?;
    // Only now: whoever else waits on these streams is to see a deadline that has passed.
    flow.from.disarm();
    Ok(leftover)
}

/// How fast either side is.
struct Paces<'a> {
    from: Pace<'a>,
    to: Pace<'a>,
}

async fn pump(
    flow: &Flow<'_>,
    source: &mut Source,
    sink: Sink,
    mut first: Option<Buffer>,
    sending: &mut Option<Send>,
    paces: &mut Paces<'_>,
) -> Result<Option<Buffer>, CopyError> {
    let mut large = source.is_longer_than(flow.pools.small.buffer_bytes());
    let mut spare: Option<Buffer> = None;
    loop {
        if flow.from.is_stopped() {
            return Err(CopyError::Stopped);
        }
        let mut buffer = match first.take() {
            Some(buffer) => buffer,
            None => {
                let mut buffer = spare.take().unwrap_or_else(|| flow.pools.take(large));
                buffer.reserve_front(sink.front_room());
                let room = buffer.receivable();
                let receiving = flow.from.recv_at_most(buffer, source.receivable());
                let buffer = receive(flow, source, receiving, &mut paces.from).await?;
                large |= buffer.len() == room;
                buffer
            }
        };
        // An empty buffer that was not `first` is the end at close.
        let closed = buffer.is_empty() && source.ends_at_close();
        let step = source.step(&mut buffer).map_err(CopyError::Malformed)?;
        let done = step.done || closed;
        let bytes = flow.bytes.get() + buffer.len() as u64;
        if bytes > flow.bytes_max {
            return Err(CopyError::TooLarge);
        }
        flow.bytes.set(bytes);
        // HTTP/1.0 and lengths know no trailers: they end with the body.
        let trailers = step.trailers.filter(|_| sink == Sink::Chunked);
        let trailers = passing_trailers(trailers, flow.keep_trailer);
        sink.frame(&mut buffer, done, trailers.is_some());
        if let Some(previous) = sending.take() {
            let returned = finish(flow, previous, &mut paces.to).await?;
            spare =
                Some(returned).filter(|b| !large || b.capacity() > flow.pools.small.buffer_bytes());
        }
        if !buffer.is_empty() {
            *sending = Some(flow.to.send(buffer));
        }
        if let Some(trailers) = trailers {
            send_trailers(flow, sending, &trailers, &mut paces.to).await?;
        }
        if done {
            return Ok(step.leftover);
        }
    }
}

/// Awaits a receive; an end that the framing does not allow is an error.
async fn receive(
    flow: &Flow<'_>,
    source: &Source,
    mut receiving: Recv,
    pace: &mut Pace<'_>,
) -> Result<Buffer, CopyError> {
    flow.from.arm(flow.progress);
    pace.begin();
    loop {
        match receiving.await {
            (Ok(0), _) if !source.ends_at_close() => return Err(CopyError::SourceClosed),
            (Ok(received), _) if !pace.moved(received) => return Err(CopyError::SourceTooSlow),
            (Ok(_), buffer) => return Ok(buffer),
            (Err(_), _) if flow.from.expired() => return Err(CopyError::SourceTimedOut),
            (Err(error), buffer) if flow.from.is_bystander(&error) => {
                receiving = flow.from.recv_at_most(buffer, source.receivable());
            }
            (Err(_), _) if flow.from.is_stopped() => return Err(CopyError::Stopped),
            (Err(error), _) => return Err(CopyError::Source(error)),
        }
    }
}

/// Awaits a send to its end and gives its buffer back.
async fn finish(flow: &Flow<'_>, sending: Send, pace: &mut Pace<'_>) -> Result<Buffer, CopyError> {
    pace.begin();
    let goes_on = |sent| pace.moved(sent);
    let (result, buffer) = flow.to.finish_send_while(sending, flow.progress, goes_on).await;
    match result {
        Ok(()) => Ok(buffer),
        Err(_) if pace.is_too_slow() => Err(CopyError::SinkTooSlow),
        Err(error) => Err(sink_error(error)),
    }
}

/// Sends the trailer section and the empty line that ends the body.
async fn send_trailers(
    flow: &Flow<'_>,
    sending: &mut Option<Send>,
    trailers: &[u8],
    pace: &mut Pace<'_>,
) -> Result<(), CopyError> {
    if let Some(previous) = sending.take() {
        finish(flow, previous, pace).await?;
    }
    *sending = Some(flow.to.send(trailer_section(flow.pools, trailers)?));
    Ok(())
}

/// Those of the trailer lines that may go on; none where none may.
#[must_use]
pub fn passing_trailers(trailers: Option<Vec<u8>>, keep: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut lines = trailers?;
    retain_trailers(&mut lines, keep);
    (!lines.is_empty()).then_some(lines)
}

/// The trailer section and the empty line that ends the body.
///
/// # Errors
/// When it does not fit a buffer; the decoder's own bound is lower.
pub fn trailer_section(pools: Pools<'_>, trailers: &[u8]) -> Result<Buffer, CopyError> {
    let mut buffer = pools.small.take();
    let fits = buffer.append(trailers) && buffer.append(b"\r\n");
    if fits { Ok(buffer) } else { Err(CopyError::TooLarge) }
}

fn sink_error(error: io::Error) -> CopyError {
    if error.kind() == io::ErrorKind::TimedOut {
        CopyError::SinkTimedOut
    } else {
        CopyError::Sink(error)
    }
}
