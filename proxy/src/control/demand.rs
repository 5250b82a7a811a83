//! What a configuration needs from outside: key sets and addresses; and what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::config::{Config, EndpointConfig, JwksSource, ProviderConfig};
use super::jwks::location::Location;
use super::jwks::member::Previous;
use super::jwks::parse::IgnoredKey;
use super::jwks::sources::{Place, Sources, Wanted};
use super::publish::ProviderKeys;
use super::resolve::HostPort;
use super::status::{FetchCounts, NextRefresh, ProviderStatus, SourceStatus};
use crate::snapshot::key_set::KeySet;

/// The sources of keys; inline keys need none.
#[must_use]
pub fn sources(config: &Config) -> Vec<Wanted> {
    let wanted = config.providers.iter().map(|provider| Wanted {
        provider: provider.name.clone(),
        places: provider.sources.iter().filter_map(place).collect(),
        max_stale: provider.max_stale,
        key_grace: provider.key_grace,
        unknown_kid_interval: provider.unknown_kid_interval,
    });
    wanted.filter(|wanted| !wanted.places.is_empty()).collect()
}

fn place(source: &JwksSource) -> Option<Place> {
    match source {
        JwksSource::Inline { .. } => None,
        JwksSource::File(path) => Some(Place {
            location: Location::File(path.clone()),
            transport: Arc::default(),
            refresh_interval: None,
        }),
        JwksSource::Secrets { path, algorithms } => Some(Place {
            location: Location::Secrets { path: path.clone(), algorithms: *algorithms },
            transport: Arc::default(),
            refresh_interval: None,
        }),
        JwksSource::Url { url, discover, refresh_interval, transport } => Some(Place {
            location: if *discover {
                Location::Issuer(url.clone())
            } else {
                Location::Url(url.clone())
            },
            transport: transport.clone(),
            refresh_interval: *refresh_interval,
        }),
    }
}

/// The names of upstream endpoints.
pub fn names(config: &Config) -> impl Iterator<Item = HostPort> {
    let endpoints = config.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    endpoints.filter_map(|endpoint| match endpoint {
        EndpointConfig::Fixed(_) => None,
        EndpointConfig::Name { host, port, .. } => Some((host.clone(), *port)),
    })
}

/// The keys fetched so far; inline ones are in the configuration.
#[must_use]
pub fn keys(sources: &Sources, now: Instant) -> ProviderKeys {
    sources.keys(now).map(|(name, keys)| (name.into(), keys)).collect()
}

/// The keys that providers have now and keep over a reload until a source of the new configuration
/// has some. Those of a provider that is another issuer's from now on are none of its keys.
#[must_use]
pub fn previous(
    old: &Config,
    new: &Config,
    sources: &Sources,
    now: Instant,
) -> HashMap<Box<str>, Previous> {
    let statuses = provider_statuses(old, sources, now).into_iter().zip(&old.providers);
    let kept = statuses.filter_map(|(status, provider)| {
        let stays = |one: &&ProviderConfig| {
            one.name == provider.name
                && one.issuer == provider.issuer
                && one.inline_keys().is_none()
        };
        new.providers.iter().find(stays)?;
        let confirmed = status.confirmed.unwrap_or_else(|| (now, SystemTime::now()));
        Some((provider.name.clone(), Previous { keys: status.keys?, confirmed }))
    });
    kept.collect()
}

/// What there is to tell about each provider.
#[must_use]
pub fn provider_statuses(config: &Config, sources: &Sources, now: Instant) -> Vec<ProviderStatus> {
    let each = config.providers.iter().enumerate().map(|(index, provider)| {
        let mut status = sources.status(&provider.name, now).unwrap_or_default();
        if let Some((keys, ignored)) = provider.inline_keys() {
            let in_use = status.keys.is_none();
            if in_use {
                status.keys = Some(Arc::clone(keys));
                status.generation = 1;
                status.expired = false;
                status.confirmed = None;
                status.sources.iter_mut().for_each(|source| source.in_use = false);
            }
            status.sources.push(inline(keys, ignored, in_use));
        }
        let needed = config
            .routes
            .iter()
            .filter_map(|route| route.auth.as_ref())
            .any(|policy| policy.providers.iter().any(|id| id.index() == index));
        ProviderStatus { name: provider.name.to_string(), needed, ..status }
    });
    each.collect()
}

/// Keys in the configuration are what it says they are, from its reading on.
fn inline(keys: &KeySet, ignored: &Arc<[IgnoredKey]>, in_use: bool) -> SourceStatus {
    SourceStatus {
        place: "inline".to_owned(),
        in_use,
        generation: 1,
        keys: keys.len(),
        ignored: Arc::clone(ignored),
        confirmed: None,
        refresh: NextRefresh::Never,
        last_error: None,
        fetches: FetchCounts::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::control::config::parse;

    const TEXT: &str = r#"{
        "listeners": [{ "name": "a", "address": "127.0.0.1:0" }],
        "jwt": { "providers": {
            "inline": { "issuer": "https://a.example/", "audiences": "any", "jwks": { "inline": { "keys": [
                { "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] } } },
            "remote": { "issuer": "https://b.example/", "audiences": "any",
                "jwks": { "url": "https://b.example/jwks", "refresh_interval": "5m" } } } },
        "upstreams": { "u": { "endpoints": ["10.0.0.1:80", "name.example:81"] } },
        "routes": [{ "match": { "path_prefix": "/" }, "jwt": { "providers": ["remote"] }, "upstream": "u" }]
    }"#;

    #[test]
    fn a_configuration_asks_for_remote_sets_and_names() {
        let config = parse(TEXT, Path::new("test.json")).unwrap();
        let remote = Wanted {
            provider: "remote".into(),
            places: vec![Place {
                location: Location::Url("https://b.example/jwks".into()),
                transport: Arc::default(),
                refresh_interval: Some(Duration::from_secs(300)),
            }],
            max_stale: Some(Duration::from_secs(24 * 3600)),
            key_grace: Duration::ZERO,
            unknown_kid_interval: Duration::from_secs(10),
        };
        assert_eq!(sources(&config), [remote]);
        assert_eq!(names(&config).collect::<Vec<_>>(), [("name.example".into(), 81)]);
    }

    #[test]
    fn a_provider_is_needed_when_a_route_asks_for_it() {
        let config = parse(TEXT, Path::new("test.json")).unwrap();
        let statuses = provider_statuses(&config, &Sources::new(channel().0), Instant::now());
        let told: Vec<_> = statuses
            .iter()
            .map(|status| (&*status.name, status.needed, status.key_count()))
            .collect();
        assert_eq!(told, [("inline", false, 1), ("remote", true, 0)]);
        assert_eq!(statuses[0].kids(), ["k1"]);
    }
}
