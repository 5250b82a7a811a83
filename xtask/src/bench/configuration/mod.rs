//! The configuration of each contender: one worker, no logs, upstream connections kept, TLS 1.3
//! alone, tokens checked for signature, issuer, audience and expiry.

mod envoy;
mod haproxy;
mod nginx;
mod ringgate;

use std::net::SocketAddr;
use std::path::Path;

use super::certificate::Certificate;
use super::scenario::Entrance;
use super::tokens;

pub(super) use envoy::{TokenCache, envoy};
pub(super) use haproxy::haproxy;
pub(super) use nginx::nginx;
pub(super) use ringgate::ringgate;

/// Client connections at most: more than any load opens.
const CONNECTIONS_MAX: u32 = 12_000;
/// How long an idle connection stays, which is longer than opening all of them takes.
const IDLE_SECONDS: u32 = 600;
/// Idle connections to the upstream that a proxy keeps.
const POOL: u32 = 256;

/// What a contender is to do.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) entrance: Entrance,
    pub(super) upstream: SocketAddr,
    pub(super) tokens: Option<&'a tokens::Set>,
    pub(super) certificate: &'a Certificate,
}

/// Where it does it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    /// For what it writes.
    pub(super) folder: &'a Path,
}
