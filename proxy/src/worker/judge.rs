//! The verdict on one request, in one synchronous pass over its head: parse, route, authorize, and
//! write what goes upstream.
//!
//! Nothing borrowed from the head outlives the pass, so nothing parsed is held over a wait. Every
//! request takes this pass, whatever came before on its connection.

use std::time::Duration;

use super::access::Record;
use super::client::{check_client, client_of};
use super::connection::ConnectionState;
use super::core::{Core, Live, unix_time};
use super::forward;
use super::grpc;
use super::pacing::{Closed, Standing};
use super::parking::{Attempt, Since, Wait};
use super::reason::{Gate, Reason};
use super::reply::{self, Framing};
use super::request_id::RequestId;
use super::routing::{check_head, check_length, find_route, origin, preflight};
use crate::auth::{self, Authorization, Criteria, Presented, Refusal};
use crate::http1::{
    BodyLength, FieldSlots, HeadLimits, Progress, RequestError, RequestHead, ToldClient, Version,
    parse_request,
};
use crate::snapshot::Listener;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::cors::Cors;
use crate::snapshot::ids::{ListenerId, RouteId, UpstreamId};
use crate::snapshot::limits::{Limits, ListenerBounds, RouteBounds, Timeouts};
use crate::snapshot::route_table::{Action, Route};
use crate::uring::Buffer;

/// What the connection goes on with.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The head is not whole yet.
    Incomplete,
    /// Answer here.
    Answer(Answer),
    /// Ask the upstream.
    Forward(Forward),
    /// Wait for a key, then judge again.
    Park(Wait),
    /// Wait for a turn to have its token verified, then judge again.
    Queue(Since),
}

impl Verdict {
    /// Whether the request is refused or tolerated for want of a key.
    pub(super) fn lacks_key(&self) -> bool {
        let reason = match self {
            Self::Answer(answer) => answer.record.reason,
            Self::Forward(forward) => forward.record.reason,
            Self::Incomplete | Self::Park(_) | Self::Queue(_) => None,
        };
        reason == Some(Reason::Token(auth::Reason::UnknownKey))
    }
}

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
    /// Of the page that asks, where the route has rules for that.
    pub(super) origin: Option<Box<str>>,
}

/// To which protocol the client asks to switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    WebSocket,
    Other,
}

impl Upgrade {
    /// Only where it names nothing else: then that is what a 101 switches to.
    fn to(protocols: &[u8]) -> Self {
        if protocols.eq_ignore_ascii_case(b"websocket") { Self::WebSocket } else { Self::Other }
    }

    /// Whether that is what the upstream switches to (RFC 9110 section 7.8: to nothing else).
    pub(super) fn is_met_by(self, protocol: Option<&[u8]>) -> bool {
        protocol.map(Self::to) == Some(self)
    }
}

/// An answer of the gateway's own, written and ready to send.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) out: Buffer,
    pub(super) record: Record,
    /// None where the head was not understood: nothing behind it can be either.
    pub(super) facts: Option<Facts>,
    /// A body that did not fit `out`: of this route.
    pub(super) rest: Option<(RouteId, usize)>,
}

impl Answer {
    /// How long it may take without progress.
    pub(super) fn body_progress(&self, live: &Live) -> Duration {
        let everywhere = live.snapshot.timeouts.body_progress;
        self.facts.as_ref().map_or(everywhere, |facts| facts.bounds.body_progress)
    }
}

/// A request that goes upstream, its head written and ready to send.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) out: Buffer,
    pub(super) record: Record,
    pub(super) facts: Facts,
    pub(super) upstream: UpstreamId,
}

/// Judges the request that begins at the front of `bytes`.
pub(super) fn judge(
    core: &Core,
    live: &Live,
    connection: &ConnectionState,
    listener: ListenerId,
    bytes: &[u8],
    attempt: Attempt<'_>,
) -> Verdict {
    let listener = (listener, &live.snapshot.listeners[listener.index()]);
    let mut slots = FieldSlots::new();
    let parsed = parse_head(live, &listener.1.bounds, bytes, &mut slots);
    let case = match parsed {
        Ok(Progress::Partial) => return Verdict::Incomplete,
        Ok(Progress::Complete(head)) => Case::new(core, live, connection, listener, head, attempt),
        Err(error) => {
            core.count(listener.1.counters.requests);
            let reason = Reason::Request(error);
            return Verdict::Answer(refuse_unparsed(core, live, listener.0, bytes, reason));
        }
    };
    let verdict = case.judge();
    if !matches!(verdict, Verdict::Park(_) | Verdict::Queue(_)) {
        core.count(listener.1.counters.requests);
    }
    verdict
}

/// Whether a head is to be refused whatever is still to come of it.
pub(super) fn is_refused(live: &Live, bounds: &ListenerBounds, part: &[u8]) -> bool {
    let mut slots = FieldSlots::new();
    parse_head(live, bounds, part, &mut slots).is_err()
}

fn parse_head<'h, 'b>(
    live: &Live,
    bounds: &ListenerBounds,
    bytes: &'b [u8],
    slots: &'h mut FieldSlots<'b>,
) -> Result<Progress<RequestHead<'h, 'b>>, RequestError> {
    parse_request(bytes, slots, request_limits(bounds), live.snapshot.path_normalization)
}

/// The answer where no head was understood of what came: the connection cannot go on.
pub(super) fn refuse_unparsed(
    core: &Core,
    live: &Live,
    listener: ListenerId,
    part: &[u8],
    reason: Reason,
) -> Answer {
    let mut record = Record::new(core, listener, None, Since::now());
    let mut out = live.heads.take();
    // Who says HEAD takes no byte for a body, whatever is wrong with the rest.
    let head_only = part.trim_ascii_start().starts_with(b"HEAD ");
    let framing = Framing { head_only, ..Framing::last(live, listener, record.since().time) };
    record.answered(reply::refuse(&mut out, reason, None, framing));
    record.reason = Some(reason);
    Answer { out, record, facts: None, rest: None }
}

/// What bounds the heads of a listener's requests.
#[must_use]
pub fn request_limits(bounds: &ListenerBounds) -> HeadLimits {
    HeadLimits {
        head_bytes: bounds.head_bytes,
        head_fields: bounds.head_fields,
        target_bytes: bounds.target_bytes,
    }
}

/// What bounds the heads of responses, and trailers.
pub(super) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        head_bytes: limits.head_bytes,
        head_fields: limits.head_fields,
        target_bytes: limits.target_bytes,
    }
}

/// What bounds a request without a route.
fn unrouted(timeouts: &Timeouts) -> RouteBounds {
    RouteBounds {
        request_body_bytes: 0,
        response: timeouts.response,
        body_progress: timeouts.body_progress,
        body_rate: None,
    }
}

/// A request whose head is understood, on its way to a verdict.
struct Case<'a, 'h, 'b> {
    core: &'a Core,
    live: &'a Live,
    connection: &'a ConnectionState,
    listener: (ListenerId, &'a Listener),
    head: RequestHead<'h, 'b>,
    client: ToldClient,
    facts: Facts,
    record: Record,
    attempt: Attempt<'a>,
}

impl<'a, 'h, 'b> Case<'a, 'h, 'b> {
    fn new(
        core: &'a Core,
        live: &'a Live,
        connection: &'a ConnectionState,
        listener: (ListenerId, &'a Listener),
        head: RequestHead<'h, 'b>,
        attempt: Attempt<'a>,
    ) -> Self {
        let may_stay = !connection.is_finishing(core)
            && connection.served.get() + 1 < listener.1.bounds.requests_per_connection;
        let facts = Facts {
            listener: listener.0,
            head_bytes: head.head_bytes,
            body: head.body,
            bounds: unrouted(&live.snapshot.timeouts),
            version: head.version,
            client_stays: head.keep_alive,
            keep_alive: head.keep_alive && may_stay,
            is_head: head.method == "HEAD",
            idempotent: head.is_idempotent(),
            expect_continue: head.expect_continue,
            upgrade: head.upgrade.map(Upgrade::to),
            grpc: grpc::media_type(head.fields),
            private: false,
            route: None,
            request_id: live.snapshot.identity.request_id.as_ref().map(|rule| {
                RequestId::of(rule, head.fields, &core.request_ids, attempt.since.time)
            }),
            origin: None,
        };
        let client = client_of(&live.snapshot, connection.peer().ip(), &head);
        let mut record = Record::new(core, listener.0, Some(&head), attempt.since);
        record.request_id = facts.request_id;
        record.told_client = client.is_told().then_some(client.address);
        Self { core, live, connection, listener, head, client, facts, record, attempt }
    }

    fn judge(mut self) -> Verdict {
        let live = self.live;
        let client = check_client(self.core, live, &self.client);
        if let Some(gate) = client.or_else(|| check_head(&self.head)) {
            return self.refuse(Reason::Gate(gate));
        }
        let Some(route_id) = find_route(&live.snapshot, self.listener.0, &self.head) else {
            return self.refuse(Reason::Gate(Gate::NoRoute));
        };
        self.record.route = Some(route_id);
        self.facts.route = Some(route_id);
        let route = live.snapshot.routes.route(route_id);
        if !route.clients.admits(self.client.address) {
            return self.refuse(Reason::Gate(Gate::RouteClient));
        }
        if route.needs_certificate && self.connection.certificate().is_none() {
            return self.refuse(Reason::Gate(Gate::NoClientCertificate));
        }
        if let Some(cors) = &route.cors {
            self.facts.origin = origin(&self.head).map(Box::from);
            match preflight(cors, &self.head) {
                Some(Ok(())) => return self.answer_preflight(cors),
                Some(Err(gate)) => return self.refuse(Reason::Gate(gate)),
                None => {}
            }
        }
        if let Some(gate) = check_length(&self.head, route) {
            return self.refuse(Reason::Gate(gate));
        }
        self.facts.bounds = route.bounds;
        let Ok(authorization) = self.authorize(route) else {
            return Verdict::Queue(self.attempt.since);
        };
        let authorization = spare_preflight(authorization, route.auth.as_ref(), &self.head);
        if let Authorization::Refused(refusal) | Authorization::Tolerated(refusal, _) =
            &authorization
            && self.attempt.may_park
            && let Some(wait) =
                self.core.parking.admit(&live.snapshot, refusal, self.record.since())
        {
            return Verdict::Park(wait);
        }
        if let Authorization::Refused(refusal) = authorization {
            return self.refuse_token(refusal, route_id);
        }
        self.facts.private = authorization.is_private(route.auth.as_ref());
        match &route.action {
            Action::Respond(response) => {
                self.note(authorization);
                let mut out = live.heads.take();
                self.spare_body();
                let private = self.facts.private;
                if reply::respond(&mut out, response, private, self.framing()).is_err() {
                    return self.refuse(Reason::Gate(Gate::ForwardedHeadTooLarge));
                }
                self.record.status = response.status;
                let bodiless = self.facts.is_head || matches!(response.status, 204 | 304);
                let body: &[u8] = if bodiless { &[] } else { &response.body };
                let fitting = body.len().min(out.spare_mut().len());
                let fits = out.append(&body[..fitting]);
                debug_assert!(fits, "cut to what fits");
                self.record.sent.set(fitting as u64);
                let rest = (fitting < body.len()).then_some((route_id, fitting));
                Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest })
            }
            Action::Proxy(upstream) => self.forward(*upstream, authorization, route),
        }
    }

    /// Whether the token rules of the route let the request pass; not known yet where that takes a
    /// turn of its own.
    fn authorize(&self, route: &Route) -> Result<Authorization, Closed> {
        let Some(policy) = &route.auth else { return Ok(Authorization::Anonymous) };
        let snapshot = &self.live.snapshot;
        auth::authorize(
            Presented { fields: self.head.fields, query: self.head.target.query() },
            &Criteria {
                policy,
                providers: &snapshot.providers,
                deny_list: &snapshot.deny_list,
                generation: snapshot.verdicts,
                now: unix_time(self.record.since().time),
            },
            &mut self.core.tokens.borrow_mut(),
            || self.core.pacing.begin(self.attempt.turn),
        )
    }

    fn forward(
        mut self,
        upstream: UpstreamId,
        authorization: Authorization,
        route: &Route,
    ) -> Verdict {
        let mut out = self.live.heads.take();
        let outgoing = forward::Outgoing {
            head: &self.head,
            listener: self.listener.1,
            snapshot: &self.live.snapshot,
            upstream,
            authorization: &authorization,
            policy: route.auth.as_ref(),
            client: self.client,
            peer: self.connection.peer().ip(),
            certificate: self.connection.certificate(),
            scheme: self.connection.scheme(),
            edits: &route.request_fields,
            request_id: self.facts.request_id,
        };
        let Ok(length) = outgoing.write(out.spare_mut()) else {
            self.note(authorization);
            return self.refuse(Reason::Gate(Gate::ForwardedHeadTooLarge));
        };
        out.commit(length);
        self.note(authorization);
        self.record.upstream = Some(upstream);
        Verdict::Forward(Forward { out, record: self.record, facts: self.facts, upstream })
    }

    /// Counts and records a verdict that lets the request pass.
    fn note(&mut self, authorization: Authorization) {
        match authorization {
            Authorization::Anonymous => {}
            Authorization::Verified(token, _) => {
                self.core.count(self.core.cells.tokens_good);
                self.connection.standing.set(Standing::Clean);
                self.record.passed(token);
            }
            Authorization::Tolerated(refusal, _) => {
                self.core.count(self.core.cells.tokens_tolerated);
                self.blame(&refusal);
                self.record.tolerated(refusal);
            }
            Authorization::Refused(refusal) => self.record.refused(refusal),
        }
    }

    /// Counts what a bad token says, and remembers on the connection that there was one.
    fn blame(&self, refusal: &Refusal) {
        if refusal.reason == auth::Reason::Signature
            && let Some(route) = self.record.route
        {
            let (live, client) = (self.live, self.client.address);
            let route = &live.snapshot.routes.route(route).name;
            self.core.note_offence(live, client, self.listener.1, route);
        }
        if refusal.reason.class() == auth::Class::InvalidToken {
            self.connection.standing.set(Standing::Suspect);
        }
        if let (auth::Reason::UnknownKey, Some(id)) = (refusal.reason, refusal.provider) {
            self.core.count(self.live.snapshot.provider_counters[id.index()].unknown_kids);
        }
    }

    fn refuse_token(mut self, refusal: Refusal, route: RouteId) -> Verdict {
        self.core.count(self.core.cells.tokens_refused);
        self.blame(&refusal);
        let reason = Reason::Token(refusal.reason);
        let mut out = self.live.heads.take();
        self.spare_body();
        let policy = self.live.snapshot.routes.route(route).auth.as_ref();
        let origin =
            self.head.fields.iter().find(|field| field.name.eq_ignore_ascii_case("origin"));
        let challenge = policy.map(|policy| (&refusal, policy, origin.map(|field| field.value)));
        let written = reply::refuse(&mut out, reason, challenge, self.framing());
        self.record.answered(written);
        self.record.refused(refusal);
        self.answer(out, reason)
    }

    fn refuse(mut self, reason: Reason) -> Verdict {
        let mut out = self.live.heads.take();
        self.spare_body();
        let framing = self.framing();
        let written = reply::refuse(&mut out, reason, None, framing);
        self.record.answered(written);
        self.answer(out, reason)
    }

    /// Tells a browser what a page may ask for.
    fn answer_preflight(mut self, cors: &Cors) -> Verdict {
        let mut out = self.live.heads.take();
        self.spare_body();
        if reply::preflight(&mut out, cors, self.framing()).is_err() {
            return self.refuse(Reason::Gate(Gate::ForwardedHeadTooLarge));
        }
        self.record.status = 204;
        Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest: None })
    }

    fn answer(mut self, out: Buffer, reason: Reason) -> Verdict {
        self.record.reason = Some(reason);
        Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest: None })
    }

    /// The connection goes on behind an answer of ours only if the body, which nobody wants, is small
    /// enough to be read and thrown away.
    fn spare_body(&mut self) {
        self.facts.keep_alive &= self.facts.can_discard_body();
    }

    /// How an answer of ours ends.
    fn framing(&self) -> Framing<'_> {
        Framing::of(self.live, &self.facts, self.record.since().time, self.facts.keep_alive)
    }
}

/// Lets a CORS preflight pass where the route says so: a browser sends it without credentials
/// (Fetch standard, section 4.8), so nothing but a missing token is forgiven.
#[must_use]
pub fn spare_preflight(
    found: Authorization,
    policy: Option<&AuthPolicy>,
    head: &RequestHead<'_, '_>,
) -> Authorization {
    match &found {
        Authorization::Refused(refusal)
            if refusal.reason == auth::Reason::Missing
                && policy.is_some_and(|policy| policy.bypass_preflight)
                && head.is_cors_preflight() =>
        {
            Authorization::Anonymous
        }
        _ => found,
    }
}

/// A body up to this long is read and thrown away to keep the connection of a refused request.
const DISCARDED_BODY_MAX: u64 = 64 * 1024;

impl Facts {
    fn can_discard_body(&self) -> bool {
        match self.body {
            BodyLength::None => true,
            // A client that waits for 100 may send the body or not: there is no telling where its
            // next request begins.
            BodyLength::Length(bytes) => bytes <= DISCARDED_BODY_MAX && !self.expect_continue,
            BodyLength::Chunked | BodyLength::UntilClose => false,
        }
    }
}
