//! What `/readyz` and `/config` say, as JSON. No key, no token, no credential is in it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::control::status::{ProviderStatus, Running};

/// Whether traffic should be sent here, and if not, why not.
pub(super) fn readiness(running: &Running) -> (bool, Value) {
    let missing: Vec<&str> = running.missing_providers().collect();
    let settled = running.settled();
    let ready = missing.is_empty() && settled && !running.draining;
    let body = json!({
        "ready": ready,
        "draining": running.draining,
        "providers_without_keys": missing,
        "keys_on_every_worker": settled,
    });
    (ready, body)
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
    body["unresolved_names"] = running
        .unresolved
        .iter()
        .map(|(name, error)| json!({ "name": name, "error": error }))
        .collect();
    body
}

fn provider(status: &ProviderStatus, now: Instant) -> Value {
    let age = status.confirmed.map(|(at, _)| now.saturating_duration_since(at).as_secs());
    let ignored: Vec<Value> = status
        .ignored
        .iter()
        .map(|(kid, reason)| json!({ "kid": kid, "reason": reason }))
        .collect();
    json!({
        "name": status.name,
        "source": status.source,
        "needed": status.needed,
        "generation": status.generation,
        "keys": status.keys,
        "kids": status.kids,
        "ignored_keys": ignored,
        "age_seconds": age,
        "expired": status.expired,
        "last_error": status.last_error,
        "fetches": {
            "changed": status.fetches.changed,
            "unchanged": status.fetches.unchanged,
            "failed": status.fetches.failed,
        },
    })
}
