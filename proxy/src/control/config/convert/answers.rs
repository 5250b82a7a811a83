//! Answers that a route gives itself.

use std::time::Duration;

use super::fields::{YEAR_SECONDS, check_field_value};
use super::rewrites::{check_path, prefix_rewrite};
use super::upstreams::check_authority;
use super::{JsonPath, Reader};
use crate::control::config::quantity::Span;
use crate::control::config::raw::answers::{
    Maintenance, Query, Redirect, Respond, Scheme as RawScheme,
};
use crate::snapshot::redirect::{Redirect as Target, RedirectPath, Scheme};
use crate::snapshot::route_match::RouteMatch;
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
    selects: Option<&RouteMatch>,
) -> Option<Action> {
    if !matches!(raw.status, 301 | 302 | 303 | 307 | 308) {
        let what = format!("{} does not redirect; allowed: 301, 302, 303, 307, 308", raw.status);
        reader.problem(&path.join("status"), what);
    }
    let parts = [
        ("scheme", raw.scheme.is_some()),
        ("host", raw.host.is_some()),
        ("path", raw.path.is_some()),
        ("path_prefix", raw.path_prefix.is_some()),
    ];
    let Some(location) = &raw.location else {
        if parts.iter().all(|(_, typed)| !typed) {
            let what = "leads to where it came from; allowed: location, or one or more of scheme, host, path, path_prefix";
            reader.problem(path, what);
        }
        return redirect(reader, path, raw, selects).map(Action::Redirect);
    };
    for (key, _) in parts
        .into_iter()
        .chain([("query", reader.is_typed(&path.join("query")))])
        .filter(|(_, t)| *t)
    {
        reader.problem(
            &path.join(key),
            "stands beside location, which is sent as it is; allowed: one of them",
        );
    }
    check_field_value(reader, &path.join("location"), location);
    let fields = vec![("Location".into(), location.as_str().into())];
    Some(Action::Respond(FixedResponse { status: raw.status, fields, body: Box::default() }))
}

fn redirect(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Redirect,
    selects: Option<&RouteMatch>,
) -> Option<Target> {
    if let Some(host) = &raw.host {
        check_authority(reader, &path.join("host"), host);
    }
    let to = match (&raw.path, &raw.path_prefix) {
        (None, None) => Some(RedirectPath::Keep),
        (Some(fixed), None) => check_path(reader, &path.join("path"), fixed)
            .then(|| RedirectPath::Fixed(fixed.as_str().into())),
        (None, Some(prefix)) => {
            prefix_rewrite(reader, path, "path_prefix", prefix, selects).map(RedirectPath::Prefix)
        }
        (Some(_), Some(_)) => {
            let what = "stands beside path; allowed: one of path, path_prefix";
            reader.problem(&path.join("path_prefix"), what);
            None
        }
    };
    Some(Target {
        status: raw.status,
        scheme: raw.scheme.map(|scheme| match scheme {
            RawScheme::Http => Scheme::Http,
            RawScheme::Https => Scheme::Https,
        }),
        host: raw.host.as_deref().map(Box::from),
        path: to?,
        keeps_query: raw.query == Query::Keep,
    })
}

/// The longest time for which a client is asked to stay away.
const RETRY_AFTER_MAX: Span = Span(Duration::from_secs(YEAR_SECONDS));

/// What everyone is told of a route that is away.
pub(super) fn maintenance(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Maintenance,
) -> FixedResponse {
    let Maintenance { body, content_type, retry_after } = raw;
    check_field_value(reader, &path.join("content_type"), content_type);
    if body.is_none() && reader.is_typed(&path.join("content_type")) {
        reader.problem(&path.join("content_type"), "stands without body; allowed: beside one");
    }
    let (content_type, body) = match body {
        Some(body) => (content_type.as_str(), body.as_str()),
        None => ("application/json", "{\"status\":503,\"error\":\"service_unavailable\"}\n"),
    };
    let mut fields: Vec<(Box<str>, Box<str>)> = vec![
        ("Content-Type".into(), content_type.into()),
        ("Cache-Control".into(), "no-store".into()),
    ];
    if let Some(after) = retry_after {
        let low = Span(Duration::from_secs(1));
        reader.in_range(&path.join("retry_after"), after, &low, &RETRY_AFTER_MAX);
        fields.push(("Retry-After".into(), after.0.as_secs().to_string().into()));
    }
    FixedResponse { status: 503, fields, body: body.as_bytes().into() }
}
