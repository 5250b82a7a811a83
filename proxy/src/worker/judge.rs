//! The verdict on one request, in one synchronous pass over its head: parse, route, authorize, and
//! write what goes upstream.
//!
//! Nothing borrowed from the head outlives the pass, so nothing parsed is held over a wait. Every
//! request takes this pass, whatever came before on its connection.

mod answers;

use std::net::SocketAddr;
use std::time::Duration;

use super::access::Record;
use super::bounds::request_limits;
use super::client::{check_client, client_of, scheme_of};
use super::connection::ConnectionState;
use super::core::{Core, Live, unix_time};
use super::facts::Facts;
use super::forward;
use super::pacing::{Closed, Standing};
use super::parking::{Attempt, Since, Wait};
use super::proxied::header_for;
use super::reason::{Gate, Reason};
use super::redirecting::location;
use super::reply::{self, Content, Framing};
use super::request_id::RequestId;
use super::routing::{
    check_certificate, check_head, check_request, find_route, no_route, origin, preflight,
};
use crate::auth::{self, Authorization, Criteria, Presented, Refusal};
use crate::http1::{FieldSlots, Progress, RequestError, RequestHead, ToldClient, parse_request};
use crate::snapshot::Listener;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::ids::{ListenerId, RouteId, UpstreamId};
use crate::snapshot::limits::ListenerBounds;
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
    /// What a connection begins with that is this request's alone.
    pub(super) preface: Option<Vec<u8>>,
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
    let content = content_for(part);
    let framing = Framing { content, ..Framing::last(live, listener, record.since().time) };
    record.answered(reply::refuse(&mut out, reason, None, framing));
    record.reason = Some(reason);
    Answer { out, record, facts: None, rest: None }
}

/// What these first bytes are a part of: who says HEAD takes no byte for a body, whatever is wrong with
/// the rest, and who has yet to say what is told nothing that has one.
fn content_for(part: &[u8]) -> Content {
    // One empty line may come first (RFC 9112 section 2.2).
    let line = part.strip_prefix(b"\r\n").unwrap_or(part);
    if line.starts_with(b"HEAD ") {
        Content::Announced
    } else if !part.is_empty() && (line == b"\r" || b"HEAD ".starts_with(line)) {
        Content::None
    } else {
        Content::Sent
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
        let request_id = live.snapshot.identity.request_id.as_ref();
        let request_id = request_id
            .map(|rule| RequestId::of(rule, head.fields, &core.request_ids, attempt.since.time));
        let facts = Facts::new(&live.snapshot, listener.0, &head, may_stay, request_id);
        let client = client_of(&live.snapshot, connection.peer().ip(), &head);
        let mut record = Record::new(core, listener.0, Some(&head), attempt.since);
        record.request_id = facts.request_id;
        record.told_client = client.is_told().then_some(client.address);
        let mut case =
            Self { core, live, connection, listener, head, client, facts, record, attempt };
        if listener.1.hsts.is_some() {
            case.find_scheme();
        }
        case
    }

    fn find_scheme(&mut self) {
        let peer = (self.connection.peer().ip(), self.connection.scheme());
        self.facts.scheme = scheme_of(&self.live.snapshot, peer, &self.head, &self.client);
    }

    fn judge(mut self) -> Verdict {
        let live = self.live;
        let client = check_client(self.core, live, &self.client);
        if let Some(gate) = client.or_else(|| check_head(&self.head)) {
            return self.refuse(Reason::Gate(gate));
        }
        let Some(route_id) = find_route(&live.snapshot, self.listener.0, &self.head) else {
            let gate = no_route(&self.head);
            return self.refuse(Reason::Gate(gate));
        };
        self.record.route = Some(route_id);
        self.facts.route = Some(route_id);
        let route = live.snapshot.routes.route(route_id);
        if route.hsts.is_some() || matches!(route.action, Action::Redirect(_)) {
            self.find_scheme();
        }
        if !route.clients.admits(self.client.address) {
            return self.refuse(Reason::Gate(Gate::RouteClient));
        }
        if let Err(gate) = check_certificate(self.connection.certificate(), route) {
            return self.refuse(Reason::Gate(gate));
        }
        if let Some(cors) = &route.cors {
            self.facts.origin = origin(&self.head).map(Box::from);
            match preflight(cors, &self.head) {
                Some(Ok(())) => return self.answer_preflight(cors),
                Some(Err(gate)) => return self.refuse(Reason::Gate(gate)),
                None => {}
            }
        }
        if let Some(response) = &route.maintenance {
            return self.answer_maintenance(route_id, response);
        }
        if let Some(gate) = check_request(&self.head, route) {
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
                self.answer_fixed(route_id, response, None)
            }
            Action::Redirect(redirect) => {
                let removal = authorization.removal(route.auth.as_ref());
                let location = location(redirect, &self.head, self.facts.scheme, removal);
                self.note(authorization);
                self.answer_redirect(redirect.status, location)
            }
            Action::Proxy(upstream) => self.forward(*upstream, authorization, route_id),
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
                certificate: self.connection.certificate().map(|shown| &*shown.thumbprint),
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
        route_id: RouteId,
    ) -> Verdict {
        let snapshot = &self.live.snapshot;
        let route = snapshot.routes.route(route_id);
        let path = match self.live.rewrites.path(snapshot, route_id, &self.head.path) {
            Ok(path) => path,
            Err(gate) => {
                self.note(authorization);
                return self.refuse(Reason::Gate(gate));
            }
        };
        let mut out = self.live.heads.take();
        let version = snapshot.upstream(upstream).proxy_protocol;
        let header = |one| header_for(one, self.source(), self.connection, self.listener.1);
        let preface = version.map(header);
        let outgoing = forward::Outgoing {
            head: &self.head,
            path: &path,
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
        let Self { record, facts, .. } = self;
        Verdict::Forward(Forward { out, preface, record, facts, upstream })
    }

    /// Whose the request is. A field that tells of a client says nothing of its port.
    fn source(&self) -> SocketAddr {
        if self.client.is_told() {
            SocketAddr::new(self.client.address, 0)
        } else {
            self.connection.peer()
        }
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
