//! Streams that outlive their request's head: tunnels after a 101 or a CONNECT, and what ends them with their
//! token.

use std::cell::Cell;
use std::future::pending;

use super::access::Record;
use super::exchange::{Begun, Exchange, Next};
use super::facts::Upgrade;
use super::leash::Held;
use super::reason::Reason;
use super::transfer::send;
use crate::relay::{Tunnel, TunnelEnd, Ways, WebSocket, tunnel};
use crate::snapshot::claims_policy::EndWithToken;
use crate::upstream::Lease;
use crate::uring::{Buffer, Stream};

impl Exchange<'_> {
    /// A request to switch protocols: a tunnel if the upstream agrees, a response if not.
    pub(super) async fn run_upgrade(
        &self,
        input: Buffer,
        out: Buffer,
        record: &mut Record,
        mut lease: Lease,
    ) -> Next {
        lease.count_request();
        let receiving = lease.receive(|| self.live.heads.take());
        let limit = self.facts.bounds.response;
        // A failed send shows in the receive.
        let (_, spare) = lease.stream().send_all(out, limit).await;
        let begun = self.response_head(lease.stream(), receiving, spare, &Cell::new(true)).await;
        match begun {
            Err(failure) => self.fail(record, Some(lease), failure, Some(input)).await,
            Ok(begun) if !self.facts.opens_tunnel(begun.plan.status) => {
                self.deliver(input, begun, record, lease).await
            }
            Ok(begun) => {
                lease.endpoint().succeeded();
                let Begun { out, rest, plan } = begun;
                record.status = plan.status;
                let (client, upstream) = (&self.connection.stream, lease.stream());
                let mut web_socket = self.is_web_socket().then(WebSocket::default);
                if let Some(frames) = &mut web_socket {
                    frames.to_client.advance(rest.filled());
                    frames.to_upstream.advance(input.filled());
                }
                let opened = async {
                    record.sent.set(rest.len() as u64);
                    record.received.set(input.len() as u64);
                    send(client, out, limit).await?;
                    send(client, rest, limit).await?;
                    send(upstream, input, limit).await
                };
                if opened.await.is_ok() {
                    self.run_tunnel(upstream, web_socket, record).await;
                }
                Next::Close
            }
        }
    }

    /// Until it ends by itself or with its token.
    async fn run_tunnel(
        &self,
        upstream: &Stream,
        web_socket: Option<WebSocket>,
        record: &mut Record,
    ) {
        let leash = self.leash(record, EndWithToken::Tunnels);
        let mut ways = self.core.ways(self.live);
        if self.connection.stream.is_secure() || upstream.is_secure() {
            ways = Ways::copy(ways.pools);
        }
        // Without a leash nothing cuts it, and its frames are of no interest. Whoever wants splicing
        // does without a last frame.
        let web_socket = web_socket.filter(|_| leash.is_some() && ways.splicer.is_none());
        let whole = Tunnel {
            client: &self.connection.stream,
            upstream,
            ways,
            idle: self.live.snapshot.timeouts.tunnel_idle,
            to_client: &record.sent,
            to_upstream: &record.received,
            web_socket,
        };
        let cut = async {
            match &leash {
                Some(leash) => leash.pulled().await.phrase(),
                None => pending().await,
            }
        };
        if tunnel(whole, cut).await == TunnelEnd::Cut {
            let cause = leash.and_then(|leash| leash.cause());
            record.reason = cause.map(|cause| Reason::Gate(cause.gate()));
        }
    }

    fn is_web_socket(&self) -> bool {
        self.facts.upgrade == Some(Upgrade::WebSocket)
    }

    /// The leash of a stream that is begun now, where the route's rules want streams of this kind to
    /// end with their token.
    pub(super) fn leash(&self, record: &Record, kind: EndWithToken) -> Option<Held> {
        let snapshot = &self.live.snapshot;
        let policy = snapshot.routes.route(record.route?).auth.as_ref()?;
        let token = record.token().filter(|_| policy.end_with_token >= kind)?;
        Some(Held::new(self.core, token, &snapshot.provider(token.provider).name))
    }
}
