//! `match` of a route: which requests it takes.

use super::fields::{check_field_name, check_field_value};
use super::{JsonPath, Reader, listeners};
use crate::control::config::raw::matching::{Match, MatchCondition};
use crate::snapshot::ids::ListenerId;
use crate::snapshot::route_condition::{CONDITIONS_MAX, Condition, Subject, Wanted};
use crate::snapshot::route_match::{HostPattern, Method, PathKind, PathPattern, RouteMatch, Takes};

pub(super) fn selects_of(
    reader: &mut Reader<'_>,
    listeners: &listeners::Defined,
    path: &JsonPath,
    takes: Takes,
    raw: &Match,
) -> Option<RouteMatch> {
    let listener =
        raw.listener.as_ref().map(|name| listener(reader, listeners, name, &path.join("listener")));
    let host = raw.host.as_ref().map_or(Some(HostPattern::Any), |text| {
        let parsed = HostPattern::parse(text);
        if let Err(why) = &parsed {
            let allowed = "a name, an address, *.name or *";
            reader.problem(&path.join("host"), format!("{text:?} {why}; allowed: {allowed}"));
        }
        parsed.ok()
    });
    let pattern = match (&raw.path, &raw.path_prefix) {
        (Some(_), Some(_)) => {
            let what = "stands beside path; allowed: one of path, path_prefix";
            reader.problem(&path.join("path_prefix"), what);
            None
        }
        (Some(exact), None) => path_pattern(reader, &path.join("path"), exact, PathKind::Exact),
        (None, Some(prefix)) => {
            path_pattern(reader, &path.join("path_prefix"), prefix, PathKind::Prefix)
        }
        (None, None) => path_pattern(reader, path, "/", PathKind::Prefix),
    };
    let methods =
        methods(reader, &path.join("methods"), raw.methods.as_deref().unwrap_or_default());
    let conditions = conditions(reader, path, raw);
    // A name that is not defined must not turn into "any listener".
    let listener = listener.map_or(Some(None), |found| found.map(Some))?;
    Some(RouteMatch {
        takes,
        listener,
        host: host?,
        path: pattern?,
        methods,
        conditions: conditions?,
    })
}

/// The listener of this name, if it has routes.
fn listener(
    reader: &mut Reader<'_>,
    listeners: &listeners::Defined,
    name: &str,
    path: &JsonPath,
) -> Option<ListenerId> {
    let index = reader.refer(("listeners", "listener"), &listeners.names, name, path)?;
    if listeners.is_tcp[index] {
        let what = "has tcp, so no route is asked there; allowed: a listener that speaks HTTP";
        reader.problem(path, format!("{name:?} {what}"));
    }
    ListenerId::new(index)
}

fn path_pattern(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    text: &str,
    kind: PathKind,
) -> Option<PathPattern> {
    let parsed = PathPattern::parse(text, kind);
    if let Err(why) = &parsed {
        let allowed = "a path such as \"/\", \"/orders\" or \"/orders/\"";
        reader.problem(path, format!("{text:?} {why}; allowed: {allowed}"));
    }
    parsed.ok()
}

pub(super) fn methods(reader: &mut Reader<'_>, list: &JsonPath, raw: &[String]) -> Vec<Method> {
    let mut methods = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        match Method::parse(text) {
            None => {
                let what = "is no method; allowed: upper-case names such as \"GET\"";
                reader.problem(&list.join(index), format!("{text:?} {what}"));
            }
            Some(method) if methods.contains(&method) => {
                reader.problem(
                    &list.join(index),
                    format!("{text:?} stands here twice; allowed: once"),
                );
            }
            Some(method) => methods.push(method),
        }
    }
    methods
}

/// What is asked of the headers and of the query, in order.
fn conditions(reader: &mut Reader<'_>, path: &JsonPath, raw: &Match) -> Option<Vec<Condition>> {
    let mut found: Vec<Condition> = Vec::new();
    let mut all_good = true;
    let headers = raw.headers.iter().enumerate().map(|(at, one)| ("headers", at, one));
    let query = raw.query.iter().enumerate().map(|(at, one)| ("query", at, one));
    for (key, index, one) in headers.chain(query) {
        let at = path.join(key).join(index);
        let subject = match key {
            "headers" => header(reader, &at, one),
            _ => Subject::Query(one.name.as_str().into()),
        };
        if found.iter().any(|other| other.subject == subject) {
            let what = format!("{:?} stands here twice; allowed: once", one.name);
            reader.problem(&at.join("name"), what);
        }
        match wanted(reader, &at, one) {
            Some(wanted) => found.push(Condition { subject, wanted }),
            None => all_good = false,
        }
    }
    if found.len() > CONDITIONS_MAX {
        let what = format!("asks for {} headers and parameters; allowed: 16 at most", found.len());
        reader.problem(path, what);
    }
    found.sort_unstable();
    // A route that asks for less than it should would take the requests of others.
    all_good.then_some(found)
}

fn header(reader: &mut Reader<'_>, at: &JsonPath, one: &MatchCondition) -> Subject {
    check_field_name(reader, &at.join("name"), &one.name);
    if let Some(value) = &one.value {
        check_field_value(reader, &at.join("value"), value);
    }
    let subject = Subject::header(&one.name);
    if subject == Subject::header("host") {
        reader.problem(
            &at.join("name"),
            "is what `host` of the match is for; allowed: another header",
        );
    }
    subject
}

fn wanted(reader: &mut Reader<'_>, at: &JsonPath, one: &MatchCondition) -> Option<Wanted> {
    match (&one.value, one.present) {
        (Some(value), None) => Some(Wanted::Value(value.as_bytes().into())),
        (None, Some(true)) => Some(Wanted::Present),
        (None, Some(false)) => Some(Wanted::Absent),
        (Some(_), Some(_)) | (None, None) => {
            let found = if one.value.is_some() { "has both" } else { "has none" };
            reader.problem(at, format!("{found} of value and present; allowed: exactly one"));
            None
        }
    }
}
