//! `connect` of a route: that it takes CONNECT, and to where.

use super::{JsonPath, Reader};
use crate::control::config::raw::routes::Route;
use crate::snapshot::connect_rule::ConnectRule;

/// The rule of a route that takes CONNECT.
pub(super) fn connect(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Route,
) -> Option<ConnectRule> {
    let ports = raw.connect.as_ref()?.ports.clone();
    if raw.upstream.is_none() {
        let what = "stands in a route without upstream; allowed: beside upstream";
        reader.problem(&path.join("connect"), what);
    }
    let keys = [("rewrite", raw.rewrite.is_some()), ("cors", raw.cors.is_some())];
    let of_match = [
        ("path", raw.selects.path.is_some()),
        ("path_prefix", raw.selects.path_prefix.is_some()),
        ("methods", raw.selects.methods.is_some()),
        ("query", !raw.selects.query.is_empty()),
    ];
    let places = keys.map(|(key, is_typed)| (path.join(key), is_typed));
    let of_match = of_match.map(|(key, is_typed)| (path.join("match").join(key), is_typed));
    for (place, _) in places.iter().chain(&of_match).filter(|(_, is_typed)| *is_typed) {
        let what = "stands beside connect, which is for CONNECT alone, and its target has no path; allowed: without it";
        reader.problem(place, what);
    }
    Some(ConnectRule::new(ports))
}
