//! The gateway's own answers: the one place where a reason becomes a status, fields and a body.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::SystemTime;

use httpdate::HttpDate;

use super::carried::{self, Carried};
use super::core::Live;
use super::facts::Facts;
use super::grpc;
use super::reason::{Gate, Reason};
use crate::auth;
use crate::http1::{Field, HeadOverflow, HeadWriter, Version, reason_phrase};
use crate::snapshot::answers::NoKeys;
use crate::snapshot::claims_policy::AuthPolicy;
use crate::snapshot::cors::Cors;
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::route_table::FixedResponse;
use crate::uring::Buffer;

/// Seconds after which a client may try again when keys or connections are missing.
const RETRY_AFTER: &str = "5";

/// What becomes of a reply's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It follows the head.
    Sent,
    /// The request was HEAD: the head tells of a body that does not follow.
    Announced,
    /// It may have become HEAD, or not: there is none.
    None,
}

/// What ends a reply and what it may carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing<'a> {
    /// Of the request, for `Date`.
    pub(super) time: SystemTime,
    pub(super) content: Content,
    /// The connection closes after it.
    pub(super) close: bool,
    /// The client spoke HTTP/1.0 and wants the connection kept.
    pub(super) keep_alive_10: bool,
    /// The media type for an answer to a gRPC call.
    pub(super) grpc: Option<&'static str>,
    /// A refusal says why in a field of its own.
    pub(super) reason_header: bool,
    pub(super) carried: Carried<'a>,
}

impl<'a> Framing<'a> {
    /// Of an answer to this request.
    pub(super) fn of(live: &'a Live, facts: &'a Facts, time: SystemTime, keep: bool) -> Self {
        Self {
            time,
            content: if facts.is_head { Content::Announced } else { Content::Sent },
            close: !keep,
            keep_alive_10: facts.version == Version::Http10,
            grpc: facts.grpc,
            reason_header: live.says_reasons(facts.listener),
            carried: Carried::of(&live.snapshot, facts),
        }
    }

    /// Of an answer to whatever it was, behind which the connection closes.
    pub(super) fn last(live: &'a Live, listener: ListenerId, time: SystemTime) -> Self {
        Self {
            time,
            content: Content::Sent,
            close: true,
            keep_alive_10: false,
            grpc: None,
            reason_header: live.says_reasons(listener),
            carried: Carried::by_any(&live.snapshot),
        }
    }
}

/// The status for a reason, on a route with these token rules.
fn status(reason: Reason, policy: Option<&AuthPolicy>) -> u16 {
    match reason {
        Reason::Request(error) => error.status(),
        Reason::RequestChunks(_) => 400,
        Reason::Token(reason) => match reason.class() {
            auth::Class::Missing | auth::Class::InvalidToken => unauthorized(policy),
            auth::Class::InvalidRequest => 400,
            auth::Class::InsufficientScope | auth::Class::Denied => 403,
            auth::Class::NoKeys => match policy.map(|policy| policy.answers.no_keys) {
                Some(NoKeys::Unauthorized) => unauthorized(policy),
                Some(NoKeys::Unavailable) | None => 503,
            },
        },
        Reason::Response(_) | Reason::ResponseChunks(_) => 502,
        Reason::Gate(gate) => match gate {
            Gate::RouteClient
            | Gate::NoClientCertificate
            | Gate::ClientCertificateDenied
            | Gate::CorsOrigin
            | Gate::ConnectPort => 403,
            Gate::PlainTextOnTls => 400,
            Gate::NoRoute | Gate::RewriteUnmatched => 404,
            Gate::ClientDenied | Gate::ClientBanned => 403,
            Gate::MethodRefused => 405,
            Gate::TooManyOfSource => 429,
            Gate::RewriteInvalid => 500,
            Gate::BodyTooLarge => 413,
            Gate::ForwardedHeadTooLarge => 431,
            Gate::HeadTimeout | Gate::BodyTimeout | Gate::BodyTooSlow => 408,
            Gate::RedirectHost => 400,
            // Nobody is there to read it; it stands in the log.
            Gate::TlsTimeout
            | Gate::TlsFailed
            | Gate::TlsOnPlainText
            | Gate::TooManyHandshakes
            | Gate::ProxyHeaderMissing
            | Gate::ProxyHeaderMalformed
            | Gate::ProxyHeaderUntrusted
            | Gate::ClientLeft
            | Gate::ClientLost
            | Gate::ClientTooSlow => 400,
            // The status has been sent by then.
            Gate::TokenExpired | Gate::TokenRevoked => 401,
            Gate::Maintenance
            | Gate::TooManyConnections
            | Gate::TooManyOfListener
            | Gate::UpstreamFull
            | Gate::NoEndpoint => 503,
            Gate::ConnectTimeout | Gate::UpstreamTimeout | Gate::UpstreamBodyTimeout => 504,
            Gate::ConnectRefused
            | Gate::UpstreamTls
            | Gate::UpstreamClosed
            | Gate::UpstreamBodyCut
            | Gate::UpstreamInterim
            | Gate::UpstreamSwitched => 502,
        },
    }
}

/// A route that looks for its token in `Proxy-Authorization` before all else speaks as a proxy.
fn unauthorized(policy: Option<&AuthPolicy>) -> u16 {
    if policy.is_some_and(is_proxy) { 407 } else { 401 }
}

fn is_proxy(policy: &AuthPolicy) -> bool {
    let first = policy.credentials.locations.first();
    matches!(first, Some(TokenLocation::Header { name, .. }) if &**name == "proxy-authorization")
}

/// What an answer to a request that is not served as asked says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Of the answer; of one to a gRPC call, what `grpc_status` is made from.
    pub status: u16,
    /// In an answer to a gRPC call, whose status is 200.
    pub grpc_status: Option<u64>,
    /// The field with the challenge, where there is one.
    pub challenge: Option<(&'static str, Vec<u8>)>,
}

/// The answer for a reason, to a request with these fields.
#[must_use]
pub fn outline(
    reason: Reason,
    challenge: Option<(&auth::Refusal, &AuthPolicy)>,
    fields: &[Field<'_>],
) -> Outline {
    let status = status(reason, challenge.map(|(_, policy)| policy));
    let grpc_status = grpc::media_type(fields).map(|_| grpc::code(status));
    Outline { status, grpc_status, challenge: challenge.and_then(challenge_field) }
}

fn challenge_field(
    (refusal, policy): (&auth::Refusal, &AuthPolicy),
) -> Option<(&'static str, Vec<u8>)> {
    let mut value = Vec::new();
    auth::write_challenge(refusal, policy, &mut value);
    let name = if is_proxy(policy) { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    (!value.is_empty()).then_some((name, value))
}

/// What an answer of the gateway's own came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) status: u16,
    pub(super) body_bytes: usize,
}

/// Writes the whole answer to a request that is not served as asked. With a challenge comes the
/// request's `Origin`: its page may read the answer where the route says so. A challenge that does
/// not fit `out` leaves a bare 500: every other text is short.
pub(super) fn refuse(
    out: &mut Buffer,
    reason: Reason,
    challenge: Option<(&auth::Refusal, &AuthPolicy, Option<&[u8]>)>,
    framing: Framing<'_>,
) -> Written {
    let policy = challenge.map(|(_, policy, _)| policy);
    let status = status(reason, policy);
    let told = told(reason, status, policy);
    let has_none = framing.grpc.is_some() || framing.content == Content::None;
    let body = if has_none { String::new() } else { told.body(status) };
    let length = body.len();
    let mut writer = HeadWriter::new(out.spare_mut());
    let sent_status = if framing.grpc.is_some() { 200 } else { status };
    writer.status_line(sent_status, reason_phrase(sent_status));
    writer.field("Content-Type", framing.grpc.unwrap_or("application/json").as_bytes());
    writer.field("Cache-Control", b"no-store");
    if framing.grpc.is_some() {
        writer.number_field("grpc-status", grpc::code(status));
        writer.field("grpc-message", told.description.unwrap_or(&told.error).as_bytes());
    }
    if let Some((refusal, policy, origin)) = challenge {
        if let Some((name, value)) = challenge_field((refusal, policy)) {
            writer.field(name, &value);
        }
        let allowed = &policy.answers.allowed_origins;
        if let Some(origin) = origin.filter(|one| allowed.iter().any(|o| o.as_bytes() == *one)) {
            writer.field("Access-Control-Allow-Origin", origin);
            writer.field("Access-Control-Expose-Headers", b"WWW-Authenticate");
            writer.field("Vary", b"Origin");
        }
    }
    if framing.reason_header {
        writer.field("X-Ringgate-Reason", reason.code().as_bytes());
    }
    if sent_status == 405 {
        // RFC 9110 section 15.5.6 asks for the field; which methods pass is up to the routes.
        writer.field("Allow", b"");
    }
    if status == 503 {
        writer.field("Retry-After", RETRY_AFTER.as_bytes());
    }
    let body = if framing.content == Content::Announced { "" } else { &body };
    framing.carried.write(&mut writer, OWN_OF_REFUSALS);
    if let Ok(head) = finish(writer, Some(length), framing) {
        out.commit(head);
        if out.append(body.as_bytes()) {
            return Written { status: sent_status, body_bytes: body.len() };
        }
    }
    out.clear();
    let fits = out.append(BARE_500);
    debug_assert!(fits, "a head buffer holds more");
    Written { status: 500, body_bytes: 0 }
}

/// Fields that a refusal may have of its own, which no rule of a route replaces.
const OWN_OF_REFUSALS: &[&str] = &[
    "Content-Type",
    "Cache-Control",
    "grpc-status",
    "grpc-message",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "X-Ringgate-Reason",
    "Allow",
    "Retry-After",
];

const BARE_500: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Writes the head of an answer that is known beforehand.
///
/// # Errors
/// When `out` has no room for the head.
pub(super) fn respond(
    out: &mut Buffer,
    response: &FixedResponse,
    reason: Option<Reason>,
    private: bool,
    framing: Framing<'_>,
) -> Result<(), HeadOverflow> {
    let mut writer = HeadWriter::new(out.spare_mut());
    writer.status_line(response.status, reason_phrase(response.status));
    let kept = response.fields.iter().filter(|(name, _)| !framing.carried.replaces(name));
    for (name, value) in kept {
        writer.field(name, value.as_bytes());
    }
    framing.carried.write(&mut writer, &[]);
    if let Some(reason) = reason.filter(|_| framing.reason_header) {
        writer.field("X-Ringgate-Reason", reason.code().as_bytes());
    }
    if private {
        writer.field("Cache-Control", b"private");
    }
    // RFC 9110 section 8.6: none on a 204.
    let length = (response.status != 204).then_some(response.body.len());
    let head = finish(writer, length, framing)?;
    out.commit(head);
    Ok(())
}

/// Writes the answer that sends a client elsewhere.
///
/// # Errors
/// When `out` has no room for it.
pub(super) fn redirect(
    out: &mut Buffer,
    status: u16,
    location: &str,
    private: bool,
    framing: Framing<'_>,
) -> Result<(), HeadOverflow> {
    let mut writer = HeadWriter::new(out.spare_mut());
    writer.status_line(status, reason_phrase(status));
    if !framing.carried.replaces("Location") {
        writer.field("Location", location.as_bytes());
    }
    framing.carried.write(&mut writer, &[]);
    if private {
        writer.field("Cache-Control", b"private");
    }
    let head = finish(writer, Some(0), framing)?;
    out.commit(head);
    Ok(())
}

/// Writes the answer to a preflight that is granted.
///
/// # Errors
/// When `out` has no room for it.
pub(super) fn preflight(
    out: &mut Buffer,
    cors: &Cors,
    framing: Framing<'_>,
) -> Result<(), HeadOverflow> {
    let mut writer = HeadWriter::new(out.spare_mut());
    writer.status_line(204, reason_phrase(204));
    carried::write_preflight(&mut writer, cors);
    framing.carried.write(&mut writer, &[]);
    // RFC 9110 section 8.6: no length on a 204.
    let head = finish(writer, None, framing)?;
    out.commit(head);
    Ok(())
}

/// Bytes of an IMF-fixdate (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_BYTES: usize = 29;

/// Writes the fields that end every head of ours.
fn finish(
    mut writer: HeadWriter<'_>,
    length: Option<usize>,
    framing: Framing<'_>,
) -> Result<usize, HeadOverflow> {
    // RFC 9110 section 6.6.1: whoever makes a response and has a clock says when.
    let mut date = [0; DATE_BYTES];
    let mut rest = &mut date[..];
    let written = write!(rest, "{}", HttpDate::from(framing.time));
    debug_assert!(written.is_ok() && rest.is_empty(), "an IMF-fixdate is of one length");
    writer.field("Date", &date);
    if let Some(length) = length {
        writer.number_field("Content-Length", length as u64);
    }
    if framing.close {
        writer.field("Connection", b"close");
    } else if framing.keep_alive_10 {
        writer.field("Connection", b"keep-alive");
    }
    writer.end()
}

/// What a client is told of a reason: a word for programs and, of a token, the phrase of RFC 6750.
/// It tells nothing that the log should keep to itself, and holds nothing that needs escaping.
struct Told {
    error: Cow<'static, str>,
    description: Option<&'static str>,
}

fn told(reason: Reason, status: u16, policy: Option<&AuthPolicy>) -> Told {
    let Reason::Token(reason) = reason else {
        let error = reason_phrase(status).to_ascii_lowercase().replace([' ', '-'], "_");
        return Told { error: error.into(), description: None };
    };
    let error = match reason.class() {
        auth::Class::Missing => "unauthorized",
        auth::Class::InvalidRequest => "invalid_request",
        auth::Class::InvalidToken => "invalid_token",
        auth::Class::InsufficientScope => "insufficient_scope",
        auth::Class::Denied => "access_denied",
        auth::Class::NoKeys => "temporarily_unavailable",
    };
    let stripped = policy.is_some_and(|policy| policy.answers.strip_details);
    let description = (!stripped).then(|| reason.description());
    Told { error: error.into(), description }
}

impl Told {
    /// A small JSON object.
    fn body(&self, status: u16) -> String {
        let error = &self.error;
        match self.description {
            Some(description) => format!(
                "{{\"status\":{status},\"error\":\"{error}\",\
                 \"error_description\":\"{description}\"}}\n"
            ),
            None => format!("{{\"status\":{status},\"error\":\"{error}\"}}\n"),
        }
    }
}
