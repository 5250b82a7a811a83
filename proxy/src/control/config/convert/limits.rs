//! `limits` and `timeouts`: ranges.

use std::time::Duration;

use super::{JsonPath, Reader};
use crate::control::config::quantity::{Size, Span};
use crate::control::config::raw;
use crate::control::config::settings::{Connections, LimitsConfig, Workers};
use crate::snapshot::limits::{Limits, Timeouts};

/// Shorter waits would end requests on a busy machine that do nothing wrong.
pub(super) const SHORTEST: Span = Span(Duration::from_millis(10));
/// Longer waits are no bound.
pub(super) const DAY: Span = Span(Duration::from_secs(24 * 3600));
const WEEK: Span = Span(Duration::from_secs(7 * 24 * 3600));
const HOUR: Span = Span(Duration::from_secs(3600));

pub(super) fn limits(reader: &mut Reader<'_>, workers: Workers) -> LimitsConfig {
    let raw: raw::Limits = reader.section("limits");
    let at = |key: &str| JsonPath::from(["limits"]).join(key);
    let head_max = Size(Limits::HEAD_BYTES_MAX as u64);
    reader.in_range(&at("head_bytes"), &raw.head_bytes, &Size(1024), &head_max);
    if reader.is_typed(&at("target_bytes")) {
        reader.in_range(&at("target_bytes"), &raw.target_bytes, &Size(64), &raw.head_bytes);
    }
    let request_body_bytes = body_bytes(reader, &at("request_body_bytes"), raw.request_body_bytes);
    if let Workers::Count(count) = workers
        && let Some(connections) = raw.connections
        && connections < count
    {
        let what = format!("{connections} is fewer than the workers; allowed: {count} or more");
        reader.problem(&at("connections"), what);
    }
    LimitsConfig {
        head_bytes: bytes(raw.head_bytes),
        head_fields: raw.head_fields,
        target_bytes: bytes(raw.target_bytes.min(raw.head_bytes)),
        request_body_bytes,
        connections: raw
            .connections
            .map_or(Connections::Fitted(Limits::CONNECTIONS_DEFAULT), Connections::Given),
        requests_per_connection: raw.requests_per_connection,
        token_cache_entries: raw.token_cache_entries,
    }
}

/// Of a request body, for all routes or for one.
pub(super) fn body_bytes(reader: &mut Reader<'_>, path: &JsonPath, size: Size) -> u64 {
    reader.in_range(path, &size, &Size(0), &Size(1 << 40));
    size.0
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
    reader.in_range(&at("connect"), &raw.connect, &SHORTEST, &DAY);
    reader.in_range(&at("response"), &raw.response, &SHORTEST, &DAY);
    reader.in_range(&at("body_progress"), &raw.body_progress, &SHORTEST, &DAY);
    reader.in_range(&at("tunnel_idle"), &raw.tunnel_idle, &SHORTEST, &WEEK);
    reader.in_range(&at("drain"), &raw.drain, &Span(Duration::ZERO), &HOUR);
    Timeouts {
        head: raw.head.0,
        idle: raw.idle.0,
        connect: raw.connect.0,
        response: raw.response.0,
        body_progress: raw.body_progress.0,
        tunnel_idle: raw.tunnel_idle.0,
        drain: raw.drain.0,
    }
}
