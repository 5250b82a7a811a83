//! `rewrite` of a route: the path that its upstream is asked for.

use super::{JsonPath, Reader};
use crate::control::config::raw::routes::Route;
use crate::http1::is_normal_path;
use crate::snapshot::path_normalization::PathNormalization;
use crate::snapshot::rewrite::{PatternRewrite, PrefixRewrite, Rewrite};
use crate::snapshot::route_match::{PathKind, PathPattern, RouteMatch};

/// The rewrite of a route, if it has one; the outer one: none where it is bad.
pub(super) fn rewrite(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Route,
    selects: Option<&RouteMatch>,
) -> Option<Option<Rewrite>> {
    let path = path.join("rewrite");
    let Some(typed) = &raw.rewrite else { return Some(None) };
    if raw.upstream.is_none() {
        reader.problem(&path, "stands in a route without upstream; allowed: beside upstream");
    }
    match (&typed.prefix, &typed.pattern, &typed.to) {
        (Some(prefix), None, None) => {
            prefix_rewrite(reader, &path, "prefix", prefix, selects).map(Rewrite::Prefix).map(Some)
        }
        (None, Some(pattern), Some(to)) => {
            pattern_rewrite(reader, &path, pattern, to).map(Rewrite::Pattern).map(Some)
        }
        _ => {
            let what = "is no rewrite; allowed: prefix alone, or pattern and to";
            reader.problem(&path, what);
            None
        }
    }
}

/// A path in place of the match's `path_prefix`.
pub(super) fn prefix_rewrite(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    key: &str,
    to: &str,
    selects: Option<&RouteMatch>,
) -> Option<PrefixRewrite> {
    let is_good = check_path(reader, &path.join(key), to);
    let pattern = &selects?.path;
    if pattern.kind() == PathKind::Exact {
        let what = "stands beside a match with path; allowed: with path_prefix";
        reader.problem(&path.join(key), what);
        return None;
    }
    is_good.then(|| PrefixRewrite::new(pattern.segments().len(), to))
}

/// Notes a text that is no path in normal form.
pub(super) fn check_path(reader: &mut Reader<'_>, path: &JsonPath, text: &str) -> bool {
    let allowed = "a path such as \"/\", \"/orders\" or \"/orders/\"";
    if let Err(why) = PathPattern::parse(text, PathKind::Prefix) {
        reader.problem(path, format!("{text:?} {why}; allowed: {allowed}"));
        return false;
    }
    let is_normal = is_normal_path(text, PathNormalization::On);
    if !is_normal {
        let what = "is not in normal form (RFC 3986 section 6.2.2)";
        reader.problem(path, format!("{text:?} {what}; allowed: {allowed}"));
    }
    is_normal
}

fn pattern_rewrite(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    pattern: &str,
    to: &str,
) -> Option<PatternRewrite> {
    let at = path.join("to");
    match PatternRewrite::parse(pattern, to) {
        Err(error) if error.is_of_pattern() => {
            let allowed = "a regular expression such as \"/v1/(.*)\"";
            let what = format!("{pattern:?} {error}; allowed: {allowed}");
            reader.problem(&path.join("pattern"), what);
            None
        }
        Err(error) => {
            let allowed = "a path with $1, ${name} or $$, such as \"/v2/$1\"";
            reader.problem(&at, format!("{to:?} {error}; allowed: {allowed}"));
            None
        }
        Ok(rewrite) => {
            let path_char =
                |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@%/;".contains(&b);
            if !rewrite.literals().all(|text| text.bytes().all(path_char)) {
                let what =
                    "has a character that no path has; allowed: a path with $1, ${name} or $$";
                reader.problem(&at, format!("{to:?} {what}"));
                return None;
            }
            if !to.starts_with(['/', '$']) {
                reader.problem(
                    &at,
                    format!("{to:?} does not begin with / or a group; allowed: such as \"/v2/$1\""),
                );
                return None;
            }
            Some(rewrite)
        }
    }
}
