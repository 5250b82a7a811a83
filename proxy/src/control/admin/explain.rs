//! A request judged by the running snapshot, each check shown: what `ringgate verify` does for a
//! token, with the routes and rules that run. Nothing is cached, counted, logged or waited for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Sources;
use super::answer::Answer;
use super::described_request::DescribedRequest;
use super::endpoints::Request;
use crate::auth::{
    self, Authorization, Criteria, ExplainedToken, Presented, Refusal, STATUS_FIELD, UnixTime,
    explain_request,
};
use crate::http1::{FieldSlots, Progress, RequestError, RequestHead, parse_request};
use crate::snapshot::claims_policy::{AuthPolicy, Mode};
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::route_table::{Action, Miss, Route};
use crate::snapshot::{Service, Snapshot, TcpService};
use crate::worker::{
    Gate, Reason, check_certificate, check_head, check_request, explain_no_route, find_route,
    no_route, outline, preflight, request_limits, spare_preflight, upstream_path,
};

/// The most bytes of a description: the longest head, its strings escaped.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;

pub(super) fn answer(request: &Request, sources: &Sources, _now: Instant) -> Answer {
    let described = match DescribedRequest::parse(&request.body) {
        Ok(described) => described,
        Err(what) => return Answer::text(400, format!("{what}\n")),
    };
    let Some(snapshot) = sources.status.lock().snapshot.clone() else {
        return Answer::text(503, "nothing runs yet\n");
    };
    match listener(&snapshot, described.listener.as_deref()) {
        Ok(listener) => Answer::json(200, &judge(&snapshot, listener, &described)),
        Err(what) => Answer::text(400, format!("{what}\n")),
    }
}

fn listener(snapshot: &Snapshot, name: Option<&str>) -> Result<ListenerId, String> {
    let listeners = &snapshot.listeners;
    let names = || listeners.iter().map(|one| &*one.name).collect::<Vec<_>>().join(", ");
    let index = match name {
        None if listeners.len() == 1 => Some(0),
        None => return Err(format!("listener: missing; one of {}", names())),
        Some(name) => listeners.iter().position(|one| *one.name == *name),
    };
    let id = index.and_then(ListenerId::new);
    id.ok_or_else(|| format!("listener: not known; one of {}", names()))
}

/// As a worker does it, in the same order.
fn judge(snapshot: &Snapshot, listener: ListenerId, described: &DescribedRequest) -> Value {
    if let Service::Tcp(service) = &snapshot.listeners[listener.index()].service {
        return led_on(snapshot, service);
    }
    let mut slots = FieldSlots::new();
    let limits = request_limits(&snapshot.listeners[listener.index()].bounds);
    let paths = snapshot.path_normalization;
    let head = match parse_request(&described.head, &mut slots, limits, paths) {
        Ok(Progress::Complete(head)) => head,
        // It ends in an empty line: more bytes than it may have.
        Ok(Progress::Partial) => return refused(snapshot, RequestError::HeadTooLong.into(), None),
        Err(error) => return refused(snapshot, error.into(), None),
    };
    if let Some(gate) = check_head(&head) {
        return refused(snapshot, Reason::Gate(gate), Some(&head));
    }
    let Some(id) = find_route(snapshot, listener, &head) else {
        let mut body = refused(snapshot, Reason::Gate(no_route(&head)), Some(&head));
        body["detail"] = json!(detail(explain_no_route(snapshot, listener, &head)));
        return body;
    };
    let route = snapshot.routes.route(id);
    if let Err(gate) = check_certificate(described.certificate.as_ref(), route) {
        return refused(snapshot, Reason::Gate(gate), Some(&head));
    }
    match route.cors.as_ref().and_then(|cors| preflight(cors, &head)) {
        None => {}
        Some(Err(gate)) => return refused(snapshot, Reason::Gate(gate), Some(&head)),
        Some(Ok(())) => return preflight_granted(snapshot, route),
    }
    if route.maintenance.is_some() {
        let mut body = refused(snapshot, Reason::Gate(Gate::Maintenance), Some(&head));
        body["route"] = route_body(snapshot, route);
        return body;
    }
    if let Some(gate) = check_request(&head, route) {
        return refused(snapshot, Reason::Gate(gate), Some(&head));
    }
    let now = described.now.unwrap_or_else(clock);
    let (tokens, authorization) = authorize(snapshot, route, &head, described, now);
    let authorization = spare_preflight(authorization, route.auth.as_ref(), &head);
    let mut body = match &authorization {
        Authorization::Refused(refusal) => {
            let challenge = route.auth.as_ref().map(|policy| (refusal, policy));
            refusal_body(Reason::Token(refusal.reason), challenge, Some(&head))
        }
        Authorization::Anonymous | Authorization::Verified(..) | Authorization::Tolerated(..) => {
            match path_asked(snapshot, route, &head) {
                Ok(path) => passed(snapshot, route, &authorization, path.as_deref()),
                Err(gate) => refusal_body(Reason::Gate(gate), None, Some(&head)),
            }
        }
    };
    body["generation"] = json!(snapshot.generation.0);
    body["now"] = json!(now.0);
    body["route"] = route_body(snapshot, route);
    body["tokens"] = match &route.auth {
        None => json!([]),
        Some(policy) => tokens.iter().map(|one| token(snapshot, policy, one)).collect(),
    };
    body
}

/// What was checked of the tokens that the route's rules ask for, and what comes of it.
fn authorize(
    snapshot: &Snapshot,
    route: &Route,
    head: &RequestHead<'_, '_>,
    described: &DescribedRequest,
    now: UnixTime,
) -> (Vec<ExplainedToken>, Authorization) {
    let Some(policy) = &route.auth else { return (Vec::new(), Authorization::Anonymous) };
    let criteria = Criteria {
        policy,
        providers: &snapshot.providers,
        deny_list: &snapshot.deny_list,
        certificate: described.certificate.as_ref().map(|shown| &*shown.thumbprint),
        generation: snapshot.generation,
        now,
    };
    explain_request(Presented { fields: head.fields, query: head.target.query() }, &criteria)
}

/// Why there is no route, in words.
fn detail(miss: Miss) -> &'static str {
    match miss {
        Miss::Path => "the path has a dot segment, or an escape that readers take differently",
        Miss::Place => "no route matches the listener, host and path",
        Miss::Method => "the most specific routes for the host and path take other methods",
        Miss::Condition => {
            "the most specific routes for the host, path and method ask for other headers or parameters of the query"
        }
        Miss::Unclear => {
            "a header or parameter of the query of which a route asks for one value has several"
        }
    }
}

/// A page's browser is told what it may ask for, before a token is looked for.
fn preflight_granted(snapshot: &Snapshot, route: &Route) -> Value {
    json!({
        "generation": snapshot.generation.0,
        "verdict": "no_token",
        "reason": null,
        "status": 204,
        "upstream": null,
        "set_headers": [],
        "route": route_body(snapshot, route),
        "tokens": [],
        "detail": "a preflight, which the route answers by its cors",
    })
}

/// What a tcp listener does with it, as with anything else.
fn led_on(snapshot: &Snapshot, service: &TcpService) -> Value {
    json!({
        "generation": snapshot.generation.0,
        "verdict": "no_token",
        "reason": null,
        "status": null,
        "upstream": snapshot.upstream(service.upstream).name,
        "set_headers": [],
        "route": null,
        "tokens": [],
        "detail": "a tcp listener: what comes is led to the upstream unread, and no token is asked for",
    })
}

fn clock() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// A request that comes to no route.
fn refused(snapshot: &Snapshot, reason: Reason, head: Option<&RequestHead<'_, '_>>) -> Value {
    let mut body = refusal_body(reason, None, head);
    body["generation"] = json!(snapshot.generation.0);
    body["route"] = Value::Null;
    body["tokens"] = json!([]);
    body
}

fn refusal_body(
    reason: Reason,
    challenge: Option<(&Refusal, &AuthPolicy)>,
    head: Option<&RequestHead<'_, '_>>,
) -> Value {
    let outline = outline(reason, challenge, head.map(|head| head.fields).unwrap_or_default());
    let challenge = outline
        .challenge
        .map(|(name, value)| json!({ "field": name, "value": String::from_utf8_lossy(&value) }));
    json!({
        "verdict": "refused",
        "reason": reason.code(),
        "status": if outline.grpc_status.is_some() { 200 } else { outline.status },
        "grpc_status": outline.grpc_status,
        "challenge": challenge,
    })
}

/// The path that the upstream is asked for, where one is.
fn path_asked(
    snapshot: &Snapshot,
    route: &Route,
    head: &RequestHead<'_, '_>,
) -> Result<Option<String>, Gate> {
    match &route.action {
        Action::Respond(_) | Action::Redirect(_) => Ok(None),
        Action::Proxy(_) => {
            let (rewrite, form) = (route.rewrite.as_ref(), snapshot.path_normalization);
            let path = upstream_path(rewrite, &head.path, form, &mut None)?;
            Ok(Some(path.into_owned()))
        }
    }
}

/// A request that passes, what it goes on with, and where to. The upstream decides on the status.
fn passed(
    snapshot: &Snapshot,
    route: &Route,
    authorization: &Authorization,
    path: Option<&str>,
) -> Value {
    let (verdict, reason, fields) = match authorization {
        Authorization::Verified(token, _) => ("accepted", None, set_fields(&token.header_block)),
        Authorization::Tolerated(refusal, _) => {
            let value = refusal.reason.status_field_value();
            ("tolerated", Some(refusal.reason), vec![json!([STATUS_FIELD, value])])
        }
        Authorization::Anonymous | Authorization::Refused(_) => ("no_token", None, Vec::new()),
    };
    let (status, upstream) = match &route.action {
        Action::Proxy(id) => (None, Some(&snapshot.upstream(*id).name)),
        Action::Respond(response) => (Some(response.status), None),
        Action::Redirect(redirect) => (Some(redirect.status), None),
    };
    json!({
        "verdict": verdict,
        "reason": reason.map(auth::Reason::code),
        "status": status,
        "upstream": upstream,
        "upstream_path": path,
        "set_headers": if upstream.is_some() { fields } else { Vec::new() },
    })
}

/// The lines of a block, as pairs.
fn set_fields(block: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(block);
    let lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.map(|(name, value)| json!([name, value])).collect()
}

fn route_body(snapshot: &Snapshot, route: &Route) -> Value {
    let auth = route.auth.as_ref().map(|policy| {
        let providers = policy.providers.iter().map(|id| &snapshot.provider(*id).name);
        json!({
            "mode": match policy.mode {
                Mode::Strict => "strict",
                Mode::Optional => "optional",
                Mode::Permissive => "permissive",
            },
            "providers": providers.collect::<Vec<_>>(),
        })
    });
    json!({ "name": route.name, "jwt": auth })
}

/// What was checked of one token; not the token.
fn token(snapshot: &Snapshot, policy: &AuthPolicy, explained: &ExplainedToken) -> Value {
    let explanation = &explained.explanation;
    let checks = explanation.findings.iter().map(|finding| {
        json!({
            "check": finding.check,
            "found": finding.found,
            "wanted": finding.wanted,
            "outcome": finding.outcome.map_or_else(auth::Reason::code, |()| "ok"),
        })
    });
    let refusal = explanation.verdict.as_ref().err();
    // A request like this would be parked while the key is looked for.
    let waits =
        refusal.filter(|refusal| refusal.reason == auth::Reason::UnknownKey).and_then(|refusal| {
            refusal.kid.as_ref()?;
            snapshot.provider(refusal.provider?).unknown_kid_wait
        });
    let place =
        policy.credentials.locations.get(explained.location).map(|location| match location {
            TokenLocation::Header { name, .. } => format!("header {name}"),
            TokenLocation::Cookie(name) => format!("cookie {name}"),
            TokenLocation::Query(name) => format!("query {name}"),
        });
    json!({
        "place": place,
        "accepted": refusal.is_none(),
        "reason": refusal.map(|refusal| refusal.reason.code()),
        "description": refusal.map(|refusal| refusal.reason.description()),
        "waits_for_key": waits.map(|wait| humantime::format_duration(wait).to_string()),
        "checks": checks.collect::<Vec<_>>(),
    })
}
