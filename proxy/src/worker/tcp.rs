//! A connection of a tcp listener: led to an endpoint, then bytes both ways until both sides are
//! done. Nothing of it is read and no token is asked for.
//!
//! ```text
//! accepted --------> connecting -------> tunnel --> closed, idle, failed (reset on), cut
//!    \ too many         \ no endpoint
//!     --> refused        --> refused (reset)
//! ```

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::futures::Notified;

use super::connection::ConnectionState;
use super::core::{Core, Live};
use super::handshake::{NoSession, handshake};
use super::parking::Since;
use super::proxied::{self, Beginning};
use super::reason::{Gate, Reason};
use crate::relay::{Tunnel, TunnelEnd, tunnel};
use crate::snapshot::TcpService;
use crate::snapshot::ids::ListenerId;
use crate::telemetry::access_log::{AccessEntry, Subject};
use crate::telemetry::labels::TcpEnd;
use crate::upstream::{EndpointState, Lease};
use crate::uring::{Buffer, Stream};

/// Serves a connection to its end.
pub(super) async fn serve(
    core: &Rc<Core>,
    live: &Rc<Live>,
    listener: ListenerId,
    service: TcpService,
    client: &ConnectionState,
) {
    let on = &live.snapshot.listeners[listener.index()];
    let beginning = match &on.proxy_protocol {
        Some(rule) => Some(Box::pin(proxied::beginning(core, live, client, on, rule)).await),
        None => None,
    };
    let connection = TcpConnection::new(core, live, listener, service, client.peer());
    let version = live.snapshot.upstream(service.upstream).proxy_protocol;
    let header = version.map(|one| proxied::header_for(one, client.peer(), client, on));
    let first = match beginning {
        None => None,
        Some(Beginning::Bytes(first)) => Some(first),
        Some(Beginning::Ended) => return,
        Some(Beginning::Refused(gate)) => {
            return connection.finish(TcpEnd::Refused, Some(gate), None, client);
        }
    };
    let first = match &on.tls {
        None => first,
        Some(tls) => match Box::pin(handshake(core, live, client, (listener, tls), first)).await {
            Ok(()) => None,
            Err(NoSession::Ended) => return,
            Err(NoSession::Refused(gate)) => {
                return connection.finish(TcpEnd::Refused, Some(gate), None, client);
            }
        },
    };
    Box::pin(connection.serve(client, header, first)).await;
}

/// A connection of a tcp listener. It keeps what it began with, whatever a reload says.
pub(super) struct TcpConnection {
    core: Rc<Core>,
    live: Rc<Live>,
    listener: ListenerId,
    service: TcpService,
    client: SocketAddr,
    since: Since,
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl TcpConnection {
    /// One that is accepted now.
    pub(super) fn new(
        core: &Rc<Core>,
        live: &Rc<Live>,
        listener: ListenerId,
        service: TcpService,
        client: SocketAddr,
    ) -> Self {
        Self {
            core: Rc::clone(core),
            live: Rc::clone(live),
            listener,
            service,
            client,
            since: Since::now(),
            received: Cell::new(0),
            sent: Cell::new(0),
        }
    }

    /// Counts and logs one over the limit, which is to be closed.
    pub(super) fn turn_away(self, gate: Gate, client: &ConnectionState) {
        self.finish(TcpEnd::Refused, Some(gate), None, client);
    }

    /// From the connection to an endpoint to the end of both. `header` is what the endpoint gets first,
    /// `first` has come from the client already.
    async fn serve(self, client: &ConnectionState, header: Option<Vec<u8>>, first: Option<Buffer>) {
        // Before the first wait: it tells only those that ask already.
        let drain_over = self.core.drain_over.notified();
        let upstream = self.live.upstreams.get(self.service.upstream);
        let connecting = self.core.connecting(&self.live, header.as_deref());
        let lease = match upstream.admit() {
            Ok(()) => upstream.lease_fresh(connecting).await,
            Err(full) => Err(full),
        };
        match lease {
            Ok(lease) => {
                lease.endpoint().succeeded();
                let end = self.lead(&client.stream, first, &lease, drain_over).await;
                self.finish(end, None, Some(lease.endpoint()), client);
            }
            Err(error) => {
                client.stream.abort();
                self.finish(TcpEnd::Refused, Some(Gate::from(error)), None, client);
            }
        }
    }

    async fn lead(
        &self,
        client: &Stream,
        first: Option<Buffer>,
        lease: &Lease,
        drain_over: Notified<'_>,
    ) -> TcpEnd {
        if let Some(first) = first.filter(|first| !first.is_empty()) {
            let (bytes, limit) = (first.len(), self.live.snapshot.timeouts.tunnel_idle);
            let (sent, _) = lease.stream().send_all(first, limit).await;
            if sent.is_err() {
                client.abort();
                lease.stream().abort();
                return TcpEnd::Failed;
            }
            self.received.set(bytes as u64);
        }
        let whole = Tunnel {
            client,
            upstream: lease.stream(),
            ways: self.core.ways(&self.live),
            idle: self.live.snapshot.timeouts.tunnel_idle,
            to_client: &self.sent,
            to_upstream: &self.received,
            web_socket: None,
        };
        let cut = async {
            drain_over.await;
            "the gateway ends"
        };
        match tunnel(whole, cut).await {
            TunnelEnd::Closed => TcpEnd::Closed,
            TunnelEnd::Idle => TcpEnd::Idle,
            TunnelEnd::Cut => TcpEnd::Cut,
            TunnelEnd::Failed => {
                // Neither side is to take what it has for the whole.
                client.abort();
                lease.stream().abort();
                TcpEnd::Failed
            }
        }
    }

    /// Counts the connection and writes its line.
    fn finish(
        &self,
        end: TcpEnd,
        refused: Option<Gate>,
        endpoint: Option<&Rc<EndpointState>>,
        client: &ConnectionState,
    ) {
        let (core, snapshot) = (&self.core, &self.live.snapshot);
        let cells = &self.service.counters;
        core.count(cells.ended(end));
        core.counters.add(cells.received, self.received.get());
        core.counters.add(cells.sent, self.sent.get());
        let reason = refused.map(Reason::Gate);
        if let Some(reason) = reason {
            core.count(core.cells.refusal(reason));
        }
        let mut log = core.access_log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        log.record(&AccessEntry {
            time: self.since.time,
            duration: self.since.started.elapsed(),
            peer: self.client,
            told_client: None,
            listener: &snapshot.listeners[self.listener.index()].name,
            tls: client.tls_entry(),
            subject: Subject::Connection(end),
            reason: reason.map(Reason::code),
            upstream: Some(&snapshot.upstream(self.service.upstream).name),
            endpoint: endpoint.map(|endpoint| endpoint.label()),
            received_bytes: self.received.get(),
            sent_bytes: self.sent.get(),
        });
    }
}
