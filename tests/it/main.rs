//! The integration tests: a real gateway process, real sockets, raw bytes.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected is to fail there")]
#![allow(
    unreachable_pub,
    reason = "the harness marks what tests use; a test binary exports nothing"
)]
#![allow(clippy::print_stderr, reason = "failure messages and skipped tests")]

mod answers;
mod assists;
mod auth;
mod bounds;
mod cli;
mod client_faults;
mod conditions;
mod demo;
mod drain;
mod explain;
mod faults;
mod flood;
mod harness;
mod harness_check;
mod issuer;
mod kernel;
mod keys;
mod limits;
mod messages;
mod operate;
mod parking;
mod paths;
mod proxied_upstreams;
mod proxy_protocol;
mod proxying;
mod refusals;
mod reload;
mod rewrites;
mod rotation;
mod rotation_soak;
mod routing;
mod sources;
mod tcp;
mod third_party;
mod timeouts;
mod tls;
mod tunnel;
mod upstream_faults;
