//! Who the client is, by whose word, and what an upstream is told of it.

use ipnet::IpNet;

use super::kernel::prefixes;
use super::{JsonPath, Reader};
use crate::control::config::raw;
use crate::snapshot::peers::PrefixSet;
use crate::snapshot::{ClientFrom, Forwarding, ProxyProtocol, ProxyProtocolMode};

/// The section, and the proxies that it trusts.
pub(super) fn forwarding(reader: &mut Reader<'_>) -> (Forwarding, Vec<IpNet>) {
    let raw: raw::Forwarding = reader.section("forwarding");
    let trusted = &["forwarding", "trusted_proxies"].into();
    let trusted = prefixes(reader, &raw.trusted_proxies, trusted);
    let client_from: &JsonPath = &["forwarding", "client_from"].into();
    if raw.trusted_proxies.is_empty() && reader.is_typed(client_from) {
        reader.warning(client_from, "means nothing without trusted_proxies");
    }
    let forwarding = Forwarding {
        x_forwarded: raw.x_forwarded,
        forwarded: raw.forwarded,
        client_from: match raw.client_from {
            raw::ClientFrom::XForwardedFor => ClientFrom::XForwardedFor,
            raw::ClientFrom::Forwarded => ClientFrom::Forwarded,
        },
    };
    (forwarding, trusted)
}

/// Whose headers a listener believes: those of `from`, or of the trusted proxies. Nobody's would
/// shut it.
pub(super) fn proxy_protocol(
    reader: &mut Reader<'_>,
    raw: &raw::ProxyProtocol,
    path: &JsonPath,
    trusted: &[IpNet],
) -> ProxyProtocol {
    let from = match &raw.from {
        Some(from) => prefixes(reader, from, &path.join("from")),
        None => trusted.to_vec(),
    };
    let list = match &raw.from {
        Some(_) => path.join("from"),
        None => ["forwarding", "trusted_proxies"].into(),
    };
    // Of a list that is not empty what is wrong has been said.
    if reader.count(&list) == 0 {
        let what = "believes nobody; allowed: a `from`, or forwarding.trusted_proxies";
        reader.problem(path, what);
    }
    let mode = match raw.mode {
        raw::ProxyProtocolMode::Required => ProxyProtocolMode::Required,
        raw::ProxyProtocolMode::Optional => ProxyProtocolMode::Optional,
    };
    ProxyProtocol { mode, from: PrefixSet::new(&from) }
}
