//! Which route a request takes, and what of its head is refused for where it leads.

use super::conditions::held;
use super::reason::Gate;
use crate::http1::{BodyLength, RequestHead, Target, without_port};
use crate::snapshot::Snapshot;
use crate::snapshot::certificate_rule::CertificateMiss;
use crate::snapshot::cors::Cors;
use crate::snapshot::ids::{ListenerId, RouteId};
use crate::snapshot::route_condition::Condition;
use crate::snapshot::route_table::{Miss, Route};
use crate::tls::ClientCertificate;

/// The route that a request takes.
#[must_use]
pub fn find_route(
    snapshot: &Snapshot,
    listener: ListenerId,
    head: &RequestHead<'_, '_>,
) -> Option<RouteId> {
    let mut lower = [0; HOST_BYTES_MAX];
    let host = bare_host(head.host, &mut lower)?;
    let held = |condition: &Condition| held(condition, head);
    let find = |method| snapshot.routes.find(listener, host, routed_path(head), method, held);
    preflighted(head)
        .and_then(find)
        .filter(|id| snapshot.routes.route(*id).cors.as_ref().is_some_and(|c| c.answers_preflight))
        .or_else(|| find(head.method))
}

/// The method that a preflight asks for: its route answers, which need not take OPTIONS itself.
fn preflighted<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b str> {
    let is_method = |name: &str| name.eq_ignore_ascii_case("access-control-request-method");
    let asked = head.is_cors_preflight().then(|| head.fields.iter().find(|f| is_method(f.name)));
    asked.flatten().and_then(|field| std::str::from_utf8(field.value).ok())
}

/// Why [`find_route`] finds none for a request.
#[must_use]
pub fn explain_no_route(
    snapshot: &Snapshot,
    listener: ListenerId,
    head: &RequestHead<'_, '_>,
) -> Miss {
    let mut lower = [0; HOST_BYTES_MAX];
    let Some(host) = bare_host(head.host, &mut lower) else { return Miss::Place };
    let held = |condition: &Condition| held(condition, head);
    snapshot.routes.miss(listener, host, routed_path(head), head.method, held)
}

fn routed_path<'a>(head: &'a RequestHead<'_, '_>) -> &'a str {
    match &*head.path {
        // The server as a whole is asked, or no path at all: whoever takes everything takes it.
        "*" | "" => "/",
        path => path,
    }
}

/// What of a head is refused before a route is sought.
#[must_use]
pub fn check_head(head: &RequestHead<'_, '_>) -> Option<Gate> {
    (head.method == "TRACE").then_some(Gate::MethodRefused)
}

/// What a request is refused for that has no route.
#[must_use]
pub fn no_route(head: &RequestHead<'_, '_>) -> Gate {
    if head.method == "CONNECT" { Gate::MethodRefused } else { Gate::NoRoute }
}

/// Whether a client that has shown this certificate may use a route.
///
/// # Errors
/// Why not.
pub fn check_certificate(shown: Option<&ClientCertificate>, route: &Route) -> Result<(), Gate> {
    let shown = shown.map(ClientCertificate::shown);
    route.certificates.admit(shown).map_err(|miss| match miss {
        CertificateMiss::Missing => Gate::NoClientCertificate,
        CertificateMiss::Other => Gate::ClientCertificateDenied,
    })
}

/// What a route refuses of a head before anything else.
#[must_use]
pub fn check_request(head: &RequestHead<'_, '_>, route: &Route) -> Option<Gate> {
    if let (Target::Authority(target), Some(rule)) = (head.target, &route.connect)
        && !rule.admits(target)
    {
        return Some(Gate::ConnectPort);
    }
    let too_large =
        matches!(head.body, BodyLength::Length(bytes) if bytes > route.bounds.request_body_bytes);
    too_large.then_some(Gate::BodyTooLarge)
}

/// The origin of the page that asks, if a page does.
pub(super) fn origin<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b str> {
    let mut origins = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("origin"));
    let (origin, None) = (origins.next()?, origins.next()) else { return None };
    std::str::from_utf8(origin.value).ok()
}

/// Whether the request is a preflight that a route answers itself, and then whether it is granted.
#[must_use]
pub fn preflight(cors: &Cors, head: &RequestHead<'_, '_>) -> Option<Result<(), Gate>> {
    (cors.answers_preflight && head.is_cors_preflight()).then(|| {
        let may = origin(head).is_some_and(|origin| cors.origins.take(origin));
        may.then_some(()).ok_or(Gate::CorsOrigin)
    })
}

/// The longest host that can match: RFC 1035 section 2.3.4 allows 255 octets.
const HOST_BYTES_MAX: usize = 256;

/// The host without its port, in lower case; none where it is too long to be one.
fn bare_host<'l>(host: &str, lower: &'l mut [u8; HOST_BYTES_MAX]) -> Option<&'l str> {
    let bare = without_port(host);
    let lower = lower.get_mut(..bare.len())?;
    lower.copy_from_slice(bare.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_matched_without_port_and_case() {
        let cases = [
            ("API.example.com:8080", "api.example.com"),
            ("api.example.com", "api.example.com"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ];
        for (host, expected) in cases {
            assert_eq!(bare_host(host, &mut [0; HOST_BYTES_MAX]), Some(expected), "{host}");
        }
        assert_eq!(bare_host(&"a".repeat(257), &mut [0; HOST_BYTES_MAX]), None);
    }
}
