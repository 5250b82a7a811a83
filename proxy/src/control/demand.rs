//! What a configuration needs from outside: key sets and addresses; and what came of it.

use std::sync::Arc;
use std::time::Instant;

use super::config::{Config, EndpointConfig, JwksSource};
use super::jwks::location::Location;
use super::jwks::source::kids;
use super::jwks::sources::{Place, Sources, Wanted};
use super::publish::ProviderKeys;
use super::resolve::HostPort;
use super::status::ProviderStatus;

/// The sources of keys; inline keys need none.
#[must_use]
pub fn sources(config: &Config) -> Vec<Wanted> {
    let wanted = config.providers.iter().map(|provider| Wanted {
        provider: provider.name.clone(),
        places: provider.sources.iter().filter_map(place).collect(),
        max_stale: provider.max_stale,
    });
    wanted.filter(|wanted| !wanted.places.is_empty()).collect()
}

fn place(source: &JwksSource) -> Option<Place> {
    match source {
        JwksSource::Inline(_) => None,
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
        EndpointConfig::Name { host, port } => Some((host.clone(), *port)),
    })
}

/// The keys fetched so far; inline ones are in the configuration.
#[must_use]
pub fn keys(sources: &Sources, now: Instant) -> ProviderKeys {
    sources.keys(now).map(|(name, keys)| (name.into(), keys.clone())).collect()
}

/// What there is to tell about each provider.
#[must_use]
pub fn provider_statuses(config: &Config, sources: &Sources, now: Instant) -> Vec<ProviderStatus> {
    let each = config.providers.iter().enumerate().map(|(index, provider)| {
        let inline = provider.sources.iter().find_map(|source| match source {
            JwksSource::Inline(keys) => Some(keys),
            JwksSource::File(_) | JwksSource::Secrets { .. } | JwksSource::Url { .. } => None,
        });
        let status = sources.status(&provider.name, now);
        let status = match (status, inline) {
            (Some(status), _) if status.keys > 0 => status,
            (_, Some(keys)) => ProviderStatus {
                source: "inline".to_owned(),
                generation: 1,
                keys: keys.len(),
                kids: kids(keys),
                ..ProviderStatus::default()
            },
            (status, None) => status.unwrap_or_default(),
        };
        let needed = config
            .routes
            .iter()
            .filter_map(|route| route.auth.as_ref())
            .any(|policy| policy.providers.iter().any(|id| id.index() == index));
        ProviderStatus { name: provider.name.to_string(), needed, ..status }
    });
    each.collect()
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
        };
        assert_eq!(sources(&config), [remote]);
        assert_eq!(names(&config).collect::<Vec<_>>(), [("name.example".into(), 81)]);
    }

    #[test]
    fn a_provider_is_needed_when_a_route_asks_for_it() {
        let config = parse(TEXT, Path::new("test.json")).unwrap();
        let statuses = provider_statuses(&config, &Sources::new(channel().0), Instant::now());
        let told: Vec<_> =
            statuses.iter().map(|status| (&*status.name, status.needed, status.keys)).collect();
        assert_eq!(told, [("inline", false, 1), ("remote", true, 0)]);
        assert_eq!(statuses[0].kids, ["k1"]);
    }
}
