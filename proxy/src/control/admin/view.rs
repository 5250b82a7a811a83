//! What `/readyz` and `/config` say, as JSON. No key, no token, no credential is in it.

use std::time::Instant;

use serde_json::{Value, json};

use super::Sources;
use super::answer::Answer;
use crate::control::status::{FetchCounts, ProviderStatus, Running};

/// Whether traffic should be sent here, and if not, why not.
pub(super) fn readyz(sources: &Sources) -> Answer {
    let running = sources.status.lock();
    let missing: Vec<&str> = running.missing_providers().collect();
    let settled = running.settled();
    let ready = missing.is_empty() && settled && !running.draining;
    let body = json!({
        "ready": ready,
        "draining": running.draining,
        "providers_without_keys": missing,
        "keys_on_every_worker": settled,
    });
    Answer::json(if ready { 200 } else { 503 }, &body)
}

/// What runs. `running.config` is an object made at the last reload; the rest is of now.
pub(super) fn config(running: &Running, now: Instant) -> Value {
    let mut body = running.config.clone();
    body["generation"] = json!(running.oldest_running.0);
    body["published_generation"] = json!(running.published.0);
    body["config_generation"] = json!(running.config_generation);
    body["reloads"] = json!({
        "applied": running.reloads.applied,
        "refused": running.reloads.refused,
        "last_error": running.reloads.last_error,
    });
    body["draining"] = json!(running.draining);
    body["providers"] = running.providers.iter().map(|one| provider(one, now)).collect();
    let assists = running.assists.iter();
    body["kernel"] = assists.map(|one| (one.assist.name().to_owned(), one.describe())).collect();
    body["unresolved_names"] = running
        .unresolved
        .iter()
        .map(|(name, error)| json!({ "name": name, "error": error }))
        .collect();
    body
}

fn provider(status: &ProviderStatus, now: Instant) -> Value {
    let age = status.confirmed.map(|(at, _)| now.saturating_duration_since(at).as_secs());
    let active = status.active();
    let ignored = active.into_iter().flat_map(|source| source.ignored.iter());
    let ignored: Vec<Value> =
        ignored.map(|key| json!({ "kid": key.kid, "reason": key.reason.to_string() })).collect();
    json!({
        "name": status.name,
        "source": active.map(|source| &source.place),
        "needed": status.needed,
        "generation": status.generation,
        "keys": status.key_count(),
        "kids": status.kids(),
        "ignored_keys": ignored,
        "age_seconds": age,
        "expired": status.expired,
        "last_error": status.last_error(),
        "fetches": fetches(status.fetches()),
    })
}

/// How fetches ended.
pub(super) fn fetches(counts: FetchCounts) -> Value {
    json!({
        "changed": counts.changed,
        "unchanged": counts.unchanged,
        "failed": counts.failed,
    })
}
