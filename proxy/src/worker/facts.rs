//! What is kept of a request's head for as long as it is served.

use super::bounds::unrouted;
use super::grpc;
use super::request_id::RequestId;
use crate::http1::{BodyLength, RequestHead, Version};
use crate::snapshot::Snapshot;
use crate::snapshot::ids::{ListenerId, RouteId};
use crate::snapshot::limits::RouteBounds;
use crate::snapshot::redirect::Scheme;

/// What outlives the head of a request.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// In the snapshot that the request is judged by.
    pub(super) listener: ListenerId,
    /// Bytes of the head; the body follows them.
    pub(super) head_bytes: usize,
    pub(super) body: BodyLength,
    /// Of the route; of none where there is none yet.
    pub(super) bounds: RouteBounds,
    pub(super) version: Version,
    /// Whether the client wants the connection kept.
    pub(super) client_stays: bool,
    /// Whether it may have it kept as well.
    pub(super) keep_alive: bool,
    pub(super) is_head: bool,
    pub(super) idempotent: bool,
    pub(super) expect_continue: bool,
    /// The client asks to switch protocols.
    pub(super) upgrade: Option<Upgrade>,
    /// The media type for answers to a gRPC call.
    pub(super) grpc: Option<&'static str>,
    /// The response is for this client alone: its target holds a token.
    pub(super) private: bool,
    /// Once it has been found.
    pub(super) route: Option<RouteId>,
    pub(super) request_id: Option<RequestId>,
    /// How the client has come, where anything depends on that.
    pub(super) scheme: Scheme,
    /// Of the page that asks, where the route has rules for that.
    pub(super) origin: Option<Box<str>>,
}

/// To what the client asks to switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// To whatever is spoken at the target of a CONNECT.
    Connect,
    WebSocket,
    Other,
}

impl Upgrade {
    /// Only where it names nothing else: then that is what a 101 switches to.
    fn to(protocols: &[u8]) -> Self {
        if protocols.eq_ignore_ascii_case(b"websocket") { Self::WebSocket } else { Self::Other }
    }

    /// Whether that is what the upstream switches to with a 101 (RFC 9110 section 7.8: to nothing
    /// else).
    pub(super) fn is_met_by(self, protocol: Option<&[u8]>) -> bool {
        protocol.map(Self::to) == Some(self)
    }

    /// Whether no HTTP follows a response with this status.
    fn is_granted_by(self, status: u16) -> bool {
        match self {
            // RFC 9110 section 9.3.6.
            Self::Connect => matches!(status, 200..=299),
            Self::WebSocket | Self::Other => status == 101,
        }
    }
}

/// A body up to this long is read and thrown away to keep the connection of a refused request.
const DISCARDED_BODY_MAX: u64 = 64 * 1024;

impl Facts {
    /// Of a request for which no route is known yet.
    pub(super) fn new(
        snapshot: &Snapshot,
        listener: ListenerId,
        head: &RequestHead<'_, '_>,
        may_stay: bool,
        request_id: Option<RequestId>,
    ) -> Self {
        let is_connect = head.method == "CONNECT";
        Self {
            listener,
            head_bytes: head.head_bytes,
            body: head.body,
            bounds: unrouted(&snapshot.timeouts),
            version: head.version,
            client_stays: head.keep_alive,
            // What follows a CONNECT that failed may have been meant for the tunnel.
            keep_alive: head.keep_alive && may_stay && !is_connect,
            is_head: head.method == "HEAD",
            idempotent: head.is_idempotent(),
            expect_continue: head.expect_continue,
            upgrade: if is_connect {
                Some(Upgrade::Connect)
            } else {
                head.upgrade.map(Upgrade::to)
            },
            grpc: grpc::media_type(head.fields),
            private: false,
            route: None,
            request_id,
            scheme: Scheme::Http,
            origin: None,
        }
    }

    /// Whether a response with this status opens a tunnel.
    pub(super) fn opens_tunnel(&self, status: u16) -> bool {
        self.upgrade.is_some_and(|upgrade| upgrade.is_granted_by(status))
    }

    /// Whether the body, which nobody wants, is small enough to be read and thrown away.
    pub(super) fn can_discard_body(&self) -> bool {
        match self.body {
            BodyLength::None => true,
            // A client that waits for 100 may send the body or not: there is no telling where its
            // next request begins.
            BodyLength::Length(bytes) => bytes <= DISCARDED_BODY_MAX && !self.expect_continue,
            BodyLength::Chunked | BodyLength::UntilClose => false,
        }
    }
}
