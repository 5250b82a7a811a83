//! haproxy's.
//!
//! It asks for two descriptors a connection; where the hard limit gives fewer it is told to start all
//! the same, as idle connections hold one.

use super::{CONNECTIONS_MAX, IDLE_SECONDS, Job, POOL, Place};
use crate::bench::scenario::Entrance;
use crate::bench::tokens::{self, AUDIENCE, ISSUER};

pub(crate) fn haproxy(job: &Job<'_>, place: &Place<'_>) -> String {
    let (address, upstream) = (place.address, job.upstream);
    let verify = job.tokens.map(verification).unwrap_or_default();
    let mode = match job.entrance {
        Entrance::Http | Entrance::Https => {
            "  mode http\n  option http-keep-alive\n  http-reuse always\n"
        }
        Entrance::Tcp => "  mode tcp\n  option splice-auto\n",
    };
    let tls = match job.entrance {
        Entrance::Http | Entrance::Tcp => String::new(),
        Entrance::Https => {
            format!(" ssl crt {} ssl-min-ver TLSv1.3", job.certificate.both.display())
        }
    };
    format!(
        "global
  nbthread 1
  maxconn {CONNECTIONS_MAX}
  no strict-limits
defaults
{mode}  timeout connect 3s
  timeout client {IDLE_SECONDS}s
  timeout server {IDLE_SECONDS}s
  timeout tunnel {IDLE_SECONDS}s
frontend public
  bind {address}{tls}
{verify}  default_backend bench
backend bench
  server bench {upstream} pool-max-conn {POOL}
"
    )
}

fn verification(tokens: &tokens::Set) -> String {
    let (key, algorithm) = (tokens.public_key.display(), tokens.algorithm.name());
    format!(
        "  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str {algorithm} }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(\"{algorithm}\",\"{key}\") 1 }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str {AUDIENCE} }}
  http-request set-var(txn.now) date()
  http-request set-var(txn.left) var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now)
  http-request deny deny_status 401 unless {{ var(txn.left) -m int gt 0 }}
"
    )
}
