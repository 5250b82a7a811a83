//! The main path: one request to its upstream and the response back.
//!
//! ```text
//! no body:    lease -> send head | receive -> head of response -> send to client | receive next
//! with body:  lease -> send head -> (request body ->) while (<- response) -> both done
//! switched:   101, or 2xx to CONNECT, from the upstream -> tunnel until both sides are done
//! ```
//!
//! What stands on one side of a bar is queued with the other in one go. A fault before the
//! response has begun becomes an answer of ours; after that the connection is cut, so that a client
//! never takes a part for the whole.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use super::access::Record;
use super::connection::ConnectionState;
use super::core::{Core, Live};
use super::facts::Facts;
use super::judge::Forward;
use super::reason::{Fault, Gate, Reason};
use super::reply::{self, Framing};
use super::respond::Plan;
use super::transfer::Upload;
use crate::http1::Version;
use crate::relay::{CopyError, Flow, Sink};
use crate::snapshot::ids::UpstreamId;
use crate::upstream::{ConnectError, Connecting, Lease};
use crate::uring::{Buffer, Recv, Stream};

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
    /// Before the client has been sent anything.
    pub(super) fn new(reason: Reason) -> Self {
        Self { reason, begun: 0, stale: false }
    }

    pub(super) fn gate(gate: Gate) -> Self {
        Self::new(Reason::Gate(gate))
    }

    /// Whether the client is not to be answered any more: it is gone, or has a part of something, such
    /// as an interim response, that an answer would be taken for the rest of.
    pub(super) fn is_unanswerable(&self) -> bool {
        matches!(self.reason, Reason::Gate(Gate::ClientLost | Gate::ClientLeft))
    }

    pub(super) fn upstream_copy(error: &CopyError, begun: u16) -> Self {
        let reason = match error {
            CopyError::SourceClosed | CopyError::Source(_) => Reason::Gate(Gate::UpstreamBodyCut),
            CopyError::SourceTimedOut => Reason::Gate(Gate::UpstreamBodyTimeout),
            CopyError::Malformed(error) => Reason::ResponseChunks(*error),
            CopyError::TooLarge | CopyError::Stopped | CopyError::SourceTooSlow => {
                Reason::Gate(Gate::UpstreamBodyCut)
            }
            CopyError::SinkTooSlow => Reason::Gate(Gate::ClientTooSlow),
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
        let step = plan
            .source
            .step(&mut rest)
            .map_err(|error| Failure::new(Reason::ResponseChunks(error)))?;
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
    preface: Option<Vec<u8>>,
}

impl<'a> Exchange<'a> {
    /// Runs it to its end. `input` is what was received behind the request's head.
    pub(super) async fn run(
        core: &'a Rc<Core>,
        live: &'a Rc<Live>,
        connection: &'a ConnectionState,
        input: Buffer,
        forward: Forward,
    ) -> Next {
        let Forward { out, preface, mut record, facts, upstream } = forward;
        let exchange = Self { core, live, connection, facts, preface };
        let next = exchange.serve(input, out, &mut record, upstream).await;
        record.finish(core, live, connection);
        next
    }

    /// By the shortest way that the request allows.
    async fn serve(
        &self,
        input: Buffer,
        out: Buffer,
        record: &mut Record,
        upstream: UpstreamId,
    ) -> Next {
        let upload = match self.first_of_body(input, out, record) {
            Ok(upload) => upload,
            Err(failure) => return Box::pin(self.fail(record, None, failure, None)).await,
        };
        let upstream = self.live.upstreams.get(upstream);
        let lease = if let Err(full) = upstream.admit() {
            Err(full)
        } else if self.facts.upgrade.is_some() {
            // Not sent again if its connection proves dead, so on one that cannot be stale.
            upstream.lease_fresh(self.connecting()).await
        } else {
            upstream.lease(self.connecting()).await
        };
        let lease = match lease {
            Ok(lease) => lease,
            Err(error) => {
                let input = match upload {
                    Upload::Whole { input, .. } => Some(input),
                    Upload::Begun(_) => None,
                };
                return Box::pin(self.no_lease(record, input, error)).await;
            }
        };
        record.endpoint = Some(Rc::clone(lease.endpoint()));
        match upload {
            Upload::Whole { out, input } if self.facts.upgrade.is_some() => {
                Box::pin(self.run_upgrade(input, out, record, lease)).await
            }
            Upload::Whole { out, input } => self.run_whole(input, out, record, lease).await,
            Upload::Begun(begun) => Box::pin(self.run_upload(*begun, record, lease)).await,
        }
    }

    /// The short way: the whole request goes upstream in one buffer. `input` is what follows it.
    pub(super) async fn run_whole(
        &self,
        input: Buffer,
        mut out: Buffer,
        record: &mut Record,
        mut lease: Lease,
    ) -> Next {
        let mark = out.mark();
        let begun = loop {
            lease.count_request();
            let receiving = lease.receive(|| self.live.heads.take());
            let sending = lease.stream().send(out);
            let response_limit = self.facts.bounds.response;
            let (sent, returned) = lease.stream().finish_send(sending, response_limit).await;
            out = returned;
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                // The receive ended with the send.
                drop(receiving.await);
                let failure = Failure::gate(Gate::UpstreamTimeout);
                return Box::pin(self.fail(record, Some(lease), failure, Some(input))).await;
            }
            // Any other error is no verdict yet: the response may be there already, or the receive
            // knows better what went wrong.
            let spare = self.live.heads.take();
            match self.response_head(lease.stream(), receiving, spare, &Cell::new(true)).await {
                Ok(begun) => break begun,
                Err(failure) if failure.stale && lease.is_reused() && self.facts.idempotent => {
                    lease.count_retry();
                    out.rewind(mark);
                    lease = match Box::pin(self.lease_again(record)).await {
                        Ok(lease) => lease,
                        Err(error) => {
                            return Box::pin(self.no_lease(record, Some(input), error)).await;
                        }
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

    fn connecting(&self) -> Connecting<'_> {
        self.core.connecting(self.live, self.preface.as_deref())
    }

    /// A connection that no request has used, for a second try.
    async fn lease_again(&self, record: &mut Record) -> Result<Lease, ConnectError> {
        let Some(upstream) = record.upstream else { return Err(ConnectError::NoEndpoint) };
        let upstream = self.live.upstreams.get(upstream);
        let lease = upstream.lease_fresh(self.connecting()).await?;
        record.endpoint = Some(Rc::clone(lease.endpoint()));
        Ok(lease)
    }

    /// Sends a response that is whole in the first buffer in one go, any other piece by piece.
    pub(super) async fn deliver(
        &self,
        input: Buffer,
        begun: Begun,
        record: &mut Record,
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
        let more_sent = !input.is_empty();
        let next = if !opening.plan.keep_client {
            None
        } else if input.is_empty() {
            Some(Input::Receiving(stream.recv_later(input)))
        } else {
            Some(Input::Buffered(input))
        };
        let limit = self.facts.bounds.body_progress;
        let (sent, _out) = stream.finish_send(sending, limit).await;
        if sent.is_err() {
            record.reason = Some(Reason::Gate(Gate::ClientLost));
        }
        match next {
            Some(next) if sent.is_ok() => Next::Continue(next),
            None if sent.is_ok() => self.goodbye(more_sent),
            _ => Next::Close,
        }
    }

    /// How a connection ends after its last response. A client that did not ask for it may have
    /// sent more, and one that did may have all the same: closing on unread bytes would take the
    /// response along.
    pub(super) fn goodbye(&self, more_sent: bool) -> Next {
        if self.facts.client_stays || more_sent { Next::Linger } else { Next::Close }
    }

    /// A body on its way to the client.
    pub(super) fn download<'f>(&'f self, from: &'f Stream, bytes: &'f Cell<u64>) -> Flow<'f> {
        Flow {
            from,
            to: &self.connection.stream,
            progress: self.facts.bounds.body_progress,
            rate_from: None,
            rate_to: self.facts.bounds.body_rate.as_ref(),
            bytes_max: u64::MAX,
            keep_trailer: &|_| true,
            pools: self.core.pools(self.live),
            bytes,
        }
    }

    async fn no_lease(
        &self,
        record: &mut Record,
        input: Option<Buffer>,
        error: ConnectError,
    ) -> Next {
        self.fail(record, None, Failure::gate(error.into()), input).await
    }

    /// Ends a request that has no whole response. `input` is there where the request is whole and
    /// the connection could go on.
    pub(super) async fn fail(
        &self,
        record: &mut Record,
        lease: Option<Lease>,
        failure: Failure,
        input: Option<Buffer>,
    ) -> Next {
        record.reason = Some(failure.reason);
        if let Some(lease) = &lease
            && failure.reason.fault() == Fault::Upstream
        {
            let endpoint = lease.endpoint();
            endpoint.failed(failure.reason.code(), Instant::now());
            if let Some(error) = lease.stream().session().and_then(|one| one.failure().cloned()) {
                endpoint.insecure(&error);
            }
        }
        drop(lease);
        if failure.begun != 0 || failure.is_unanswerable() {
            record.status = failure.begun;
            let is_slow = failure.reason == Reason::Gate(Gate::ClientTooSlow);
            if is_slow || self.facts.version == Version::Http10 {
                // What the kernel holds for it is let go. An orderly close would say that the part sent is the whole.
                self.connection.stream.abort();
            }
            return Next::Close;
        }
        let keep = self.facts.keep_alive && input.is_some();
        let framing = Framing::of(self.live, &self.facts, record.since().time, keep);
        let mut out = self.live.heads.take();
        record.answered(reply::refuse(&mut out, failure.reason, None, framing));
        let limit = self.facts.bounds.body_progress;
        let (sent, _) = self.connection.stream.send_all(out, limit).await;
        match input {
            _ if sent.is_err() => Next::Close,
            Some(input) if keep && input.is_empty() => Next::Continue(Input::Empty),
            Some(input) if keep => Next::Continue(Input::Buffered(input)),
            _ => Next::Linger,
        }
    }
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
