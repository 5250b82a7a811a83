//! The long way of an exchange: bodies that do not fit a buffer, in both directions at once.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use super::access::Record;
use super::bounds::chunk_limits;
use super::carried::takes_out;
use super::exchange::{Begun, Exchange, Failure, Input, Next, Opening};
use super::forward;
use super::leash::Held;
use super::reason::{Gate, Reason};
use crate::http1::{BodyLength, names_alike};
use crate::relay::{CopyError, Flow, Sink, Source, copy, passing_trailers, trailer_section};
use crate::snapshot::claims_policy::EndWithToken;
use crate::upstream::Lease;
use crate::uring::{Buffer, Stream};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request body on its way.
pub(super) enum Upload {
    /// It is all in `out`, behind the head; `input` is what follows it.
    Whole { out: Buffer, input: Buffer },
    /// Its first bytes are framed, more are to come.
    Begun(Box<BegunUpload>),
}

/// A request head and the first bytes of its body, framed for the upstream.
pub(super) struct BegunUpload {
    out: Buffer,
    /// Framed body bytes that do not fit `out`.
    rest: Option<Buffer>,
    source: Source,
    sink: Sink,
    done: bool,
    leftover: Option<Buffer>,
    trailers: Option<Vec<u8>>,
}

/// A response that has been sent to the client to its end.
struct Delivered {
    status: u16,
    keep_client: bool,
    keep_upstream: bool,
}

impl Exchange<'_> {
    /// Frames what has been received of the request body and appends it to the head in `out`.
    pub(super) fn first_of_body(
        &self,
        mut input: Buffer,
        mut out: Buffer,
        record: &Record,
    ) -> Result<Upload, Failure> {
        if self.facts.body == BodyLength::None {
            return Ok(Upload::Whole { out, input });
        }
        let limits = chunk_limits(&self.live.snapshot.limits, &self.facts.bounds);
        let mut source = Source::new(self.facts.body, limits);
        let sink = match self.facts.body {
            BodyLength::Chunked => Sink::Chunked,
            BodyLength::None | BodyLength::Length(_) | BodyLength::UntilClose => Sink::Raw,
        };
        let step =
            source.step(&mut input).map_err(|error| Failure::new(Reason::RequestChunks(error)))?;
        let trailers = passing_trailers(step.trailers, |name| self.keeps_trailer(name));
        let bytes = input.len() as u64;
        record.received.set(bytes);
        if bytes > self.facts.bounds.request_body_bytes {
            return Err(Failure::gate(Gate::BodyTooLarge));
        }
        sink.frame(&mut input, step.done, trailers.is_some());
        let fits = out.append(input.filled());
        if step.done && fits && trailers.is_none() {
            let input = step.leftover.unwrap_or_else(|| {
                input.clear();
                input
            });
            return Ok(Upload::Whole { out, input });
        }
        Ok(Upload::Begun(Box::new(BegunUpload {
            out,
            rest: (!fits).then_some(input),
            source,
            sink,
            done: step.done,
            leftover: step.leftover,
            trailers,
        })))
    }

    /// Whether a request's trailer field may go on: not where, merged into the head by an upstream,
    /// it would pass for a field that only the gateway sets, or for a token that nobody has judged.
    fn keeps_trailer(&self, name: &str) -> bool {
        let snapshot = &self.live.snapshot;
        let listener = &snapshot.listeners[self.facts.listener.index()];
        let is_token = listener.token_field_names.iter().any(|token| names_alike(name, token));
        let is_edited = self.facts.route.is_some_and(|route| {
            takes_out(&snapshot.routes.route(route).request_fields, snapshot, name)
        });
        !is_token && !is_edited && !forward::is_reserved(name, listener)
    }

    /// Streams the request body up while the response comes down.
    pub(super) async fn run_upload(
        &self,
        begun: BegunUpload,
        record: &mut Record,
        mut lease: Lease,
    ) -> Next {
        let is_all_to_come = !begun.done && record.received.get() == 0;
        if self.facts.expect_continue
            && is_all_to_come
            && let Err(failure) = self.say_continue().await
        {
            return self.fail(record, Some(lease), failure, None).await;
        }
        lease.count_request();
        let receiving = lease.receive(|| self.live.heads.take());
        let upstream = lease.stream();
        let bounds = &self.facts.bounds;
        let upload_done = Cell::new(false);
        let spare = self.live.heads.take();
        let (uploaded, downloaded) = {
            let mut upload = pin!(self.upload(begun, upstream, &record.received, &upload_done));
            let mut download = pin!(async {
                let begun = self.response_head(upstream, receiving, spare, &upload_done).await?;
                self.deliver_all(begun, upstream, record).await
            });
            let mut uploaded = None;
            let downloaded = poll_fn(|context| {
                if uploaded.is_none()
                    && let Poll::Ready(ended) = upload.as_mut().poll(context)
                {
                    match &ended {
                        Ok(_) => {}
                        // The upstream reads no more; it may have said why.
                        Err(error) if error.is_sink() => upstream.arm(bounds.response),
                        // The request will never be whole: no response to it is of use.
                        Err(_) => upstream.shutdown(),
                    }
                    uploaded = Some(ended);
                }
                download.as_mut().poll(context)
            })
            .await;
            let uploaded = match uploaded {
                Some(ended) => ended,
                None => {
                    // Answered before the request was whole. What it waits for, on either side,
                    // ends now.
                    self.connection.stream.stop();
                    upstream.shutdown();
                    // How it ends is our doing and says nothing about the client.
                    let _ = upload.await;
                    Err(CopyError::Sink(io::ErrorKind::ConnectionAborted.into()))
                }
            };
            (uploaded, downloaded)
        };
        self.after_upload(uploaded, downloaded, record, lease).await
    }

    /// Asks for the body: the request is authorized, and its upstream is there. Before anything of a
    /// response can come, which would be sent at the same time.
    async fn say_continue(&self) -> Result<(), Failure> {
        let mut out = self.live.heads.take();
        let fits = out.append(CONTINUE);
        debug_assert!(fits, "a head buffer holds more");
        let limit = self.facts.bounds.body_progress;
        let (sent, _) = self.connection.stream.send_all(out, limit).await;
        sent.map_err(|_| Failure::gate(Gate::ClientLost))
    }

    /// What becomes of both connections once both directions have ended.
    async fn after_upload(
        &self,
        uploaded: Result<Option<Buffer>, CopyError>,
        downloaded: Result<Delivered, Failure>,
        record: &mut Record,
        lease: Lease,
    ) -> Next {
        match (uploaded, downloaded) {
            (uploaded, Ok(delivered)) => {
                lease.endpoint().succeeded();
                record.status = delivered.status;
                let Ok(leftover) = uploaded else { return Next::Linger };
                if delivered.keep_upstream {
                    lease.release(self.live.heads.take());
                }
                match leftover {
                    _ if !delivered.keep_client => Next::Linger,
                    Some(buffer) => Next::Continue(Input::Buffered(buffer)),
                    None => Next::Continue(Input::Empty),
                }
            }
            // Whatever became of the upload.
            (_, Err(failure)) if failure.is_unanswerable() => {
                self.fail(record, Some(lease), failure, None).await
            }
            (Err(error), Err(failure)) if !error.is_sink() => {
                let reason = match error {
                    CopyError::SourceTimedOut => Reason::Gate(Gate::BodyTimeout),
                    CopyError::SourceTooSlow => Reason::Gate(Gate::BodyTooSlow),
                    CopyError::Malformed(error) => Reason::RequestChunks(error),
                    CopyError::TooLarge => Reason::Gate(Gate::BodyTooLarge),
                    CopyError::SourceClosed
                    | CopyError::Source(_)
                    | CopyError::Stopped
                    | CopyError::SinkTimedOut
                    | CopyError::SinkTooSlow
                    | CopyError::Sink(_) => Reason::Gate(Gate::ClientLeft),
                };
                self.fail(record, None, Failure { reason, ..failure }, None).await
            }
            (Err(CopyError::SinkTimedOut), Err(failure)) if failure.begun == 0 => {
                // The send's deadline ended the receive with it.
                let failure = Failure::gate(Gate::UpstreamTimeout);
                self.fail(record, Some(lease), failure, None).await
            }
            (_, Err(failure)) => self.fail(record, Some(lease), failure, None).await,
        }
    }

    /// Sends the request to its end. Returns what the client sent behind it.
    async fn upload(
        &self,
        begun: BegunUpload,
        upstream: &Stream,
        received: &Cell<u64>,
        done: &Cell<bool>,
    ) -> Result<Option<Buffer>, CopyError> {
        let BegunUpload { out, rest, mut source, sink, done: whole, leftover, trailers } = begun;
        let bounds = &self.facts.bounds;
        for buffer in std::iter::once(out).chain(rest) {
            send(upstream, buffer, bounds.body_progress).await?;
        }
        if let Some(trailers) = trailers {
            let section = trailer_section(self.core.pools(self.live), &trailers)?;
            send(upstream, section, bounds.body_progress).await?;
        }
        let leftover = if whole {
            leftover
        } else {
            let flow = Flow {
                from: &self.connection.stream,
                to: upstream,
                progress: bounds.body_progress,
                rate_from: bounds.body_rate.as_ref(),
                rate_to: None,
                bytes_max: bounds.request_body_bytes,
                keep_trailer: &|name| self.keeps_trailer(name),
                pools: self.core.pools(self.live),
                bytes: received,
            };
            copy(flow, &mut source, sink, None).await?
        };
        done.set(true);
        upstream.arm(bounds.response);
        Ok(leftover)
    }

    /// Sends a response to its end.
    async fn deliver_all(
        &self,
        begun: Begun,
        upstream: &Stream,
        record: &Record,
    ) -> Result<Delivered, Failure> {
        self.deliver_opening(Opening::new(begun)?, upstream, record).await
    }

    async fn deliver_opening(
        &self,
        opening: Opening,
        upstream: &Stream,
        record: &Record,
    ) -> Result<Delivered, Failure> {
        let Opening { out, rest, rest_fitted, mut plan, body_bytes, done, leftover, trailers } =
            opening;
        let status = plan.status;
        let failed = |error: CopyError| Failure::upstream_copy(&error, status);
        let client = &self.connection.stream;
        let limit = self.facts.bounds.body_progress;
        for buffer in std::iter::once(out).chain((!rest_fitted).then_some(rest)) {
            send(client, buffer, limit).await.map_err(failed)?;
        }
        record.sent.set(body_bytes);
        if let Some(trailers) = trailers {
            let section = trailer_section(self.core.pools(self.live), &trailers).map_err(failed)?;
            send(client, section, limit).await.map_err(failed)?;
        }
        let leftover = if done {
            leftover
        } else {
            let flow = self.download(upstream, &record.sent);
            let copying = copy(flow, &mut plan.source, plan.sink, None);
            match self.leash(record, EndWithToken::All) {
                None => copying.await.map_err(failed)?,
                Some(leash) => match while_held(copying, upstream, &leash).await {
                    Ok(leftover) => leftover,
                    Err(CopyError::Stopped) if let Some(cause) = leash.cause() => {
                        return Err(Failure { begun: status, ..Failure::gate(cause.gate()) });
                    }
                    Err(error) => return Err(failed(error)),
                },
            }
        };
        Ok(Delivered {
            status,
            keep_client: plan.keep_client,
            keep_upstream: plan.keep_upstream && leftover.is_none(),
        })
    }

    /// As [`Exchange::deliver`], for a response of more than one buffer.
    pub(super) async fn deliver_rest(
        &self,
        input: Buffer,
        opening: Opening,
        record: &mut Record,
        lease: Lease,
    ) -> Next {
        match self.deliver_opening(opening, lease.stream(), record).await {
            Ok(delivered) => {
                if delivered.keep_upstream {
                    lease.release(self.live.heads.take());
                }
                match delivered.keep_client {
                    true if input.is_empty() => Next::Continue(Input::Empty),
                    true => Next::Continue(Input::Buffered(input)),
                    false => self.goodbye(!input.is_empty()),
                }
            }
            Err(failure) => self.fail(record, Some(lease), failure, None).await,
        }
    }
}

/// Runs a body's way from the upstream to its end, or stops it when the leash is pulled: what has
/// been received still goes out, and nothing says that this was all.
async fn while_held<T>(
    copying: impl Future<Output = Result<T, CopyError>>,
    upstream: &Stream,
    leash: &Held,
) -> Result<T, CopyError> {
    let (mut copying, mut pulled) = (pin!(copying), pin!(leash.pulled()));
    let mut is_held = true;
    poll_fn(|context| {
        if is_held && pulled.as_mut().poll(context).is_ready() {
            is_held = false;
            upstream.stop();
        }
        copying.as_mut().poll(context)
    })
    .await
}

/// Sends a buffer to its end; an empty one is no operation.
pub(super) async fn send(
    to: &Stream,
    buffer: Buffer,
    limit: std::time::Duration,
) -> Result<(), CopyError> {
    if buffer.is_empty() {
        return Ok(());
    }
    to.send_all(buffer, limit).await.0.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => CopyError::SinkTimedOut,
        _ => CopyError::Sink(error),
    })
}
