//! The head of a response: received, with the interim ones before it, and written for the client.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::bounds::head_limits;
use super::exchange::{Begun, Exchange, Failure};
use super::facts::Upgrade;
use super::reason::{Gate, Reason};
use super::respond::{self, Plan};
use crate::http1::{FieldSlots, Progress, ResponseError, ResponseHead, Version, parse_response};
use crate::uring::{Buffer, Recv, Stream, TAIL_ROOM};

/// Interim responses passed on for one request. More is an upstream gone wrong.
const INTERIM_MAX: u32 = 8;

/// How long a response may take before the client is watched as well.
const CLIENT_UNWATCHED: Duration = Duration::from_secs(1);

/// Whether TLS has failed: a server may say only after the handshake that it does not take a
/// certificate.
fn has_failed(upstream: &Stream) -> bool {
    upstream.session().is_some_and(|session| session.failure().is_some())
}

/// What one response head amounts to.
enum Response {
    Partial,
    Interim,
    Final(Plan),
}

impl Exchange<'_> {
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
        let mut until = None;
        loop {
            let (result, mut buffer) =
                self.received(upstream, receiving, upload_done, &mut until).await?;
            match result {
                Ok(received) if received > 0 => {}
                Err(_) if upstream.expired() => return Err(Failure::gate(Gate::UpstreamTimeout)),
                Err(_) if has_failed(upstream) => return Err(Failure::gate(Gate::UpstreamTls)),
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
            if buffer.receivable() == 0 {
                // Of a pool from before a reload that allowed longer heads.
                let mut larger = self.live.heads.take();
                let fits = larger.append(buffer.filled());
                debug_assert!(fits, "what is not larger has been refused");
                buffer = larger;
            }
            receiving = upstream.recv(buffer);
        }
    }

    /// Awaits the next bytes of a response. Of a whole request that takes its time, the client is
    /// watched too: not from the start, because most answers come sooner than that is worth.
    async fn received(
        &self,
        upstream: &Stream,
        mut receiving: Recv,
        upload_done: &Cell<bool>,
        until: &mut Option<Instant>,
    ) -> Result<(io::Result<usize>, Buffer), Failure> {
        while !upload_done.get() {
            // The upload has its own deadlines, on both connections.
            match receiving.await {
                (Err(error), buffer) if upstream.is_bystander(&error) => {
                    receiving = upstream.recv(buffer);
                }
                ended => return Ok(ended),
            }
        }
        // Set once: an upstream that always has one more byte of head is late as well.
        let limit = self.facts.bounds.response;
        let now = Instant::now();
        let limit = until.get_or_insert(now + limit).saturating_duration_since(now);
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
        let mut hung_up = pin!(client.hung_up());
        let mut ended = None;
        let received = poll_fn(|context| {
            if ended.is_none()
                && let Poll::Ready(result) = hung_up.as_mut().poll(context)
            {
                // A client that only sends no more still waits for its response.
                let gone = result.unwrap_or(false);
                ended = Some(gone);
                if gone {
                    upstream.cancel();
                }
            }
            Pin::new(&mut receiving).poll(context)
        })
        .await;
        match ended {
            Some(true) => return Err(Failure::gate(Gate::ClientLost)),
            Some(false) => {}
            None => {
                client.cancel();
                // Cancelled, or reset just now: the send will find out.
                let _ = hung_up.await;
            }
        }
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
        let method = match self.facts.upgrade {
            Some(Upgrade::Connect) => "CONNECT",
            _ if self.facts.is_head => "HEAD",
            Some(Upgrade::WebSocket | Upgrade::Other) | None => "GET",
        };
        let broken = |error| Failure::new(Reason::Response(error));
        let head = match parse_response(buffer.filled(), &mut slots, limits, method) {
            Ok(Progress::Complete(head)) => head,
            Ok(Progress::Partial) if buffer.len() + TAIL_ROOM >= self.live.heads.buffer_bytes() => {
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
        let too_large = |_| Failure::new(Reason::Response(ResponseError::HeadTooLong));
        let is_met = || self.facts.upgrade.is_some_and(|asked| asked.is_met_by(head.upgrade));
        if head.status == 101 && !is_met() {
            return Err(Failure::gate(Gate::UpstreamSwitched));
        }
        if self.facts.opens_tunnel(head.status) {
            return respond::write_switch(out, head, &self.live.snapshot, &self.facts)
                .map(Response::Final)
                .map_err(too_large);
        }
        if head.is_interim() {
            if self.facts.version == Version::Http11 && head.status != 100 {
                respond::write_interim(out, head).map_err(too_large)?;
            }
            return Ok(Response::Interim);
        }
        // A drain that began meanwhile is announced, too.
        let finishing = self.connection.is_finishing(self.core);
        let keep = self.facts.keep_alive && upload_done && !finishing;
        respond::write_final(out, head, &self.live.snapshot, &self.facts, keep)
            .map(Response::Final)
            .map_err(too_large)
    }

    /// Sends an interim response, if there is anything to send; gives the buffer back.
    async fn pass_interim(&self, out: Buffer) -> Result<Buffer, Failure> {
        if out.is_empty() {
            return Ok(out);
        }
        let limit = self.facts.bounds.body_progress;
        let (sent, out) = self.connection.stream.send_all(out, limit).await;
        match sent {
            Ok(()) => Ok(out),
            Err(_) => Err(Failure::gate(Gate::ClientLost)),
        }
    }
}
