//! The main path: one request to its upstream and the response back.
//!
//! ```text
//! no body:    lease -> send head | receive -> head of response -> send to client | receive next
//! with body:  lease -> send head -> (request body ->) while (<- response) -> both done
//! switched:   101 from the upstream -> tunnel until both sides are done
//! ```
//!
//! What stands on one side of a bar is queued with the other in one go. A fault before the
//! response has begun becomes an answer of ours; after that the connection is cut, so that a client
//! never takes a part for the whole.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::access::Record;
use super::connection::ConnectionState;
use super::core::{Core, Live};
use super::judge::{Facts, Forward, head_limits};
use super::reason::{Fault, Gate, Reason};
use super::reply::{self, Framing};
use super::respond::{self, Plan};
use super::transfer::Upload;
use crate::http1::{
    BodyLength, FieldSlots, Progress, ResponseError, ResponseHead, Version, parse_response,
};
use crate::relay::{CopyError, Flow, Sink};
use crate::upstream::{ConnectError, Lease};
use crate::uring::{Buffer, Recv, Stream};

/// Interim responses passed on for one request. More is an upstream gone wrong.
const INTERIM_MAX: u32 = 8;

/// How long a response may take before the client is watched as well.
const CLIENT_UNWATCHED: Duration = Duration::from_secs(1);

/// What becomes of the client's connection.
#[derive(Debug)]
pub(super) enum Next {
    /// It goes on.
    Continue(Input),
    /// It closes.
    Close,
    /// It closes after the client has had time to read the last answer.
    Linger,
}

/// What is already there of the next request.
#[derive(Debug)]
pub(super) enum Input {
    /// Nothing.
    Empty,
    /// Its first bytes.
    Buffered(Buffer),
    /// A receive in flight.
    Receiving(Recv),
}

/// Why there is no whole response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// The status that the client has been sent, or 0: an answer of ours can still be.
    pub(super) begun: u16,
    /// The connection closed before any byte of a response: it may have been dead before.
    pub(super) stale: bool,
}

impl Failure {
    pub(super) fn gate(gate: Gate) -> Self {
        Self { reason: Reason::Gate(gate), begun: 0, stale: false }
    }

    pub(super) fn upstream_copy(error: &CopyError, begun: u16) -> Self {
        let reason = match error {
            CopyError::SourceClosed | CopyError::Source(_) => Reason::Gate(Gate::UpstreamBodyCut),
            CopyError::SourceTimedOut => Reason::Gate(Gate::UpstreamBodyTimeout),
            CopyError::Malformed(error) => Reason::ResponseChunks(*error),
            CopyError::TooLarge => Reason::Gate(Gate::UpstreamBodyCut),
            CopyError::SinkTimedOut | CopyError::Sink(_) => Reason::Gate(Gate::ClientLost),
        };
        Self { reason, begun, stale: false }
    }
}

/// The head of a response, written for the client.
#[derive(Debug)]
pub(super) struct Begun {
    /// The client's head.
    pub(super) out: Buffer,
    pub(super) plan: Plan,
    /// What was received behind the head.
    pub(super) rest: Buffer,
}

/// The head of a response and the first bytes of its body, framed for the client.
#[derive(Debug)]
pub(super) struct Opening {
    /// The head, and the body bytes where they fit.
    pub(super) out: Buffer,
    /// The framed body bytes: to be sent where they did not fit.
    pub(super) rest: Buffer,
    pub(super) rest_fitted: bool,
    pub(super) plan: Plan,
    pub(super) body_bytes: u64,
    pub(super) done: bool,
    pub(super) leftover: Option<Buffer>,
    pub(super) trailers: Option<Vec<u8>>,
}

impl Opening {
    pub(super) fn new(begun: Begun) -> Result<Self, Failure> {
        let Begun { mut out, mut plan, mut rest } = begun;
        let step = plan.source.step(&mut rest).map_err(|error| Failure {
            reason: Reason::ResponseChunks(error),
            begun: 0,
            stale: false,
        })?;
        let body_bytes = rest.len() as u64;
        let trailers = step.trailers.filter(|_| plan.sink == Sink::Chunked);
        plan.sink.frame(&mut rest, step.done, trailers.is_some());
        let rest_fitted = out.append(rest.filled());
        let (done, leftover) = (step.done, step.leftover);
        Ok(Self { out, rest, rest_fitted, plan, body_bytes, done, leftover, trailers })
    }

    /// Whether `out` is the whole response.
    fn is_whole(&self) -> bool {
        self.done && self.rest_fitted && self.trailers.is_none()
    }
}

/// One request on its way to its upstream and back.
pub(super) struct Exchange<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) live: &'a Rc<Live>,
    pub(super) connection: &'a ConnectionState,
    pub(super) facts: Facts,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        core: &'a Rc<Core>,
        live: &'a Rc<Live>,
        connection: &'a ConnectionState,
        facts: Facts,
    ) -> Self {
        Self { core, live, connection, facts }
    }

    /// Runs it to its end. `input` is what was received behind the request's head.
    pub(super) async fn run(self, input: Buffer, forward: Forward) -> Next {
        let Forward { out, mut record, upstream, .. } = forward;
        let timeouts = &self.live.snapshot.timeouts;
        let upstream = self.live.upstreams.get(upstream);
        let lease = upstream.lease(&self.core.wheel, timeouts.connect).await;
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => return Box::pin(self.no_lease(record, input, error)).await,
        };
        record.endpoint = Some(Rc::clone(lease.endpoint()));
        if self.facts.upgrade {
            return Box::pin(self.run_upgrade(input, out, record, lease)).await;
        }
        if self.facts.body == BodyLength::None {
            return self.run_whole(input, out, record, lease).await;
        }
        match self.first_of_body(input, out, &record) {
            Ok(Upload::Whole { out, input }) => self.run_whole(input, out, record, lease).await,
            Ok(Upload::Begun(begun)) => Box::pin(self.run_upload(begun, record, lease)).await,
            Err(failure) => Box::pin(self.fail(record, None, failure, None)).await,
        }
    }

    /// The short way: the whole request goes upstream in one buffer. `input` is what follows it.
    pub(super) async fn run_whole(
        &self,
        input: Buffer,
        mut out: Buffer,
        mut record: Record,
        mut lease: Lease,
    ) -> Next {
        let mark = out.mark();
        let begun = loop {
            lease.count_request();
            let receiving = lease.receive(|| self.live.heads.take());
            let sending = lease.stream().send(out);
            let response_limit = self.live.snapshot.timeouts.response;
            let (sent, returned) = lease.stream().finish_send(sending, response_limit).await;
            out = returned;
            // A failed send is no verdict yet: the response may be there already, or the receive
            // knows better what went wrong.
            drop(sent);
            let spare = self.live.heads.take();
            match self.response_head(lease.stream(), receiving, spare, &Cell::new(true)).await {
                Ok(begun) => break begun,
                Err(failure) if failure.stale && lease.is_reused() && self.facts.idempotent => {
                    lease.count_retry();
                    out.rewind(mark);
                    lease = match Box::pin(self.lease_again(&mut record)).await {
                        Ok(lease) => lease,
                        Err(error) => return Box::pin(self.no_lease(record, input, error)).await,
                    };
                }
                Err(failure) => {
                    return Box::pin(self.fail(record, Some(lease), failure, Some(input))).await;
                }
            }
        };
        drop(out);
        self.deliver(input, begun, record, lease).await
    }

    /// A connection that no request has used, for a second try.
    async fn lease_again(&self, record: &mut Record) -> Result<Lease, ConnectError> {
        let Some(upstream) = record.upstream else { return Err(ConnectError::NoEndpoint) };
        let upstream = self.live.upstreams.get(upstream);
        let limit = self.live.snapshot.timeouts.connect;
        let lease = upstream.lease_fresh(&self.core.wheel, limit).await?;
        record.endpoint = Some(Rc::clone(lease.endpoint()));
        Ok(lease)
    }

    /// Sends a response that is whole in the first buffer in one go, any other piece by piece.
    pub(super) async fn deliver(
        &self,
        input: Buffer,
        begun: Begun,
        mut record: Record,
        lease: Lease,
    ) -> Next {
        lease.endpoint().succeeded();
        let opening = match Opening::new(begun) {
            Ok(opening) => opening,
            Err(failure) => {
                return Box::pin(self.fail(record, Some(lease), failure, Some(input))).await;
            }
        };
        record.status = opening.plan.status;
        if !opening.is_whole() {
            return Box::pin(self.deliver_rest(input, opening, record, lease)).await;
        }
        record.sent.set(opening.body_bytes);
        let stream = &self.connection.stream;
        let sending = stream.send(opening.out);
        if opening.plan.keep_upstream && opening.leftover.is_none() {
            lease.release(opening.rest);
        } else {
            drop(lease);
        }
        let next = if !opening.plan.keep_client {
            None
        } else if input.is_empty() {
            Some(Input::Receiving(stream.recv(input)))
        } else {
            Some(Input::Buffered(input))
        };
        let limit = self.live.snapshot.timeouts.body_progress;
        let (sent, _out) = stream.finish_send(sending, limit).await;
        if sent.is_err() {
            record.reason = Some(Reason::Gate(Gate::ClientLost));
        }
        self.finish(record);
        match next {
            Some(next) if sent.is_ok() => Next::Continue(next),
            _ => Next::Close,
        }
    }

    /// Receives up to and including the head of the final response and writes it for the client.
    /// Interim responses are passed on. `upload_done` says whether the request is whole, and so
    /// whether the connection may be kept.
    pub(super) async fn response_head(
        &self,
        upstream: &Stream,
        mut receiving: Recv,
        mut out: Buffer,
        upload_done: &Cell<bool>,
    ) -> Result<Begun, Failure> {
        let mut interim = 0;
        loop {
            let (result, mut buffer) = self.received(upstream, receiving, upload_done).await?;
            match result {
                Ok(received) if received > 0 => {}
                Err(_) if upstream.expired() => return Err(Failure::gate(Gate::UpstreamTimeout)),
                _ => {
                    let stale = buffer.is_empty() && interim == 0;
                    return Err(Failure { stale, ..Failure::gate(Gate::UpstreamClosed) });
                }
            }
            loop {
                out.clear();
                match self.read_response(&mut buffer, &mut out, upload_done.get())? {
                    Response::Partial => break,
                    Response::Final(plan) => {
                        upstream.disarm();
                        return Ok(Begun { out, plan, rest: buffer });
                    }
                    Response::Interim => {
                        interim += 1;
                        if interim > INTERIM_MAX {
                            return Err(Failure::gate(Gate::UpstreamInterim));
                        }
                        out = self.pass_interim(out).await?;
                    }
                }
            }
            buffer.compact();
            receiving = upstream.recv(buffer);
        }
    }

    /// Awaits the next bytes of a response. Of a whole request that takes its time, the client is
    /// watched too: not from the start, because most answers come sooner than that is worth.
    async fn received(
        &self,
        upstream: &Stream,
        receiving: Recv,
        upload_done: &Cell<bool>,
    ) -> Result<(io::Result<usize>, Buffer), Failure> {
        if !upload_done.get() {
            // The upload has its own deadlines, on both connections.
            return Ok(receiving.await);
        }
        let limit = self.live.snapshot.timeouts.response;
        upstream.arm(limit.min(CLIENT_UNWATCHED));
        let (result, buffer) = receiving.await;
        match limit.checked_sub(CLIENT_UNWATCHED) {
            Some(left) if result.is_err() && upstream.expired() => {
                Box::pin(self.received_or_reset(upstream, buffer, left)).await
            }
            _ => Ok((result, buffer)),
        }
    }

    /// Awaits the next bytes of a response, or that the client resets its connection.
    async fn received_or_reset(
        &self,
        upstream: &Stream,
        buffer: Buffer,
        limit: Duration,
    ) -> Result<(io::Result<usize>, Buffer), Failure> {
        let client = &self.connection.stream;
        upstream.arm(limit);
        let mut receiving = upstream.recv(buffer);
        let mut reset = pin!(client.reset());
        let mut gone = false;
        let received = poll_fn(|context| {
            if !gone && reset.as_mut().poll(context).is_ready() {
                gone = true;
                upstream.cancel();
            }
            Pin::new(&mut receiving).poll(context)
        })
        .await;
        if gone {
            return Err(Failure::gate(Gate::ClientLost));
        }
        client.cancel();
        // Cancelled, or reset just now: the send will find out.
        let _ = reset.await;
        Ok(received)
    }

    /// Parses one response head off the front of `buffer`.
    fn read_response(
        &self,
        buffer: &mut Buffer,
        out: &mut Buffer,
        upload_done: bool,
    ) -> Result<Response, Failure> {
        let mut slots = FieldSlots::new();
        let limits = head_limits(&self.live.snapshot.limits);
        let method = if self.facts.is_head { "HEAD" } else { "GET" };
        let broken = |error| Failure { reason: Reason::Response(error), begun: 0, stale: false };
        let head = match parse_response(buffer.filled(), &mut slots, limits, method) {
            Ok(Progress::Complete(head)) => head,
            Ok(Progress::Partial) if buffer.receivable() == 0 && buffer.mark().0 == 0 => {
                return Err(broken(ResponseError::HeadTooLong));
            }
            Ok(Progress::Partial) => return Ok(Response::Partial),
            Err(error) => return Err(broken(error)),
        };
        let bytes = head.head_bytes;
        let response = self.write_response(&head, out, upload_done)?;
        buffer.consume(bytes);
        Ok(response)
    }

    fn write_response(
        &self,
        head: &ResponseHead<'_, '_>,
        out: &mut Buffer,
        upload_done: bool,
    ) -> Result<Response, Failure> {
        let too_large = |_| Failure {
            reason: Reason::Response(ResponseError::HeadTooLong),
            begun: 0,
            stale: false,
        };
        if head.status == 101 {
            if !self.facts.upgrade {
                return Err(Failure::gate(Gate::UpstreamSwitched));
            }
            return respond::write_switch(out, head).map(Response::Final).map_err(too_large);
        }
        if head.is_interim() {
            if self.facts.version == Version::Http11 && head.status != 100 {
                respond::write_interim(out, head).map_err(too_large)?;
            }
            return Ok(Response::Interim);
        }
        let limits = head_limits(&self.live.snapshot.limits);
        // A drain that began meanwhile is announced, too.
        let finishing = self.core.is_draining() || self.connection.listener.is_closed();
        let keep = self.facts.keep_alive && upload_done && !finishing;
        respond::write_final(out, head, &self.facts, keep, limits)
            .map(Response::Final)
            .map_err(too_large)
    }

    /// Sends an interim response, if there is anything to send; gives the buffer back.
    async fn pass_interim(&self, out: Buffer) -> Result<Buffer, Failure> {
        if out.is_empty() {
            return Ok(out);
        }
        let limit = self.live.snapshot.timeouts.body_progress;
        let (sent, out) = self.connection.stream.send_all(out, limit).await;
        match sent {
            Ok(()) => Ok(out),
            Err(_) => Err(Failure::gate(Gate::ClientLost)),
        }
    }

    /// A body on its way to the client.
    pub(super) fn download<'f>(&'f self, from: &'f Stream, bytes: &'f Cell<u64>) -> Flow<'f> {
        Flow {
            from,
            to: &self.connection.stream,
            progress: self.live.snapshot.timeouts.body_progress,
            bytes_max: u64::MAX,
            pools: self.core.pools(self.live),
            bytes,
        }
    }

    async fn no_lease(&self, record: Record, input: Buffer, error: ConnectError) -> Next {
        let gate = match error {
            ConnectError::NoEndpoint => Gate::NoEndpoint,
            ConnectError::Refused => Gate::ConnectRefused,
            ConnectError::TimedOut => Gate::ConnectTimeout,
        };
        self.fail(record, None, Failure::gate(gate), Some(input)).await
    }

    /// Ends a request that has no whole response. `input` is there where the request is whole and
    /// the connection could go on.
    pub(super) async fn fail(
        &self,
        mut record: Record,
        lease: Option<Lease>,
        failure: Failure,
        input: Option<Buffer>,
    ) -> Next {
        record.reason = Some(failure.reason);
        if let Some(lease) = &lease
            && failure.reason.fault() == Fault::Upstream
        {
            lease.endpoint().failed(failure.reason.code(), Instant::now());
        }
        drop(lease);
        let lost = matches!(failure.reason, Reason::Gate(Gate::ClientLost | Gate::ClientLeft));
        if failure.begun != 0 || lost {
            record.status = failure.begun;
            self.finish(record);
            return Next::Close;
        }
        let keep = self.facts.keep_alive && input.is_some();
        let framing = Framing {
            head_only: self.facts.is_head,
            close: !keep,
            keep_alive_10: self.facts.version == Version::Http10,
            grpc: self.facts.grpc,
        };
        let mut out = self.live.heads.take();
        record.answered(reply::refuse(&mut out, failure.reason, None, framing));
        let limit = self.live.snapshot.timeouts.body_progress;
        let (sent, _) = self.connection.stream.send_all(out, limit).await;
        self.finish(record);
        match input {
            _ if sent.is_err() => Next::Close,
            Some(input) if keep && input.is_empty() => Next::Continue(Input::Empty),
            Some(input) if keep => Next::Continue(Input::Buffered(input)),
            _ => Next::Linger,
        }
    }

    pub(super) fn finish(&self, record: Record) {
        record.finish(self.core, self.live, &self.connection.listener, self.connection.peer);
    }
}

/// What one response head amounts to.
enum Response {
    Partial,
    Interim,
    Final(Plan),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fault_a_cut_body_is() {
        let cut = Failure::upstream_copy(&CopyError::SourceClosed, 200);
        assert_eq!(cut.reason.fault(), Fault::Upstream);
        assert_eq!(cut.begun, 200);
        let lost = Failure::upstream_copy(&CopyError::SinkTimedOut, 200);
        assert_eq!(lost.reason.fault(), Fault::Client);
    }
}
