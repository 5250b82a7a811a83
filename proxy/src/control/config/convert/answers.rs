//! Answers that a route gives itself.

use super::fields::check_field_value;
use super::{JsonPath, Reader};
use crate::control::config::raw::answers::{Redirect, Respond};
use crate::snapshot::route_table::{Action, FixedResponse};

pub(super) fn answer(reader: &mut Reader<'_>, path: &JsonPath, raw: &Respond) -> Option<Action> {
    let Respond { status, body, content_type } = raw;
    check_field_value(reader, &path.join("content_type"), content_type);
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        let what = format!("a {status} response has no body; allowed: none");
        reader.problem(&path.join("body"), what);
    }
    let fields = if body.is_empty() {
        Vec::new()
    } else {
        vec![("Content-Type".into(), content_type.as_str().into())]
    };
    let body = body.as_bytes().into();
    Some(Action::Respond(FixedResponse { status: *status, fields, body }))
}

pub(super) fn elsewhere(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Redirect,
) -> Option<Action> {
    if !matches!(raw.status, 301 | 302 | 303 | 307 | 308) {
        let what = format!("{} does not redirect; allowed: 301, 302, 303, 307, 308", raw.status);
        reader.problem(&path.join("status"), what);
    }
    check_field_value(reader, &path.join("location"), &raw.location);
    let fields = vec![("Location".into(), raw.location.as_str().into())];
    Some(Action::Respond(FixedResponse { status: raw.status, fields, body: Box::default() }))
}
