//! ringgate's: defaults, but for what is equal for all.

use serde_json::{Value, json};

use super::{CONNECTIONS_MAX, IDLE_SECONDS, Job, Place};
use crate::bench::scenario::Entrance;
use crate::bench::tokens::{AUDIENCE, ISSUER};

pub(crate) fn ringgate(job: &Job<'_>, place: &Place<'_>) -> String {
    let mut listener = json!({ "name": "bench", "address": place.address.to_string() });
    let mut route = json!({ "upstream": "bench" });
    let mut file = json!({
        "workers": 1,
        "upstreams": { "bench": { "endpoints": [job.upstream.to_string()] } },
        "forwarding": { "x_forwarded": false },
        "limits": { "connections": CONNECTIONS_MAX, "requests_per_connection": 1_000_000_000 },
        "timeouts": { "idle": format!("{IDLE_SECONDS}s") },
        "access_log": { "target": "off" },
        "log": { "level": "warn" },
    });
    if let Some(tokens) = job.tokens {
        route["jwt"] = json!({ "mode": "strict", "providers": ["bench"] });
        file["jwt"] = json!({ "providers": { "bench": {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "jwks": { "inline": tokens.jwks },
            "algorithms": [tokens.algorithm.name()],
            "forward": true,
        } } });
    }
    match job.entrance {
        Entrance::Http => file["routes"] = json!([route]),
        Entrance::Https => {
            file["routes"] = json!([route]);
            let (chain, key) = (&job.certificate.chain, &job.certificate.key);
            let certificates = json!([{ "certificate": chain, "key": key }]);
            listener["tls"] = json!({ "certificates": certificates, "profile": "modern" });
        }
        Entrance::Tcp => listener["tcp"] = json!({ "upstream": "bench" }),
    }
    file["listeners"] = Value::Array(vec![listener]);
    file.to_string()
}
