//! `routes`: which requests, which action, and no two that tie.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::answers::{answer, elsewhere, maintenance};
use super::certificate_rules::certificates;
use super::connects::connect;
use super::fields::{Reserved, Side, cors, edits, hsts};
use super::kernel::prefixes;
use super::limits::route_bounds;
use super::matching::selects_of;
use super::policy::{Issuers, policy};
use super::resources::metadata_routes;
use super::rewrites::rewrite;
use super::{JsonPath, Reader, listeners, providers, resources, upstreams};
use crate::control::config::raw::routes::{Route, RouteJwt};
use crate::control::config::settings::{ProviderConfig, RouteConfig};
use crate::snapshot::client_rule::ClientRule;
use crate::snapshot::field_edits::Hsts;
use crate::snapshot::ids::{ListenerId, RouteId};
use crate::snapshot::route_match::{RouteMatch, Takes};
use crate::snapshot::route_table::{Action, ties};

/// What routes refer to, in the order of the ids.
struct Defined<'a> {
    reserved: &'a Reserved,
    listeners: listeners::Defined,
    upstreams: Vec<String>,
}

/// The routes, and how many of them, at the end, the file does not list.
pub(super) fn routes(
    reader: &mut Reader<'_>,
    configs: &[ProviderConfig],
    reserved: &Reserved,
) -> (Vec<RouteConfig>, usize) {
    let defined = Defined {
        reserved,
        listeners: listeners::defined(reader),
        upstreams: reader.names(&upstreams::path()),
    };
    let issuers = Issuers::new(reader, configs);
    let list = JsonPath::from(["routes"]);
    some_where_needed(reader, &list, &defined.listeners);
    let mut routes: Vec<(JsonPath, RouteConfig)> = Vec::new();
    let mut names: HashMap<Box<str>, JsonPath> = HashMap::new();
    for (path, raw) in reader.elements::<Route>(&list) {
        if let Some(name) = &raw.name {
            reader.check_name(&path.join("name"), name);
            if let Some(other) = names.insert(name.as_str().into(), path.clone()) {
                let what = format!("{name:?} is the name of {other}; allowed: a name of its own");
                reader.problem(&path.join("name"), what);
            }
        }
        routes.extend(route(reader, &defined, &issuers, &path, raw).map(|route| (path, route)));
    }
    if routes.len() > RouteId::MAX {
        reader.problem(&list, format!("more routes than {}", RouteId::MAX));
    }
    let metadata = metadata_routes(&issuers.resources, &routes, configs);
    let added = metadata.len();
    routes.extend(metadata);
    refuse_ties(reader, &routes);
    warn_of_silent_listeners(reader, &defined.listeners, &routes);
    warn_of_unused(reader, "jwt.providers", &providers::path());
    warn_of_unused(reader, "jwt.resources", &resources::path());
    warn_of_unused(reader, "upstreams", &upstreams::path());
    warn_of_http_settings(reader, &defined.upstreams, &routes);
    (routes.into_iter().map(|(_, route)| route).collect(), added)
}

/// Notes that there is no route, unless no listener asks for one.
fn some_where_needed(reader: &mut Reader<'_>, list: &JsonPath, listeners: &listeners::Defined) {
    if !listeners.is_tcp.is_empty() && listeners.is_tcp.iter().all(|is_tcp| *is_tcp) {
        if reader.count(list) > 0 {
            reader.warning(list, "every listener has tcp, so no request comes to a route");
        }
    } else if reader.value.is_object() && !reader.is_typed(list) {
        let what = "lacks the key \"routes\", which has no default";
        reader.problem(&JsonPath::default(), what);
    } else if reader.value_at(list).is_some_and(|value| value == &json!([])) {
        reader.problem(list, "is empty; allowed: 1 or more");
    }
}

fn refuse_ties(reader: &mut Reader<'_>, routes: &[(JsonPath, RouteConfig)]) {
    let matches: Vec<&RouteMatch> = routes.iter().map(|(_, route)| &route.selects).collect();
    for (earlier, later) in ties(&matches) {
        let (path, _) = &routes[later];
        let (other, _) = &routes[earlier];
        let what = format!(
            "takes the same requests as {other}; allowed: a match that differs in listener, host, path, methods, headers or query"
        );
        reader.problem(&path.join("match"), what);
    }
}

fn warn_of_silent_listeners(
    reader: &mut Reader<'_>,
    listeners: &listeners::Defined,
    routes: &[(JsonPath, RouteConfig)],
) {
    for (index, _) in listeners.is_tcp.iter().enumerate().filter(|(_, is_tcp)| !**is_tcp) {
        let other = |only: ListenerId| only.index() != index;
        if routes.iter().all(|(_, route)| route.selects.listener.is_some_and(other)) {
            let path = JsonPath::from(["listeners"]).join(index);
            reader.warning(&path, "no route is for it, so it answers 404 to everything");
        }
    }
}

fn warn_of_unused(reader: &mut Reader<'_>, section: &'static str, path: &JsonPath) {
    for name in reader.names(path) {
        if !reader.is_used(section, &name) {
            reader.warning(&path.join(name.as_str()), "nothing uses it");
        }
    }
}

/// Warns of what HTTP alone makes use of, on upstreams of tcp listeners alone.
fn warn_of_http_settings(
    reader: &mut Reader<'_>,
    upstreams: &[String],
    routes: &[(JsonPath, RouteConfig)],
) {
    let proxied: HashSet<usize> = routes
        .iter()
        .filter_map(|(_, route)| match &route.action {
            Action::Proxy(id) => Some(id.index()),
            Action::Respond(_) | Action::Redirect(_) => None,
        })
        .collect();
    for (index, name) in upstreams.iter().enumerate() {
        if proxied.contains(&index) || !reader.is_used("upstreams", name) {
            continue;
        }
        for key in ["host", "idle_connections", "idle_timeout"] {
            let path = upstreams::path().join(name.as_str()).join(key);
            if reader.is_typed(&path) {
                reader.warning(&path, "means nothing to tcp listeners, and no route goes here");
            }
        }
    }
}

fn route(
    reader: &mut Reader<'_>,
    defined: &Defined<'_>,
    issuers: &Issuers<'_>,
    path: &JsonPath,
    raw: Route,
) -> Option<RouteConfig> {
    let name = raw.name.clone().unwrap_or_else(|| path.to_string()).into();
    let takes = if raw.connect.is_some() { Takes::Connects } else { Takes::Requests };
    let at = path.join("match");
    let selects = selects_of(reader, &defined.listeners, &at, takes, &raw.selects);
    let clients = clients(reader, path, &raw);
    let certificates = certificates(reader, path, &raw);
    let action = action(reader, defined, path, &raw, selects.as_ref());
    let maintenance =
        raw.maintenance.as_ref().map(|raw| maintenance(reader, &path.join("maintenance"), raw));
    let hsts = raw.hsts.as_ref().map(|raw| hsts(reader, &path.join("hsts"), raw));
    let connect = connect(reader, path, &raw);
    let rewrite = rewrite(reader, path, &raw, selects.as_ref());
    let [request_fields, response_fields] = [
        ("request_headers", Side::Request, &raw.request_headers),
        ("response_headers", Side::Response, &raw.response_headers),
    ]
    .map(|(key, side, rules)| edits(reader, &path.join(key), defined.reserved, side, rules));
    let cors = raw.cors.as_ref().map(|raw| cors(reader, &path.join("cors"), raw));
    if hsts.is_some() && response_fields.names(Hsts::FIELD) {
        let what = "stands beside response_headers for the same field; allowed: one of them";
        reader.problem(&path.join("hsts"), what);
    }
    if let (Some(_), Some(jwt)) = (&cors, &raw.jwt) {
        check_one_cors(reader, &path.join("jwt"), jwt);
    }
    let bounds = route_bounds(reader, path, &raw.limits, &raw.timeouts);
    let has_rules = raw.jwt.is_some();
    let auth = raw.jwt.and_then(|raw| policy(reader, issuers, &path.join("jwt"), raw));
    // A route whose rules could not be read must not become a route without rules.
    if has_rules && auth.is_none() {
        return None;
    }
    Some(RouteConfig {
        name,
        selects: selects?,
        clients,
        certificates,
        auth,
        maintenance,
        action: action?,
        connect,
        rewrite: rewrite?,
        request_fields,
        response_fields,
        hsts,
        cors,
        bounds,
    })
}

/// Which clients may use the route.
fn clients(reader: &mut Reader<'_>, path: &JsonPath, raw: &Route) -> ClientRule {
    let allow = raw.allow_from.as_deref().unwrap_or_default();
    let allow = prefixes(reader, allow, &path.join("allow_from"));
    let deny = prefixes(reader, &raw.deny_from, &path.join("deny_from"));
    ClientRule::new(&allow, &deny)
}

/// Notes token rules that speak of CORS where the route has rules for it.
fn check_one_cors(reader: &mut Reader<'_>, path: &JsonPath, jwt: &RouteJwt) {
    let typed = [
        ("bypass_preflight", jwt.bypass_preflight),
        ("allowed_origins", !jwt.allowed_origins.is_empty()),
    ];
    for (key, _) in typed.into_iter().filter(|(_, is_typed)| *is_typed) {
        reader
            .problem(&path.join(key), "stands beside cors, which does that; allowed: one of them");
    }
}

/// What the route does with a request that passes.
fn action(
    reader: &mut Reader<'_>,
    defined: &Defined<'_>,
    path: &JsonPath,
    raw: &Route,
    selects: Option<&RouteMatch>,
) -> Option<Action> {
    match (&raw.upstream, &raw.respond, &raw.redirect) {
        (Some(name), None, None) => {
            let path = path.join("upstream");
            upstreams::refer(reader, &defined.upstreams, name, &path).map(Action::Proxy)
        }
        (None, Some(respond), None) => answer(reader, &path.join("respond"), respond),
        (None, None, Some(redirect)) => {
            elsewhere(reader, &path.join("redirect"), redirect, selects)
        }
        (upstream, respond, redirect) => {
            let given = [upstream.is_some(), respond.is_some(), redirect.is_some()];
            let count = given.iter().filter(|given| **given).count();
            let allowed = "exactly one of upstream, respond, redirect";
            reader.problem(path, format!("has {count} actions; allowed: {allowed}"));
            None
        }
    }
}
