//! The client of a request: the peer of its connection, or whom a trusted proxy tells of.

use std::net::IpAddr;

use super::core::{Core, Live};
use super::reason::Gate;
use crate::http1::{RequestHead, ToldClient};
use crate::snapshot::peers::Admission;
use crate::snapshot::redirect::Scheme;
use crate::snapshot::{Listener, Snapshot};

/// The client of this request from `peer`.
pub(super) fn client_of(
    snapshot: &Snapshot,
    peer: IpAddr,
    head: &RequestHead<'_, '_>,
) -> ToldClient {
    let is_proxy = |address| snapshot.peers.is_trusted_proxy(address);
    if !is_proxy(peer) {
        return ToldClient::peer(peer);
    }
    ToldClient::find(head.fields, snapshot.forwarding.client_from, peer, is_proxy)
}

/// How the client of this request has come: by https where a trusted proxy says so, else as the peer
/// itself.
pub(super) fn scheme_of(
    snapshot: &Snapshot,
    (peer, spoken): (IpAddr, Scheme),
    head: &RequestHead<'_, '_>,
    client: &ToldClient,
) -> Scheme {
    let from = snapshot.forwarding.client_from;
    if snapshot.peers.is_trusted_proxy(peer) && client.is_told_https(head.fields, from) {
        Scheme::Https
    } else {
        spoken
    }
}

/// Why a client that a proxy tells of may not be served. One that has connected itself was asked for
/// when it did.
pub(super) fn check_client(core: &Core, live: &Live, client: &ToldClient) -> Option<Gate> {
    if !client.is_told() {
        return None;
    }
    match core.admit(live, client.address) {
        Admission::Admitted | Admission::Shadowed => None,
        Admission::Denied => Some(Gate::ClientDenied),
        Admission::Banned => Some(Gate::ClientBanned),
    }
}

/// Counts a connection by whether its peer may have it, and says so.
pub(super) fn is_welcome(core: &Core, live: &Live, on: &Listener, peer: IpAddr) -> bool {
    let admission = core.admit(live, peer);
    match admission {
        Admission::Admitted => {}
        Admission::Shadowed => core.count(on.counters.barred_in_shadow),
        Admission::Denied => core.count(on.counters.barred_by_deny),
        Admission::Banned => core.count(on.counters.barred_by_ban),
    }
    !admission.is_refusal()
}
