//! The path that goes upstream.

use std::borrow::Cow;
use std::cell::RefCell;

use super::reason::Gate;
use crate::http1::is_normal_path;
use crate::snapshot::Snapshot;
use crate::snapshot::ids::RouteId;
use crate::snapshot::path_normalization::PathNormalization;
use crate::snapshot::rewrite::{Rewrite, Scratch};

/// What the patterns of a snapshot's routes need to run on this worker, by route, from the first time.
#[derive(Debug, Default)]
pub(super) struct Rewrites(RefCell<Vec<Option<Scratch>>>);

impl Rewrites {
    /// The path that the upstream of a route is asked for.
    pub(super) fn path<'p>(
        &self,
        snapshot: &Snapshot,
        id: RouteId,
        path: &'p str,
    ) -> Result<Cow<'p, str>, Gate> {
        let rewrite = snapshot.routes.route(id).rewrite.as_ref();
        let form = snapshot.path_normalization;
        if !matches!(rewrite, Some(Rewrite::Pattern(_))) {
            return upstream_path(rewrite, path, form, &mut None);
        }
        let mut all = self.0.borrow_mut();
        if all.len() <= id.index() {
            all.resize_with(id.index() + 1, || None);
        }
        upstream_path(rewrite, path, form, &mut all[id.index()])
    }
}

/// The path that an upstream is asked for where a request's is `path`.
///
/// # Errors
/// When the route has no path for it, or one that is none.
pub fn upstream_path<'p>(
    rewrite: Option<&Rewrite>,
    path: &'p str,
    form: PathNormalization,
    scratch: &mut Option<Scratch>,
) -> Result<Cow<'p, str>, Gate> {
    match rewrite {
        // The server as a whole has no path.
        _ if path == "*" => Ok(Cow::Borrowed(path)),
        None => Ok(Cow::Borrowed(path)),
        Some(Rewrite::Prefix(rewrite)) => Ok(Cow::Owned(rewrite.apply(path))),
        Some(Rewrite::Pattern(rewrite)) => {
            let path = rewrite.apply(path, scratch).ok_or(Gate::RewriteUnmatched)?;
            // Groups may have taken parts of an escape, or leave what together is a dot segment.
            let is_path = is_normal_path(&path, form);
            is_path.then_some(Cow::Owned(path)).ok_or(Gate::RewriteInvalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::rewrite::{PatternRewrite, PrefixRewrite};

    #[test]
    fn what_groups_make_is_a_path_or_an_error() {
        for (pattern, to, path, expected) in [
            ("/x/(.*)", "/$1", "/x/a/b", Ok("/a/b")),
            ("/x/(.*)", "/$1", "/y", Err(Gate::RewriteUnmatched)),
            ("/x/(.*)", "$1", "/x/a", Err(Gate::RewriteInvalid)),
            ("/x(.*)", "/$1", "/x/a", Err(Gate::RewriteInvalid)),
            ("/x/.(.*)", "/$1/a", "/x/a..", Err(Gate::RewriteInvalid)),
            ("/x/(.)(.*)", "/$2/$1", "/x/.a/..b", Err(Gate::RewriteInvalid)),
            ("/x/(.*)2F", "/${1}2e", "/x/%2F", Err(Gate::RewriteInvalid)),
            ("/x/(.*)", "/$1", "/x/a%2Fb", Ok("/a%2Fb")),
            ("/x/%2(.*)", "/$1", "/x/%2F..", Ok("/F..")),
            ("/x/(.*)\\.(.*)", "/$1./$2", "/x/..", Err(Gate::RewriteInvalid)),
        ] {
            let rewrite = Rewrite::Pattern(PatternRewrite::parse(pattern, to).unwrap());
            let found = upstream_path(Some(&rewrite), path, PathNormalization::On, &mut None);
            assert_eq!(found.as_deref().map_err(|gate| *gate), expected, "{pattern} {to} {path}");
        }
    }

    #[test]
    fn the_server_as_a_whole_is_no_path() {
        let rewrite = Rewrite::Prefix(PrefixRewrite::new(0, "/new"));
        let found = upstream_path(Some(&rewrite), "*", PathNormalization::On, &mut None);
        assert_eq!(found.as_deref(), Ok("*"));
    }

    proptest::proptest! {
        /// Whatever normal path comes in, what goes out is one.
        #[test]
        fn a_normal_path_stays_normal(
            path in "(/[a.;%0-9A-F]{0,4}){0,5}/?",
            to in proptest::sample::select(vec!["/", "/new", "/new/", "/a/b"]),
            segments in 0..3_usize,
        ) {
            let path = if path.is_empty() { "/" } else { &path };
            if is_normal_path(path, PathNormalization::On) {
                let rewrite = Rewrite::Prefix(PrefixRewrite::new(segments, to));
                let found = upstream_path(Some(&rewrite), path, PathNormalization::On, &mut None);
                let found = found.unwrap();
                proptest::prop_assert!(is_normal_path(&found, PathNormalization::On), "{}", found);
            }
        }
    }
}
