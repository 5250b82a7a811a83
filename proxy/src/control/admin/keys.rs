//! The key sets of the providers: what they are, and a fetch on demand.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoints::Request;
use super::{Sources, view};
use crate::control::event::Event;
use crate::control::jwks::public_jwk;
use crate::control::jwks::refresh::{Outcome, Refreshed};
use crate::control::question::ask;
use crate::control::status::{NextRefresh, ProviderStatus, Running, SourceStatus};
use crate::snapshot::key_set::{Algorithm, VerificationKey};

/// For a fetch to end: discovery makes three requests of five seconds each.
const REFRESH_WAIT: Duration = Duration::from_secs(16);

/// Every provider's keys, or those of one.
pub(super) fn show(request: &Request, sources: &Sources, now: Instant) -> Answer {
    let running = sources.status.lock();
    let wanted = request.head.parameter("provider");
    let of_interest =
        |one: &&ProviderStatus| wanted.as_ref().is_none_or(|wanted| one.name == *wanted);
    let shown: Vec<_> = running.providers.iter().filter(of_interest).collect();
    match &wanted {
        Some(name) if shown.is_empty() => unknown_provider(name, &running),
        _ => {
            let providers: Vec<_> = shown.into_iter().map(|one| provider(one, now)).collect();
            Answer::json(200, &json!({ "providers": providers }))
        }
    }
}

fn provider(status: &ProviderStatus, now: Instant) -> Value {
    let in_set = status.keys.iter().flat_map(|keys| keys.iter()).map(|key| (key, None));
    let lingering = status.lingering.iter().map(|one| (&one.key, Some(one.until)));
    let keys = in_set.chain(lingering).map(|(key, until)| jwk(key, until, now));
    json!({
        "name": status.name,
        "needed": status.needed,
        "generation": status.generation,
        "age_seconds": age(status.confirmed, now),
        "expired": status.expired,
        "sources": status.sources.iter().map(|one| source(one, now)).collect::<Vec<_>>(),
        "keys": keys.collect::<Vec<_>>(),
    })
}

fn source(status: &SourceStatus, now: Instant) -> Value {
    let ignored = status.ignored.iter().map(|key| {
        json!({
            "index": key.index,
            "kid": key.kid,
            "reason": key.reason.code(),
            "detail": key.reason.to_string(),
        })
    });
    let next = match status.refresh {
        NextRefresh::Never | NextRefresh::InFlight => None,
        NextRefresh::At(at) => Some(at.saturating_duration_since(now).as_secs()),
    };
    json!({
        "place": status.place,
        "in_use": status.in_use,
        "generation": status.generation,
        "keys": status.keys,
        "age_seconds": age(status.confirmed, now),
        "fetching": status.refresh == NextRefresh::InFlight,
        "next_refresh_seconds": next,
        "last_error": status.last_error,
        "fetches": view::fetches(status.fetches),
        "ignored_keys": ignored.collect::<Vec<_>>(),
    })
}

/// A key as a JWK, with what it may verify, its thumbprint, and how long it has left where its set
/// has it no more.
fn jwk(key: &VerificationKey, until: Option<Instant>, now: Instant) -> Value {
    let public = key.public();
    // Of a secret there is nothing to show but what it is.
    let members = public.map_or_else(|| vec![("kty", "oct".into())], public_jwk::members);
    let mut jwk: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let algorithms: Vec<_> = key.algorithms().iter().map(Algorithm::name).collect();
    let left = until.map(|until| until.saturating_duration_since(now).as_secs());
    jwk.insert("kid".into(), json!(key.kid()));
    jwk.insert("algorithms".into(), json!(algorithms));
    jwk.insert("thumbprint".into(), json!(public.map(public_jwk::thumbprint)));
    jwk.insert("vanished".into(), until.is_some().into());
    jwk.insert("grace_left_seconds".into(), json!(left));
    jwk.into()
}

fn age(confirmed: Option<(Instant, SystemTime)>, now: Instant) -> Option<u64> {
    confirmed.map(|(at, _)| now.saturating_duration_since(at).as_secs())
}

/// Fetches the keys of one provider now and says what came of it.
pub(super) fn refresh(request: &Request, sources: &Sources, _now: Instant) -> Answer {
    let Some(name) = request.head.parameter("provider") else {
        return Answer::text(400, "which provider? POST /jwks/refresh?provider=NAME\n");
    };
    {
        let running = sources.status.lock();
        let Some(provider) = running.providers.iter().find(|one| one.name == name) else {
            return unknown_provider(&name, &running);
        };
        if !has_source(provider) {
            return nothing_to_fetch();
        }
    }
    let provider = name.as_str().into();
    let asked = ask(&sources.events, REFRESH_WAIT, |reply| Event::AdminRefresh { provider, reply });
    let Some(fetches) = asked else {
        return Answer::text(503, "the fetch has not ended yet; see GET /jwks\n");
    };
    if fetches.is_empty() {
        return nothing_to_fetch();
    }
    let failed = fetches.iter().all(|fetch| matches!(fetch.outcome, Outcome::Failed(_)));
    let body = json!({
        "provider": name,
        "fetches": fetches.iter().map(fetch).collect::<Vec<_>>(),
    });
    Answer::json(if failed { 502 } else { 200 }, &body)
}

fn nothing_to_fetch() -> Answer {
    Answer::text(409, "the keys of this provider are inline: there is nothing to fetch\n")
}

fn has_source(provider: &ProviderStatus) -> bool {
    provider.sources.iter().any(|source| source.refresh != NextRefresh::Never)
}

fn fetch(fetch: &Refreshed) -> Value {
    let (result, error) = match &fetch.outcome {
        Outcome::Changed => ("changed", None),
        Outcome::Unchanged => ("unchanged", None),
        Outcome::Failed(error) => ("failed", Some(error)),
    };
    json!({
        "source": fetch.place,
        "result": result,
        "error": error,
        "was_in_flight": fetch.joined,
    })
}

fn unknown_provider(name: &str, running: &Running) -> Answer {
    let there: Vec<_> = running.providers.iter().map(|one| one.name.as_str()).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    Answer::text(404, format!("no provider is called {name:?}; there are: {there}\n"))
}
