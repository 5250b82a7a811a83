//! `limits` and `timeouts`, of all, of a listener and of a route: ranges.

use std::time::Duration;

use super::{JsonPath, Reader};
use crate::control::config::quantity::{Size, Span};
use crate::control::config::raw;
use crate::control::config::raw::bounds::{RouteLimits, RouteTimeouts};
use crate::control::config::settings::{
    Connections, LimitsConfig, ListenerOverrides, RouteOverrides, Workers,
};
use crate::snapshot::limits::{BodyRate, Limits, Timeouts};

/// Shorter waits would end requests on a busy machine that do nothing wrong.
pub(super) const SHORTEST: Span = Span(Duration::from_millis(10));
/// Longer waits are no bound.
pub(super) const DAY: Span = Span(Duration::from_secs(24 * 3600));
const WEEK: Span = Span(Duration::from_secs(7 * 24 * 3600));
const HOUR: Span = Span(Duration::from_secs(3600));

pub(super) fn limits(reader: &mut Reader<'_>, workers: Workers) -> LimitsConfig {
    let raw: raw::Limits = reader.section("limits");
    let at = |key: &str| JsonPath::from(["limits"]).join(key);
    head_bytes(reader, &at("head_bytes"), raw.head_bytes);
    if reader.is_typed(&at("target_bytes")) {
        reader.in_range(&at("target_bytes"), &raw.target_bytes, &Size(64), &raw.head_bytes);
    }
    let request_body_bytes = body_bytes(reader, &at("request_body_bytes"), raw.request_body_bytes);
    let chunk_overhead_bytes =
        chunk_overhead(reader, &at("chunk_overhead_bytes"), raw.chunk_overhead_bytes);
    let body_rate = body_rate(reader, &at("body_rate"), raw.body_rate);
    share(reader, &at("connections"), raw.connections, workers);
    share(reader, &at("connections_per_source"), raw.connections_per_source, workers);
    LimitsConfig {
        connections_per_source: raw.connections_per_source,
        body_rate,
        head_bytes: bytes(raw.head_bytes),
        head_fields: raw.head_fields,
        target_bytes: bytes(raw.target_bytes.min(raw.head_bytes)),
        request_body_bytes,
        chunk_overhead_bytes,
        connections: raw
            .connections
            .map_or(Connections::Fitted(Limits::CONNECTIONS_DEFAULT), Connections::Given),
        pause_when_full: matches!(raw.connections_full, raw::ConnectionsFull::Pause),
        requests_per_connection: raw.requests_per_connection,
        token_cache_entries: raw.token_cache_entries,
    }
}

fn head_bytes(reader: &mut Reader<'_>, path: &JsonPath, size: Size) -> usize {
    let most = Size(Limits::HEAD_BYTES_MAX as u64);
    reader.in_range(path, &size, &Size(1024), &most);
    bytes(size)
}

/// Notes a number that would leave some workers without a part of it.
pub(super) fn share(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    number: Option<usize>,
    workers: Workers,
) {
    if let Workers::Count(count) = workers
        && let Some(number) = number
        && number < count
    {
        let what = format!("{number} is fewer than the workers; allowed: {count} or more");
        reader.problem(path, what);
    }
}

/// Of a listener; `for_all` is what holds where it says nothing.
pub(super) fn listener_bounds(
    reader: &mut Reader<'_>,
    listener: &JsonPath,
    workers: Workers,
    for_all: &LimitsConfig,
    raw: &raw::Listener,
) -> ListenerOverrides {
    let raw::Listener { limits, timeouts, .. } = raw;
    let at = |key: &str| listener.join("limits").join(key);
    let head = limits.head_bytes.map(|size| head_bytes(reader, &at("head_bytes"), size));
    if let Some(target) = &limits.target_bytes {
        let most = Size(head.unwrap_or(for_all.head_bytes) as u64);
        reader.in_range(&at("target_bytes"), target, &Size(64), &most);
    }
    share(reader, &at("connections"), limits.connections, workers);
    share(reader, &at("connections_per_source"), limits.connections_per_source, workers);
    let at = |key: &str| listener.join("timeouts").join(key);
    ListenerOverrides {
        head_bytes: head,
        head_fields: limits.head_fields,
        target_bytes: limits.target_bytes.map(bytes),
        connections: limits.connections,
        connections_per_source: limits.connections_per_source,
        requests_per_connection: limits.requests_per_connection,
        head: timeouts.head.map(|span| wait(reader, &at("head"), span)),
        idle: timeouts.idle.map(|span| wait(reader, &at("idle"), span)),
        connection: lifetime(reader, &at("connection"), timeouts.connection),
    }
}

/// Notes bounds on what a listener with `tcp` does not know.
pub(super) fn only_connections(reader: &mut Reader<'_>, listener: &JsonPath) {
    let keys = [
        (
            "limits",
            ["head_bytes", "head_fields", "target_bytes", "requests_per_connection"].as_slice(),
        ),
        ("timeouts", &["head", "idle", "connection"]),
    ];
    for (section, keys) in keys {
        for key in keys {
            let path = listener.join(section).join(*key);
            if reader.is_typed(&path) {
                let what = "means nothing where there is `tcp`; allowed: limits.connections, limits.connections_per_source";
                reader.problem(&path, what);
            }
        }
    }
}

/// Of a route.
pub(super) fn route_bounds(
    reader: &mut Reader<'_>,
    route: &JsonPath,
    limits: &RouteLimits,
    timeouts: &RouteTimeouts,
) -> RouteOverrides {
    let body = route.join("limits").join("request_body_bytes");
    let overhead = route.join("limits").join("chunk_overhead_bytes");
    let at = |key: &str| route.join("timeouts").join(key);
    RouteOverrides {
        request_body_bytes: limits.request_body_bytes.map(|size| body_bytes(reader, &body, size)),
        chunk_overhead_bytes: limits
            .chunk_overhead_bytes
            .map(|size| chunk_overhead(reader, &overhead, size)),
        body_rate: body_rate(reader, &route.join("limits").join("body_rate"), limits.body_rate),
        response: timeouts.response.map(|span| wait(reader, &at("response"), span)),
        body_progress: timeouts.body_progress.map(|span| wait(reader, &at("body_progress"), span)),
    }
}

fn body_rate(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: Option<raw::bounds::BodyRate>,
) -> Option<BodyRate> {
    let raw::bounds::BodyRate { bytes, within } = raw?;
    reader.in_range(&path.join("bytes"), &bytes, &Size(1), &Size(1 << 30));
    reader.in_range(&path.join("within"), &within, &SHORTEST, &DAY);
    Some(BodyRate { bytes: bytes.0, within: within.0 })
}

/// Of a client connection.
fn lifetime(reader: &mut Reader<'_>, path: &JsonPath, span: Option<Span>) -> Option<Duration> {
    let span = span?;
    reader.in_range(path, &span, &SHORTEST, &WEEK);
    Some(span.0)
}

fn wait(reader: &mut Reader<'_>, path: &JsonPath, span: Span) -> Duration {
    reader.in_range(path, &span, &SHORTEST, &DAY);
    span.0
}

/// Of a request body, for all routes or for one.
fn body_bytes(reader: &mut Reader<'_>, path: &JsonPath, size: Size) -> u64 {
    reader.in_range(path, &size, &Size(0), &Size(1 << 40));
    size.0
}

/// Of a chunked body, for all routes or for one. The last chunk alone takes five bytes.
fn chunk_overhead(reader: &mut Reader<'_>, path: &JsonPath, size: Size) -> usize {
    reader.in_range(path, &size, &Size(64), &Size(1 << 20));
    bytes(size)
}

/// A size in memory; one that is too large for the machine was out of its range already.
pub(super) fn bytes(size: Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

pub(super) fn timeouts(reader: &mut Reader<'_>) -> Timeouts {
    let raw: raw::Timeouts = reader.section("timeouts");
    let at = |key: &str| JsonPath::from(["timeouts"]).join(key);
    reader.in_range(&at("head"), &raw.head, &SHORTEST, &DAY);
    reader.in_range(&at("idle"), &raw.idle, &SHORTEST, &DAY);
    let connection = lifetime(reader, &at("connection"), raw.connection);
    reader.in_range(&at("connect"), &raw.connect, &SHORTEST, &DAY);
    reader.in_range(&at("response"), &raw.response, &SHORTEST, &DAY);
    reader.in_range(&at("body_progress"), &raw.body_progress, &SHORTEST, &DAY);
    reader.in_range(&at("tunnel_idle"), &raw.tunnel_idle, &SHORTEST, &WEEK);
    reader.in_range(&at("drain"), &raw.drain, &Span(Duration::ZERO), &HOUR);
    Timeouts {
        head: raw.head.0,
        idle: raw.idle.0,
        connection,
        connect: raw.connect.0,
        response: raw.response.0,
        body_progress: raw.body_progress.0,
        tunnel_idle: raw.tunnel_idle.0,
        drain: raw.drain.0,
    }
}
