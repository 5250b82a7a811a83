//! Where a redirect leads.

use super::reason::Gate;
use crate::auth::Removal;
use crate::http1::{RequestHead, without_port};
use crate::snapshot::redirect::{Redirect, RedirectPath, Scheme};

/// The `Location` of a redirect for a request of a client that has come by `scheme`. The token does
/// not go along in the query: whoever gets it there need not be who it is for.
///
/// # Errors
/// When neither the route nor the request names a host: without one, a path that begins with two
/// slashes would lead anywhere.
pub fn location(
    redirect: &Redirect,
    head: &RequestHead<'_, '_>,
    scheme: Scheme,
    removal: Removal<'_>,
) -> Result<String, Gate> {
    let host = match (&redirect.host, redirect.scheme) {
        (Some(host), _) => host,
        // The port goes with the scheme that it was for.
        (None, Some(_)) => without_port(head.host),
        (None, None) => head.host,
    };
    if host.is_empty() {
        return Err(Gate::RedirectHost);
    }
    let path = if head.path == "*" { "/" } else { &head.path };
    let rewritten;
    let path = match &redirect.path {
        RedirectPath::Keep => path,
        RedirectPath::Fixed(fixed) => fixed,
        RedirectPath::Prefix(prefix) => {
            rewritten = prefix.apply(path);
            &rewritten
        }
    };
    let mut location = format!("{}://{host}{path}", redirect.scheme.unwrap_or(scheme).name());
    if let Some(query) = head.target.query().filter(|_| redirect.keeps_query) {
        let mut mark = '?';
        for part in removal.parameters_left(query) {
            location.push(mark);
            location.push_str(part);
            mark = '&';
        }
    }
    Ok(location)
}
