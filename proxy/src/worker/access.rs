//! What is known of one request at its end: its counters and its access log line.
//!
//! The strings of the request are copied only where an access log is written, into a string that
//! is used again for later requests.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use super::connection::ConnectionState;
use super::core::{Core, Live};
use super::parking::Since;
use super::reason::Reason;
use super::reply::Written;
use super::request_id::RequestId;
use crate::auth::{Refusal, VerifiedToken};
use crate::http1::RequestHead;
use crate::snapshot::ids::{ListenerId, ProviderId, RouteId, UpstreamId};
use crate::telemetry::access_log::{AccessEntry, RequestEntry, Subject};
use crate::upstream::EndpointState;

/// Strings kept for later requests.
const DRAFTS_KEPT: usize = 256;

/// Strings for the text of requests, used again and again.
#[derive(Debug)]
pub(super) struct Drafts {
    enabled: bool,
    free: RefCell<Vec<String>>,
}

impl Drafts {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, free: RefCell::default() }
    }

    fn draft(&self, head: &RequestHead<'_, '_>) -> Option<Draft> {
        if !self.enabled {
            return None;
        }
        let mut text = self.free.borrow_mut().pop().unwrap_or_default();
        text.push_str(head.method);
        let method_end = text.len();
        text.push_str(head.host);
        let host_end = text.len();
        text.push_str(head.target.path());
        Some(Draft { text, method_end, host_end })
    }

    fn put(&self, mut draft: Draft) {
        let mut free = self.free.borrow_mut();
        if free.len() < DRAFTS_KEPT {
            draft.text.clear();
            free.push(draft.text);
        }
    }
}

/// Method, host and path one after the other.
#[derive(Debug)]
struct Draft {
    text: String,
    method_end: usize,
    host_end: usize,
}

/// What became of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Tolerated,
    Refuse,
}

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Record {
    since: Since,
    /// In the snapshot that the request is judged by.
    listener: ListenerId,
    draft: Option<Draft>,
    pub(super) request_id: Option<RequestId>,
    /// Of whom a trusted proxy told.
    pub(super) told_client: Option<IpAddr>,
    pub(super) route: Option<RouteId>,
    verdict: Option<Verdict>,
    provider: Option<ProviderId>,
    token: Option<Rc<VerifiedToken>>,
    kid: Option<Box<str>>,
    pub(super) upstream: Option<UpstreamId>,
    pub(super) endpoint: Option<Rc<EndpointState>>,
    /// The status sent, 0 while none was.
    pub(super) status: u16,
    pub(super) reason: Option<Reason>,
    /// Body bytes from the client.
    pub(super) received: Cell<u64>,
    /// Body bytes to the client.
    pub(super) sent: Cell<u64>,
}

impl Record {
    /// The record of a request whose head was understood, or not.
    pub(super) fn new(
        core: &Core,
        listener: ListenerId,
        head: Option<&RequestHead<'_, '_>>,
        since: Since,
    ) -> Self {
        Self {
            since,
            listener,
            draft: head.and_then(|head| core.drafts.draft(head)),
            request_id: None,
            told_client: None,
            route: None,
            verdict: None,
            provider: None,
            token: None,
            kid: None,
            upstream: None,
            endpoint: None,
            status: 0,
            reason: None,
            received: Cell::new(0),
            sent: Cell::new(0),
        }
    }

    /// When the head was complete.
    pub(super) fn since(&self) -> Since {
        self.since
    }

    /// An answer of the gateway's own has been written.
    pub(super) fn answered(&mut self, written: Written) {
        self.status = written.status;
        self.sent.set(written.body_bytes as u64);
    }

    pub(super) fn passed(&mut self, token: Rc<VerifiedToken>) {
        self.verdict = Some(Verdict::Pass);
        self.provider = Some(token.provider);
        self.token = Some(token);
    }

    /// The token that lets the request pass.
    pub(super) fn token(&self) -> Option<&Rc<VerifiedToken>> {
        self.token.as_ref()
    }

    pub(super) fn tolerated(&mut self, refusal: Refusal) {
        self.verdict = Some(Verdict::Tolerated);
        self.reason = Some(Reason::Token(refusal.reason));
        self.provider = refusal.provider;
        self.kid = refusal.kid;
    }

    pub(super) fn refused(&mut self, refusal: Refusal) {
        self.verdict = Some(Verdict::Refuse);
        self.provider = refusal.provider;
        self.kid = refusal.kid;
    }

    /// Counts the request and writes its line.
    pub(super) fn finish(self, core: &Core, live: &Live, connection: &ConnectionState) {
        let route = self.route.map(|id| live.snapshot.routes.route(id));
        let cells = route.map_or(&core.cells.no_route, |route| &route.counters);
        let duration = self.since.started.elapsed();
        if self.status != 0 {
            core.count(cells.responses(self.status));
        }
        if let Some(reason) = self.reason {
            core.count(core.cells.refusal(reason));
        }
        core.counters.observe(&cells.duration, duration);
        core.counters.add(cells.received, self.received.get());
        core.counters.add(cells.sent, self.sent.get());

        let mut log = core.access_log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        let draft = self.draft.as_ref();
        let request = RequestEntry {
            method: draft.map_or("", |d| &d.text[..d.method_end]),
            host: draft.map_or("", |d| &d.text[d.method_end..d.host_end]),
            path: draft.map_or("", |d| &d.text[d.host_end..]),
            id: self.request_id.as_ref().map(RequestId::as_str),
            route: route.map(|route| &*route.name),
            status: self.status,
            verdict: self.verdict.map(|verdict| match verdict {
                Verdict::Pass => "pass",
                Verdict::Tolerated => "tolerated",
                Verdict::Refuse => "refuse",
            }),
            provider: self.provider.map(|id| &*live.snapshot.provider(id).name),
            kid: self.token.as_ref().and_then(|t| t.kid.as_deref()).or(self.kid.as_deref()),
        };
        log.record(&AccessEntry {
            time: self.since.time,
            duration,
            peer: connection.peer(),
            told_client: self.told_client,
            listener: &live.snapshot.listeners[self.listener.index()].name,
            tls: connection.tls_entry(),
            subject: Subject::Request(request),
            reason: self.reason.map(Reason::code),
            upstream: self.upstream.map(|id| &*live.snapshot.upstream(id).name),
            endpoint: self.endpoint.as_ref().map(|endpoint| endpoint.label()),
            received_bytes: self.received.get(),
            sent_bytes: self.sent.get(),
        });
        if let Some(draft) = self.draft {
            core.drafts.put(draft);
        }
    }
}
