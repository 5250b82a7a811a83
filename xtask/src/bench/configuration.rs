//! The configuration of each contender: one worker, no logs, upstream connections kept, tokens
//! checked for signature, issuer, audience and expiry.
//!
//! haproxy asks for two descriptors a connection; where the hard limit gives fewer it is told to
//! start all the same, as idle connections hold one.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::tokens::{self, AUDIENCE, ISSUER};

/// Client connections at most: more than any load opens.
const CONNECTIONS_MAX: u32 = 12_000;

pub(super) fn ringgate(
    address: SocketAddr,
    upstream: SocketAddr,
    tokens: Option<&tokens::Set>,
) -> String {
    let mut route = json!({ "upstream": "bench" });
    let mut file = json!({
        "workers": 1,
        "listeners": [{ "name": "bench", "address": address.to_string() }],
        "upstreams": { "bench": { "endpoints": [upstream.to_string()] } },
        "forwarding": { "x_forwarded": false },
        "limits": { "connections": CONNECTIONS_MAX, "requests_per_connection": 1_000_000_000 },
        "access_log": { "target": "off" },
        "log": { "level": "warn" },
    });
    if let Some(tokens) = tokens {
        route["jwt"] = json!({ "mode": "strict", "providers": ["bench"] });
        file["jwt"] = json!({ "providers": { "bench": {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "jwks": { "inline": tokens.jwks },
            "algorithms": ["RS256"],
            "forward": true,
        } } });
    }
    file["routes"] = json!([route]);
    file.to_string()
}

/// Buffers hold a 1 MiB body without a temporary file.
pub(super) fn nginx(address: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
user root;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_buffer_size 16k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k;
  proxy_max_temp_file_size 0;
  upstream bench {{
    server {upstream}; keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://bench; proxy_http_version 1.1;
      proxy_set_header Connection \"\"; proxy_set_header Host $host;
    }}
  }}
}}
"
    )
}

pub(super) fn haproxy(
    address: SocketAddr,
    upstream: SocketAddr,
    tokens: Option<&tokens::Set>,
) -> String {
    let verify = tokens.map(verification).unwrap_or_default();
    format!(
        "global
  nbthread 1
  maxconn {CONNECTIONS_MAX}
  no strict-limits
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 3s
  timeout client 60s
  timeout server 60s
frontend public
  bind {address}
{verify}  default_backend bench
backend bench
  server bench {upstream} pool-max-conn 256
"
    )
}

fn verification(tokens: &tokens::Set) -> String {
    let key = tokens.public_key.display();
    format!(
        "  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(\"RS256\",\"{key}\") 1 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {AUDIENCE} }}
  http-request set-var(txn.now) date()
  http-request set-var(txn.left) var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now)
  http-request deny deny_status 401 unless {{ var(txn.left) -m int gt 0 }}
"
    )
}
