//! The part of `/config` that only a reload changes: listeners, routes, upstreams, bounds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::control::config::{
    Config, EndpointConfig, ProviderConfig, RouteConfig, TlsConfig, UpstreamConfig,
    UpstreamTlsConfig, Workers,
};
use crate::control::reload::Bound;
use crate::snapshot::claims_policy::{EndWithToken, Mode};
use crate::snapshot::field_edits::{FieldEdits, Hsts};
use crate::snapshot::limits::BodyRate;
use crate::snapshot::provider::{Audiences, Issuer};
use crate::snapshot::rewrite::Rewrite;
use crate::snapshot::route_condition::{Condition, Subject, Wanted};
use crate::snapshot::route_match::{Method, PathKind, PathPattern};
use crate::snapshot::route_table::Action;
use crate::snapshot::upstream_set::{Balance, HostHeader, ProxyVersion};
use crate::tls::{Profile, UnknownName};

/// An object; what a claim must be is left out, since it may be a name of a person.
#[must_use]
pub fn describe(config: &Config, bound: &[Bound]) -> Value {
    let listeners = bound.iter().map(|bound| {
        json!({
            "name": bound.listener.name,
            "configured": bound.listener.address,
            "address": bound.address,
            "reason_header": bound.listener.reason_header,
            "hsts": bound.listener.hsts.as_ref().map(Hsts::value),
            "proxy_protocol": bound.listener.proxy_protocol.as_ref().map(|rule| rule.mode.name()),
            "led": bound.listener.led.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "tls": bound.listener.tls.as_ref().map(tls),
            "tcp": bound.listener.tcp.map(|id| json!({ "upstream": config.upstreams[id.index()].name })),
        })
    });
    let limits = &config.limits;
    let timeouts = &config.timeouts;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "workers": match config.workers {
            Workers::Auto => json!("auto"),
            Workers::Count(count) => json!(count),
        },
        "listeners": listeners.collect::<Vec<_>>(),
        "provider_rules": config.providers.iter().map(provider).collect::<Vec<_>>(),
        "upstreams": config.upstreams.iter().map(upstream).collect::<Vec<_>>(),
        "routes": config.routes.iter().map(|one| route(config, one)).collect::<Vec<_>>(),
        "deny_list": {
            "file": config.deny_list.file,
            "max_entries": config.deny_list.entries_max,
        },
        "limits": {
            "head_bytes": limits.head_bytes,
            "head_fields": limits.head_fields,
            "target_bytes": limits.target_bytes,
            "request_body_bytes": limits.request_body_bytes,
            "chunk_overhead_bytes": limits.chunk_overhead_bytes,
            "body_rate": limits.body_rate.map(rate),
            "connections": limits.connections.count(),
            "connections_per_source": limits.connections_per_source,
            "connections_full": if limits.pause_when_full { "pause" } else { "refuse" },
            "requests_per_connection": limits.requests_per_connection,
            "token_cache_entries": limits.token_cache_entries,
        },
        "timeouts": {
            "head": text(timeouts.head),
            "idle": text(timeouts.idle),
            "connection": timeouts.connection.map(text),
            "connect": text(timeouts.connect),
            "response": text(timeouts.response),
            "body_progress": text(timeouts.body_progress),
            "tunnel_idle": text(timeouts.tunnel_idle),
            "drain": text(timeouts.drain),
        },
        "forwarding": {
            "x_forwarded": config.forwarding.x_forwarded,
            "forwarded": config.forwarding.forwarded,
            "trusted_proxies":
                config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "client_from": config.forwarding.client_from.name(),
        },
        "server": config.identity.server,
        "via": config.identity.via.as_ref().map(|via| &via.http11),
        "request_id": config.identity.request_id.as_ref().map(|rule| json!({
            "header": rule.header,
            "keep": rule.keep,
        })),
    })
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn rate(rate: BodyRate) -> Value {
    json!({ "bytes": rate.bytes, "within": text(rate.within) })
}

fn tls(tls: &TlsConfig) -> Value {
    let certificates = tls.certificates.iter().map(|files| &files.chain);
    json!({
        "certificates": certificates.collect::<Vec<_>>(),
        "unknown_name": match tls.unknown_name {
            UnknownName::Default => "default",
            UnknownName::Refuse => "refuse",
        },
        "profile": profile(tls.profile),
        "client_certificates": tls.clients.as_ref().map(|clients| json!({
            "mode": if clients.files.is_required { "required" } else { "optional" },
            "ca_file": clients.files.authorities,
            "crl_files": clients.files.revoked,
        })),
        "handshake_timeout": text(tls.handshake),
        "handshakes": tls.handshakes,
    })
}

fn upstream_tls(tls: &UpstreamTlsConfig) -> Value {
    json!({
        "ca_file": tls.authorities.as_ref().map(|file| &file.path),
        "client_certificate": tls.identity.as_ref().map(|files| &files.chain),
        "profile": profile(tls.profile),
        "alpn": tls.protocols,
        "insecure": tls.authorities.is_none(),
    })
}

fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Intermediate => "intermediate",
        Profile::Modern => "modern",
    }
}

fn provider(provider: &ProviderConfig) -> Value {
    json!({
        "name": provider.name,
        "issuer": match &provider.issuer {
            Issuer::Exact(issuer) => issuer,
            Issuer::Any => "any",
        },
        "audiences": match &provider.audiences {
            Audiences::AnyOf(list) => json!(list),
            Audiences::Any => json!("any"),
        },
        "algorithms": provider.algorithms.iter().map(|one| one.name()).collect::<Vec<_>>(),
        "leeway": text(provider.leeway),
        "forward_token": provider.forward_token,
        "claim_headers": provider.claim_headers.iter().map(|one| &one.name).collect::<Vec<_>>(),
    })
}

fn upstream(upstream: &UpstreamConfig) -> Value {
    let endpoints = upstream.endpoints.iter().map(|endpoint| match endpoint {
        EndpointConfig::Fixed(endpoint) => endpoint.address.to_string(),
        EndpointConfig::Name { host, port, .. } => format!("{host}:{port}"),
    });
    json!({
        "name": upstream.name,
        "endpoints": endpoints.collect::<Vec<_>>(),
        "balance": match upstream.balance {
            Balance::RoundRobin => "round_robin",
            Balance::PowerOfTwo => "power_of_two",
        },
        "tls": upstream.tls.as_ref().map(upstream_tls),
        "proxy_protocol": upstream.proxy_protocol.map(ProxyVersion::name),
        "concurrent_requests": upstream.concurrent_requests,
        "host": match &upstream.host {
            HostHeader::Keep => "keep",
            HostHeader::Rewrite(host) => host,
        },
    })
}

fn route(config: &Config, route: &RouteConfig) -> Value {
    let selects = &route.selects;
    let auth = route.auth.as_ref().map(|policy| {
        let names = policy.providers.iter().map(|id| &config.providers[id.index()].name);
        json!({
            "mode": match policy.mode {
                Mode::Strict => "strict",
                Mode::Optional => "optional",
                Mode::Permissive => "permissive",
            },
            "providers": names.collect::<Vec<_>>(),
            "require": policy.require.len(),
            "end_with_token": match policy.end_with_token {
                EndWithToken::Nothing => "none",
                EndWithToken::Tunnels => "tunnels",
                EndWithToken::All => "all",
            },
        })
    });
    let (action, target) = match &route.action {
        Action::Proxy(id) => ("upstream", json!(config.upstreams[id.index()].name)),
        Action::Respond(response) => ("respond", json!(response.status)),
        Action::Redirect(redirect) => ("redirect", json!(redirect.status)),
    };
    let bounds = config.route_bounds(&route.bounds);
    json!({
        "name": route.name,
        "listener": selects.listener.map(|id| &config.listeners[id.index()].name),
        "host": selects.host.to_string(),
        match selects.path.kind() {
            PathKind::Exact => "path",
            PathKind::Prefix => "path_prefix",
        }: path_text(&selects.path),
        "methods": selects.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
        "asks": selects.conditions.iter().map(asked).collect::<Vec<_>>(),
        "jwt": auth,
        "maintenance": route.maintenance.is_some(),
        "hsts": route.hsts.as_ref().map(Hsts::value),
        "connect": route.connect.as_ref().map(|rule| json!({ "ports": rule.ports() })),
        "rewrite": route.rewrite.as_ref().map(|rewrite| match rewrite {
            Rewrite::Prefix(prefix) => json!({ "prefix": prefix.to() }),
            Rewrite::Pattern(one) => json!({ "pattern": one.pattern(), "to": one.template() }),
        }),
        "request_headers": edits(&route.request_fields),
        "response_headers": edits(&route.response_fields),
        "cors": route.cors.as_ref().map(|cors| json!({
            "methods": cors.methods,
            "headers": cors.headers,
            "expose_headers": cors.expose_headers,
            "credentials": cors.credentials,
            "max_age": cors.max_age,
        })),
        "limits": {
            "request_body_bytes": bounds.request_body_bytes,
            "chunk_overhead_bytes": bounds.chunk_overhead_bytes,
            "body_rate": bounds.body_rate.map(rate),
        },
        "timeouts": {
            "response": text(bounds.response),
            "body_progress": text(bounds.body_progress),
        },
        action: target,
    })
}

/// Names alone: what a value must be may be a secret that clients know.
fn asked(condition: &Condition) -> Value {
    let (place, name) = match &condition.subject {
        Subject::Header(name) => ("header", name),
        Subject::Query(name) => ("query", name),
    };
    let wanted = match &condition.wanted {
        Wanted::Value(_) => "value",
        Wanted::Present => "present",
        Wanted::Absent => "absent",
    };
    json!({ place: name, "wanted": wanted })
}

/// Names alone: values may be secrets of the upstream's.
fn edits(edits: &FieldEdits) -> Value {
    let added = edits.added().iter().map(|(name, _)| name);
    json!({ "removed": edits.dropped(), "added": added.collect::<Vec<_>>() })
}

/// The path with its escapes decoded, as it is compared.
fn path_text(path: &PathPattern) -> String {
    let segments = path.segments().iter().map(|segment| String::from_utf8_lossy(segment));
    let mut text: String = segments.flat_map(|segment| ["/".to_owned(), segment.into()]).collect();
    if path.trailing_slash() || text.is_empty() {
        text.push('/');
    }
    text
}
