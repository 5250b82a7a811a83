//! From a configuration, keys and addresses to the snapshot that the workers read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::certificates::TlsServices;
use super::config::{
    Config, EndpointConfig, JwksSource, ListenerConfig, ProviderConfig, UpstreamConfig, share,
};
use crate::auth::STATUS_FIELD;
use crate::snapshot::claims_policy::{AuthPolicy, Mode};
use crate::snapshot::credentials::TokenLocation;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::field_edits::FieldEdits;
use crate::snapshot::ids::{Generation, ListenerId};
use crate::snapshot::key_set::KeySet;
use crate::snapshot::provider::Provider;
use crate::snapshot::route_table::{Route, RouteTable};
use crate::snapshot::upstream_set::{Address, Endpoint, Upstream};
use crate::snapshot::{Listener, Service, Snapshot, TcpService};
use crate::telemetry::counters::{OutOfCells, Registry};
use crate::telemetry::labels::{
    ListenerCounters, ProviderCounters, RouteCounters, TcpCounters, UpstreamCounters,
};

/// What a snapshot is made of beside the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The number of the snapshot.
    pub generation: Generation,
    /// The number of the first one with this configuration and these keys.
    pub verdicts: Generation,
    /// Which good tokens are refused.
    pub deny_list: &'a Arc<DenyList>,
    /// How many workers there are, at least one: each gets its share of the connections.
    pub workers: usize,
    /// The keys loaded so far, by the name of the provider. Inline keys need not be among them.
    pub keys: &'a HashMap<Box<str>, Arc<KeySet>>,
    /// What the listeners and upstreams with TLS do: one for each.
    pub tls: &'a TlsServices,
    /// What names of endpoints resolved to, by name and port.
    pub addresses: &'a HashMap<(Box<str>, u16), Vec<SocketAddr>>,
}

/// Makes the snapshot of a configuration. A provider whose keys are not there has none, and an
/// endpoint whose name is not there is left out.
///
/// # Errors
/// When there are more counters than cells.
pub fn compile(
    config: &Config,
    inputs: &Inputs<'_>,
    registry: &mut Registry,
) -> Result<Snapshot, OutOfCells> {
    let listeners = config
        .listeners
        .iter()
        .enumerate()
        .map(|(index, raw)| listener(config, index, raw, inputs, registry))
        .collect::<Result<_, _>>()?;
    let upstreams = config
        .upstreams
        .iter()
        .map(|upstream| resolved(upstream, inputs, registry))
        .collect::<Result<_, _>>()?;
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let compiled = Route {
            name: route.name.clone(),
            clients: route.clients.clone(),
            certificates: route.certificates.clone(),
            auth: route.auth.clone(),
            action: route.action.clone(),
            connect: route.connect.clone(),
            rewrite: route.rewrite.clone(),
            maintenance: route.maintenance.clone(),
            hsts: route.hsts.clone(),
            request_fields: route.request_fields.clone(),
            response_fields: with_server(route.response_fields.clone(), config),
            cors: route.cors.clone(),
            bounds: config.route_bounds(&route.bounds),
            counters: RouteCounters::register(registry, &route.name)?,
        };
        routes.push((route.selects.clone(), compiled));
    }
    let provider_counters = config
        .providers
        .iter()
        .map(|provider| ProviderCounters::register(registry, &provider.name))
        .collect::<Result<_, _>>()?;
    Ok(Snapshot {
        generation: inputs.generation,
        verdicts: inputs.verdicts,
        deny_list: Arc::clone(inputs.deny_list),
        peers: Arc::new(config.peers()),
        listeners,
        routes: RouteTable::new(routes),
        providers: config.providers.iter().map(|raw| provider(raw, inputs)).collect(),
        provider_counters,
        upstreams,
        limits: config.limits.for_each_of(inputs.workers),
        timeouts: config.timeouts.clone(),
        forwarding: config.forwarding,
        path_normalization: config.path_normalization,
        identity: config.identity.clone(),
        own_fields: with_server(FieldEdits::default(), config),
    })
}

/// What is done to the fields of responses, `Server` among them.
fn with_server(mut edits: FieldEdits, config: &Config) -> FieldEdits {
    if let Some(server) = &config.identity.server {
        edits.set("Server", server);
    }
    edits
}

fn listener(
    config: &Config,
    index: usize,
    raw: &ListenerConfig,
    inputs: &Inputs<'_>,
    registry: &mut Registry,
) -> Result<Listener, OutOfCells> {
    let tls = inputs.tls.listeners.get(&raw.address).cloned();
    // Whoever asks for TLS is never served in plain text.
    assert_eq!(tls.is_some(), raw.tls.is_some(), "certificates are read before");
    Ok(Listener {
        name: raw.name.clone(),
        address: raw.address,
        counters: ListenerCounters::register(registry, &raw.name)?,
        claim_header_names: claim_header_names(config, index),
        token_field_names: token_field_names(config, index),
        reason_header: raw.reason_header,
        hsts: raw.hsts.clone(),
        proxy_protocol: raw.proxy_protocol.clone(),
        tls,
        bounds: config.listener_bounds(&raw.bounds, inputs.workers),
        service: match raw.tcp {
            None => Service::Http,
            Some(upstream) => {
                let counters = TcpCounters::register(registry, &raw.name)?;
                Service::Tcp(TcpService { upstream, counters })
            }
        },
    })
}

/// The token rules of the routes that a listener serves.
fn policies(config: &Config, listener: usize) -> impl Iterator<Item = &AuthPolicy> {
    let served = move |on: Option<ListenerId>| on.is_none_or(|on| on.index() == listener);
    let routes = config.routes.iter().filter(move |route| served(route.selects.listener));
    routes.filter_map(|route| route.auth.as_ref())
}

/// The fields that only claims may set on a listener: those of every provider that any of its
/// routes asks, since the client's copies are removed on all of them.
fn claim_header_names(config: &Config, listener: usize) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for auth in policies(config, listener) {
        for provider in &auth.providers {
            let headers = &config.providers[provider.index()].claim_headers;
            names.extend(headers.iter().map(|header| header.name.clone()));
        }
        if auth.mode == Mode::Permissive {
            names.push(STATUS_FIELD.into());
        }
    }
    // On whichever listener they come: an upstream cannot tell by which.
    let clients = config.listeners.iter().filter_map(|one| one.tls.as_ref()?.clients.as_ref());
    names.extend(clients.flat_map(|clients| clients.fields.all()).map(Box::from));
    names.sort_unstable();
    names.dedup();
    names
}

/// The fields that any route of a listener takes a token from.
fn token_field_names(config: &Config, listener: usize) -> Vec<Box<str>> {
    let locations = policies(config, listener).flat_map(|auth| &auth.credentials.locations);
    let mut names: Vec<Box<str>> = locations
        .filter_map(|location| match location {
            TokenLocation::Header { name, .. } => Some(name.clone()),
            TokenLocation::Cookie(_) | TokenLocation::Query(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn provider(raw: &ProviderConfig, inputs: &Inputs<'_>) -> Provider {
    // Inline keys stand last.
    let keys = inputs.keys.get(&raw.name).or(raw.inline_keys().map(|(keys, _)| keys));
    Provider {
        name: raw.name.clone(),
        issuer: raw.issuer.clone(),
        audiences: raw.audiences.clone(),
        algorithms: raw.algorithms.clone(),
        leeway: raw.leeway,
        require_exp: raw.require_exp,
        token_bytes_max: raw.token_bytes_max,
        forward_token: raw.forward_token,
        claim_headers: raw.claim_headers.clone(),
        checks: raw.checks.clone(),
        key_tries_max: raw.key_tries_max,
        unknown_kid_wait: raw
            .sources
            .iter()
            .any(|source| !matches!(source, JwksSource::Inline { .. }))
            .then_some(raw.unknown_kid_wait),
        keys: keys.cloned(),
    }
}

fn resolved(
    raw: &UpstreamConfig,
    inputs: &Inputs<'_>,
    registry: &mut Registry,
) -> Result<Upstream, OutOfCells> {
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(raw.endpoints.len());
    // Names may resolve to the same address, or to one that is given as well.
    let mut add = |endpoint: Endpoint| {
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    };
    for endpoint in &raw.endpoints {
        match endpoint {
            EndpointConfig::Fixed(endpoint) => add(endpoint.clone()),
            EndpointConfig::Name { host, port, name } => {
                let addresses = inputs.addresses.get(&(host.clone(), *port));
                for address in addresses.into_iter().flatten() {
                    add(Endpoint { address: Address::Tcp(*address), name: name.clone() });
                }
            }
        }
    }
    let tls = inputs.tls.upstreams.get(&raw.name).cloned();
    // Whoever asks for TLS is never spoken to in plain text.
    assert_eq!(tls.is_some(), raw.tls.is_some(), "authorities are read before");
    Ok(Upstream {
        name: raw.name.clone(),
        endpoints,
        balance: raw.balance,
        host: raw.host.clone(),
        tls,
        idle_connections_max: raw.idle_connections_max,
        idle_timeout: raw.idle_timeout,
        proxy_protocol: raw.proxy_protocol,
        requests_per_worker: raw.concurrent_requests.map(|all| share(all, inputs.workers)),
        ejection: raw.ejection,
        counters: UpstreamCounters::register(registry, &raw.name)?,
    })
}

#[cfg(test)]
mod tests;
