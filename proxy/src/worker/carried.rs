//! What every response to a request carries beside its own fields: what the route's rules say, and
//! what the gateway says of itself.

use super::facts::Facts;
use super::request_id::RequestId;
use crate::http1::{HeadWriter, Version, names_alike};
use crate::snapshot::Snapshot;
use crate::snapshot::cors::{Cors, Origins};
use crate::snapshot::field_edits::{FieldEdits, Hsts};
use crate::snapshot::redirect::Scheme;

/// The fields that go with a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried<'a> {
    edits: &'a FieldEdits,
    request_id: Option<(&'a str, RequestId)>,
    cors: Option<(&'a Cors, Option<&'a str>)>,
    /// And whether the client has come by https: it means nothing to others, who are not told.
    hsts: Option<(&'a Hsts, bool)>,
}

impl<'a> Carried<'a> {
    /// With responses to what was not understood.
    pub(super) fn by_any(snapshot: &'a Snapshot) -> Self {
        Self { edits: &snapshot.own_fields, request_id: None, cors: None, hsts: None }
    }

    /// With responses to this request.
    pub(super) fn of(snapshot: &'a Snapshot, facts: &'a Facts) -> Self {
        let rule = snapshot.identity.request_id.as_ref();
        let request_id = rule.map(|rule| &*rule.header).zip(facts.request_id);
        let is_https = facts.scheme == Scheme::Https;
        let hsts = snapshot.listeners[facts.listener.index()].hsts.as_ref();
        let hsts = hsts.map(|hsts| (hsts, is_https));
        let Some(route) = facts.route.map(|id| snapshot.routes.route(id)) else {
            return Self { request_id, hsts, ..Self::by_any(snapshot) };
        };
        let edits = &route.response_fields;
        let hsts = route.hsts.as_ref().map(|hsts| (hsts, is_https)).or(hsts);
        let hsts = hsts.filter(|_| !edits.names(Hsts::FIELD));
        let cors = route.cors.as_ref().map(|cors| (cors, facts.origin.as_deref()));
        Self { edits, request_id, cors, hsts }
    }

    /// Whether an upstream's field of this name stays behind.
    pub(super) fn replaces(&self, name: &str) -> bool {
        let is_alike = |other: &str| name.eq_ignore_ascii_case(other);
        self.edits.dropped().iter().any(|dropped| is_alike(dropped))
            || self.request_id.is_some_and(|(header, _)| is_alike(header))
            || (self.cors.is_some() && is_about_cors(name))
            || (self.hsts.is_some() && is_alike(Hsts::FIELD))
    }

    /// Writes the fields, but for those that the response has of its own.
    pub(super) fn write(&self, writer: &mut HeadWriter<'_>, own: &[&str]) {
        for (name, value) in self.edits.added() {
            if !own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                writer.field(name, value.as_bytes());
            }
        }
        if let Some((header, id)) = &self.request_id {
            writer.field(header, id.as_bytes());
        }
        if let Some((hsts, true)) = self.hsts {
            writer.field(Hsts::FIELD, hsts.value().as_bytes());
        }
        if let Some((cors, origin)) = self.cors {
            write_cors(writer, cors, origin);
        }
    }
}

fn is_about_cors(name: &str) -> bool {
    const PREFIX: &str = "access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// What lets the page read the response, if its origin may.
fn write_cors(writer: &mut HeadWriter<'_>, cors: &Cors, origin: Option<&str>) {
    if let Some(origin) = grant(cors, origin) {
        writer.field("Access-Control-Allow-Origin", origin.as_bytes());
        if cors.credentials {
            writer.field("Access-Control-Allow-Credentials", b"true");
        }
        if !cors.expose_headers.is_empty() {
            writer.field("Access-Control-Expose-Headers", cors.expose_headers.as_bytes());
        }
    }
    // Also without an Origin: a cache must not give this to a page that has one.
    if cors.origins != Origins::Any {
        writer.field("Vary", b"Origin");
    }
}

/// To whom the response says it is open: all, or the origin that asks and may.
fn grant<'o>(cors: &Cors, origin: Option<&'o str>) -> Option<&'o str> {
    match cors.origins {
        Origins::Any => Some("*"),
        Origins::Listed(_) => origin.filter(|origin| cors.origins.take(origin)),
    }
}

/// Writes what a preflight asks for (Fetch standard, section 4.8), beside what every response has.
pub(super) fn write_preflight(writer: &mut HeadWriter<'_>, cors: &Cors) {
    writer.field("Access-Control-Allow-Methods", cors.methods.as_bytes());
    if !cors.headers.is_empty() {
        writer.field("Access-Control-Allow-Headers", cors.headers.as_bytes());
    }
    writer.number_field("Access-Control-Max-Age", cors.max_age);
}

/// Writes who passed a message on that was received in this version.
pub(super) fn write_via(writer: &mut HeadWriter<'_>, snapshot: &Snapshot, received: Version) {
    if let Some(via) = &snapshot.identity.via {
        let value = if received == Version::Http10 { &via.http10 } else { &via.http11 };
        writer.field("Via", value.as_bytes());
    }
}

/// Whether a request's field of this name stays behind for what is written in its place. `_` counts
/// as `-`: upstreams may not tell the two apart.
pub(super) fn takes_out(edits: &FieldEdits, snapshot: &Snapshot, name: &str) -> bool {
    let id = snapshot.identity.request_id.as_ref();
    edits.dropped().iter().any(|dropped| names_alike(name, dropped))
        || id.is_some_and(|rule| names_alike(name, &rule.header))
}
