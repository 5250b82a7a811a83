//! The header of the PROXY protocol before the first byte of a connection: who may send one, who must,
//! and whose the connection is then; and the one that upstreams are sent.

use std::net::SocketAddr;

use super::client::is_welcome;
use super::connection::ConnectionState;
use super::connection::place::is_source_full;
use super::core::{Core, Live};
use super::reason::Gate;
use crate::proxy_protocol::{Parsed, header, parse};
use crate::snapshot::upstream_set::ProxyVersion;
use crate::snapshot::{Listener, ProxyProtocol, ProxyProtocolMode};
use crate::uring::Buffer;

/// The header that a connection to an upstream begins with, for a client of this connection.
pub(super) fn header_for(
    version: ProxyVersion,
    client: SocketAddr,
    connection: &ConnectionState,
    on: &Listener,
) -> Vec<u8> {
    // It fails for what is no socket of the kernel's.
    let asked = connection.stream.local_address().unwrap_or(on.address);
    header(version, client, asked)
}

/// How a connection begins.
pub(super) enum Beginning {
    /// With these bytes, of which there may be none.
    Bytes(Buffer),
    /// It has ended without a word.
    Ended,
    /// It is refused, also where nothing came that could be one of its own.
    Refused(Gate),
}

/// Receives up to the end of the header and takes its address for the peer's.
pub(super) async fn beginning(
    core: &Core,
    live: &Live,
    connection: &ConnectionState,
    on: &Listener,
    rule: &ProxyProtocol,
) -> Beginning {
    let may_tell = rule.from.contains(connection.peer().ip().to_canonical());
    if rule.mode == ProxyProtocolMode::Required && !may_tell {
        return Beginning::Refused(Gate::ProxyHeaderUntrusted);
    }
    let mut buffer = live.heads.take();
    loop {
        match parse(buffer.filled()) {
            Parsed::Partial => {}
            Parsed::Absent if rule.mode == ProxyProtocolMode::Optional => break,
            Parsed::Absent => return Beginning::Refused(Gate::ProxyHeaderMissing),
            _ if !may_tell => return Beginning::Refused(Gate::ProxyHeaderUntrusted),
            Parsed::Malformed => return Beginning::Refused(Gate::ProxyHeaderMalformed),
            Parsed::Complete(header) => {
                connection.stream.disarm();
                buffer.consume(header.bytes);
                let Some(source) = header.source else { return Beginning::Bytes(buffer) };
                // As at the accept, which knew the proxy's address alone.
                if !is_welcome(core, live, on, source.ip()) {
                    connection.set_peer(core, source);
                    return Beginning::Ended;
                }
                let full = is_source_full(core, live, &connection.listener, on, source.ip());
                connection.set_peer(core, source);
                if let Some(gate) = full {
                    core.count(on.counters.connections_refused);
                    return Beginning::Refused(gate);
                }
                return Beginning::Bytes(buffer);
            }
        }
        let waiting = buffer.is_empty();
        if waiting {
            connection.stream.arm(live.snapshot.timeouts.head);
        }
        connection.set_idle(waiting);
        let (result, returned) = connection.stream.recv(buffer).await;
        connection.set_idle(false);
        buffer = returned;
        let ended = match result {
            _ if connection.stream.expired() => Gate::HeadTimeout,
            Ok(received) if received > 0 => continue,
            Err(error)
                if connection.stream.is_bystander(&error) && !connection.is_unwanted(core) =>
            {
                continue;
            }
            _ => Gate::ClientLeft,
        };
        return if waiting { Beginning::Ended } else { Beginning::Refused(ended) };
    }
    connection.stream.disarm();
    Beginning::Bytes(buffer)
}
