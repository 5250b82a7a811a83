//! The key sets of the providers: what they are, and a fetch on demand.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Sources;
use super::answer::Answer;
use super::endpoints::Request;
use crate::control::event::Event;
use crate::control::jwks::refresh::{Outcome, Refreshed};
use crate::control::question::ask;
use crate::control::status::{NextRefresh, ProviderStatus, Running};

/// For a fetch to end: discovery makes three requests of five seconds each.
const REFRESH_WAIT: Duration = Duration::from_secs(16);

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
            let what = "the keys of this provider are inline: there is nothing to fetch\n";
            return Answer::text(409, what);
        }
    }
    let provider = name.as_str().into();
    let asked = ask(&sources.events, REFRESH_WAIT, |reply| Event::AdminRefresh { provider, reply });
    let Some(fetches) = asked else {
        return Answer::text(503, "the fetch has not ended yet; see GET /jwks\n");
    };
    let failed = fetches.iter().all(|fetch| matches!(fetch.outcome, Outcome::Failed(_)));
    let body = json!({
        "provider": name,
        "fetches": fetches.iter().map(fetch).collect::<Vec<_>>(),
    });
    Answer::json(if failed { 502 } else { 200 }, &body)
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
