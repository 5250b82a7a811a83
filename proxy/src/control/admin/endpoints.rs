//! What there is to ask the administration listener for: one table of paths and methods.

use std::time::Instant;

use super::answer::Answer;
use super::request::{Head, Method};
use super::{Sources, deny, explain, guard, keys, metrics, shield, view};
use crate::http1::BodyLength;

/// A whole request.
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// One thing to ask for.
pub(super) struct Endpoint {
    path: &'static str,
    /// GET stands for HEAD as well.
    method: Method,
    /// 0 where it takes no body.
    pub(super) body_bytes_max: usize,
    answer: fn(&Request, &Sources, Instant) -> Answer,
}

impl Endpoint {
    const fn new(
        method: Method,
        path: &'static str,
        answer: fn(&Request, &Sources, Instant) -> Answer,
    ) -> Self {
        Self { path, method, body_bytes_max: 0, answer }
    }

    const fn taking(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    pub(super) fn answer(&self, request: &Request, sources: &Sources, now: Instant) -> Answer {
        (self.answer)(request, sources, now)
    }
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new(Method::Get, "/livez", |_, _, _| Answer::text(200, "ok\n")),
    Endpoint::new(Method::Get, "/readyz", |_, sources, _| view::readyz(sources)),
    Endpoint::new(Method::Get, "/metrics", |_, sources, now| metrics::answer(sources, now)),
    Endpoint::new(Method::Get, "/config", |_, sources, now| {
        Answer::json(200, &view::config(&sources.status.lock(), now))
    }),
    Endpoint::new(Method::Get, "/jwks", keys::show),
    Endpoint::new(Method::Post, "/jwks/refresh", keys::refresh),
    Endpoint::new(Method::Get, "/deny", deny::list),
    Endpoint::new(Method::Post, "/deny", deny::add).taking(deny::BODY_BYTES_MAX),
    Endpoint::new(Method::Delete, "/deny", deny::remove).taking(deny::BODY_BYTES_MAX),
    Endpoint::new(Method::Get, "/shield", shield::show),
    Endpoint::new(Method::Delete, "/shield", shield::lift),
    Endpoint::new(Method::Post, "/explain", explain::answer).taking(explain::BODY_BYTES_MAX),
];

/// Which endpoint a request asks for, or why none.
pub(super) fn find(head: &Head, hosts: &[Box<str>]) -> Result<&'static Endpoint, Answer> {
    let here = || ENDPOINTS.iter().filter(|endpoint| endpoint.path == head.path);
    if here().next().is_none() {
        return Err(Answer::text(404, format!("here are {}\n", paths().join(", "))));
    }
    let method = if head.method == Method::Head { Method::Get } else { head.method };
    let Some(endpoint) = here().find(|endpoint| endpoint.method == method) else {
        return Err(Answer::not_allowed(here().flat_map(allowed).collect()));
    };
    if endpoint.method.changes() {
        guard::check(head, hosts)?;
    }
    if endpoint.body_bytes_max == 0 && head.body != BodyLength::None {
        return Err(Answer::text(413, "no body is wanted here\n"));
    }
    // A parameter may do instead of the body of a DELETE.
    let needs_body = endpoint.body_bytes_max > 0 && method == Method::Post;
    if needs_body && !head.has_length {
        return Err(Answer::text(411, "a body is wanted here, and its length before it\n"));
    }
    Ok(endpoint)
}

fn allowed(endpoint: &Endpoint) -> Vec<Method> {
    match endpoint.method {
        Method::Get => vec![Method::Get, Method::Head],
        other => vec![other],
    }
}

fn paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    paths.dedup();
    paths
}
