//! Envoy's: without the fields that it adds by itself, and without statistics for each request.

use serde_json::{Value, json};

use super::{Job, Place};
use crate::bench::scenario::Entrance;
use crate::bench::tokens::{self, AUDIENCE, CACHE_ENTRIES, ISSUER};

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// Whether verified tokens are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenCache {
    Off,
    On,
}

pub(crate) fn envoy(job: &Job<'_>, place: &Place<'_>, cache: TokenCache) -> String {
    let mut chain = match job.entrance {
        Entrance::Http | Entrance::Https => {
            let filters = job.tokens.map(|tokens| authentication(tokens, cache));
            json!({ "filters": [http(filters)] })
        }
        Entrance::Tcp => json!({ "filters": [{
            "name": "tcp",
            "typed_config": {
                "@type": format!("{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": "bench",
                "cluster": "bench",
            },
        }] }),
    };
    if job.entrance == Entrance::Https {
        chain["transport_socket"] = json!({ "name": "tls", "typed_config": {
            "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{
                    "certificate_chain": { "filename": job.certificate.chain },
                    "private_key": { "filename": job.certificate.key },
                }],
            },
        } });
    }
    let listener = json!({
        "name": "bench",
        "address": address(place.address),
        "filter_chains": [chain],
    });
    json!({ "static_resources": { "listeners": [listener], "clusters": [cluster(job)] } })
        .to_string()
}

fn address(address: std::net::SocketAddr) -> Value {
    let (host, port) = (address.ip().to_string(), address.port());
    json!({ "socket_address": { "address": host, "port_value": port } })
}

/// The bounds are no narrower than the loads.
fn cluster(job: &Job<'_>) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(job.upstream) } });
    let most = 1_000_000;
    let bounds = json!({
        "max_connections": most, "max_pending_requests": most, "max_requests": most,
    });
    json!({
        "name": "bench",
        "type": "STATIC",
        "connect_timeout": "3s",
        "load_assignment": {
            "cluster_name": "bench", "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
        "circuit_breakers": { "thresholds": [bounds] },
    })
}

fn http(authentication: Option<Value>) -> Value {
    let router = json!({ "name": "router", "typed_config": {
        "@type": format!("{TYPES}.filters.http.router.v3.Router"),
        "dynamic_stats": false,
        "suppress_envoy_headers": true,
    } });
    let filters: Vec<Value> = authentication.into_iter().chain([router]).collect();
    let route = json!({
        "match": { "prefix": "/" }, "route": { "cluster": "bench", "timeout": "0s" },
    });
    json!({ "name": "http", "typed_config": {
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "generate_request_id": false,
        "server_header_transformation": "PASS_THROUGH",
        "skip_xff_append": true,
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "route_config": { "virtual_hosts": [
            { "name": "bench", "domains": ["*"], "routes": [route] },
        ] },
        "http_filters": filters,
    } })
}

fn authentication(tokens: &tokens::Set, cache: TokenCache) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": true,
        "local_jwks": { "inline_string": tokens.jwks.to_string() },
    });
    if cache == TokenCache::On {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": CACHE_ENTRIES });
    }
    json!({ "name": "jwt", "typed_config": {
        "@type": format!("{TYPES}.filters.http.jwt_authn.v3.JwtAuthentication"),
        "providers": { "bench": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "bench" } }],
    } })
}
