//! `upstreams`: services, their endpoints, and what is kept open to them.

use std::net::SocketAddr;
use std::time::Duration;

use super::limits::{DAY, SHORTEST, share};
use super::upstream_tls::{Proof, upstream_tls};
use super::{JsonPath, Reader};
use crate::control::config::raw::upstreams::{
    Balance as RawBalance, ProxyVersion as RawVersion, Upstream,
};
use crate::control::config::settings::{EndpointConfig, UpstreamConfig, Workers};
use crate::snapshot::ids::UpstreamId;
use crate::snapshot::route_match::HostPattern;
use crate::snapshot::upstream_set::{
    Address, Balance, Ejection, Endpoint, HostHeader, ProxyVersion,
};

/// What `sun_path` of `sockaddr_un` holds, less its NUL (unix(7)).
pub(super) const UNIX_PATH_BYTES_MAX: usize = 107;

pub(super) fn path() -> JsonPath {
    JsonPath::from(["upstreams"])
}

/// The upstream, among those defined, that something else names.
pub(super) fn refer(
    reader: &mut Reader<'_>,
    defined: &[String],
    name: &str,
    place: &JsonPath,
) -> Option<UpstreamId> {
    reader.refer(("upstreams", "upstream"), defined, name, place).and_then(UpstreamId::new)
}

/// The upstreams by name; those whose shape is wrong are left out.
pub(super) fn upstreams(reader: &mut Reader<'_>, workers: Workers) -> Vec<UpstreamConfig> {
    if reader.names(&path()).len() > UpstreamId::MAX {
        reader.problem(&path(), format!("more upstreams than {}", UpstreamId::MAX));
    }
    let members = reader.members::<Upstream>(&path());
    members.iter().map(|(name, path, raw)| upstream(reader, workers, name, path, raw)).collect()
}

fn upstream(
    reader: &mut Reader<'_>,
    workers: Workers,
    name: &str,
    path: &JsonPath,
    raw: &Upstream,
) -> UpstreamConfig {
    reader.check_name(path, name);
    reader.in_range(&path.join("idle_timeout"), &raw.idle_timeout, &SHORTEST, &DAY);
    share(reader, &path.join("concurrent_requests"), raw.concurrent_requests, workers);
    for key in ["idle_connections", "idle_timeout"] {
        if raw.proxy_protocol.is_some() && reader.is_typed(&path.join(key)) {
            let what = "means nothing beside proxy_protocol, by which a connection is one client's";
            reader.warning(&path.join(key), what);
        }
    }
    let tls = path.join("tls");
    let proof = Proof::read(reader, raw.tls.as_ref(), &tls);
    UpstreamConfig {
        name: name.into(),
        endpoints: endpoints(reader, &path.join("endpoints"), &raw.endpoints, &proof),
        balance: match raw.balance {
            RawBalance::RoundRobin => Balance::RoundRobin,
            RawBalance::PowerOfTwo => Balance::PowerOfTwo,
        },
        host: host(reader, &path.join("host"), &raw.host),
        tls: raw.tls.as_ref().map(|raw| upstream_tls(reader, raw, &tls)),
        idle_connections_max: raw.idle_connections,
        idle_timeout: raw.idle_timeout.0,
        proxy_protocol: raw.proxy_protocol.map(|version| match version {
            RawVersion::V1 => ProxyVersion::V1,
            RawVersion::V2 => ProxyVersion::V2,
        }),
        concurrent_requests: raw.concurrent_requests,
        ejection: ejection(reader, &path.join("ejection"), raw),
    }
}

fn ejection(reader: &mut Reader<'_>, path: &JsonPath, raw: &Upstream) -> Ejection {
    let raw = &raw.ejection;
    reader.in_range(&path.join("base"), &raw.base, &SHORTEST, &DAY);
    if reader.is_typed(&path.join("max")) {
        reader.in_range(&path.join("max"), &raw.max, &raw.base, &DAY);
    }
    Ejection {
        consecutive_failures: raw.consecutive_failures,
        base: raw.base.0,
        max: Duration::max(raw.max.0, raw.base.0),
    }
}

fn host(reader: &mut Reader<'_>, path: &JsonPath, text: &str) -> HostHeader {
    if text == "keep" {
        return HostHeader::Keep;
    }
    check_authority(reader, path, text);
    HostHeader::Rewrite(text.into())
}

/// Notes a text that is no host with or without a port.
pub(super) fn check_authority(reader: &mut Reader<'_>, path: &JsonPath, text: &str) {
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') && valid_port(port).is_some() => name,
        _ => text,
    };
    if !matches!(HostPattern::parse(name), Ok(HostPattern::Exact(_))) {
        let allowed = "a name or address with or without a port";
        let keep = if path.steps().first() == Some(&"upstreams".into()) { "keep, or " } else { "" };
        reader.problem(path, format!("{text:?} is no host; allowed: {keep}{allowed}"));
    }
}

fn valid_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn endpoints(
    reader: &mut Reader<'_>,
    list: &JsonPath,
    raw: &[String],
    proof: &Proof,
) -> Vec<EndpointConfig> {
    let mut endpoints = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        let path = list.join(index);
        match endpoint(reader, text, proof) {
            Err(why) => {
                let allowed =
                    "\"10.0.0.1:80\", \"[fd00::1]:80\", \"unix:/run/app.sock\" or \"name:80\"";
                reader.problem(&path, format!("{text:?} {why}; allowed: such as {allowed}"));
            }
            Ok(endpoint) if endpoints.contains(&endpoint) => {
                reader.problem(&path, format!("{text:?} stands here twice; allowed: once"));
            }
            Ok(endpoint) => endpoints.push(endpoint),
        }
    }
    endpoints
}

fn endpoint(
    reader: &Reader<'_>,
    text: &str,
    proof: &Proof,
) -> Result<EndpointConfig, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = reader.resolve(path);
        return match path.as_os_str().len() {
            _ if text == "unix:" => Err("has no path"),
            _ if path.as_os_str().as_encoded_bytes().contains(&0) => Err("has a NUL in its path"),
            0..=UNIX_PATH_BYTES_MAX => {
                let (address, name) = (Address::Unix(path), proof.of_socket()?);
                Ok(EndpointConfig::Fixed(Endpoint { address, name }))
            }
            _ => Err("is longer than the 107 bytes of a Unix socket's path"),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
    let port = valid_port(port).ok_or("has no port from 1 to 65535")?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        let name = proof.of_host(&address.ip().to_string())?;
        return Ok(EndpointConfig::Fixed(Endpoint { address: Address::Tcp(address), name }));
    }
    let numeric = host
        .split('.')
        .next_back()
        .is_some_and(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()));
    match HostPattern::parse(host) {
        // A last label of digits alone is an IPv4 address with a mistake, never a host name.
        Ok(HostPattern::Exact(host)) if !numeric && !host.starts_with('[') => {
            let name = proof.of_host(&host)?;
            Ok(EndpointConfig::Name { host, port, name })
        }
        _ => Err("names no address or host"),
    }
}
