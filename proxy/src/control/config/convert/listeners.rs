//! Addresses to listen on and files to write to: each used once.

use std::collections::HashMap;
use std::net::SocketAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::fields::hsts;
use super::{JsonPath, Reader, forwarding, kernel, limits, tls, upstreams};
use crate::control::config::raw;
use crate::control::config::settings::{
    AccessLogTarget, AdminConfig, Led, LimitsConfig, ListenerConfig, Workers,
};
use crate::snapshot::ids::ListenerId;

/// What of the process the listeners depend on.
pub(super) struct Process<'a> {
    pub(super) workers: Workers,
    pub(super) limits: &'a LimitsConfig,
    pub(super) trusted: &'a [IpNet],
}

/// The listeners and where each was typed.
pub(super) fn listeners(
    reader: &mut Reader<'_>,
    process: &Process<'_>,
) -> Vec<(JsonPath, ListenerConfig)> {
    let list = JsonPath::from(["listeners"]);
    let mut listeners: Vec<(JsonPath, ListenerConfig)> = Vec::new();
    let mut names: HashMap<String, JsonPath> = HashMap::new();
    let mut led_paths: Vec<Vec<JsonPath>> = Vec::new();
    let upstreams = reader.names(&upstreams::path());
    for (path, raw) in reader.elements::<raw::Listener>(&list) {
        reader.check_name(&path.join("name"), &raw.name);
        if let Some(other) = names.insert(raw.name.clone(), path.clone()) {
            let what = format!("{:?} is the name of {other}; allowed: a name of its own", raw.name);
            reader.problem(&path.join("name"), what);
        }
        let Some(address) = address(reader, &raw.address, &path.join("address")) else { continue };
        used_once(reader, address, &path.join("address"), &listeners);
        told_apart(reader, address, &path.join("address"), &listeners);
        let led = kernel::led(reader, &raw.addresses, &path.join("addresses"));
        let (places, led): (Vec<_>, Vec<_>) = led.into_iter().unzip();
        led_once(reader, &places, &led, &listeners);
        led_paths.push(places);
        let tcp = raw.tcp.as_ref().and_then(|tcp| {
            let path = path.join("tcp").join("upstream");
            upstreams::refer(reader, &upstreams, &tcp.upstream, &path)
        });
        let tls =
            raw.tls.as_ref().map(|raw| tls::tls(reader, raw, &path.join("tls"), process.workers));
        let reason_header = raw.reason_header;
        if reason_header && tcp.is_some() {
            let what = "a listener with `tcp` answers nothing itself; allowed: false";
            reader.problem(&path.join("reason_header"), what.to_owned());
        }
        if tcp.is_some() {
            limits::only_connections(reader, &path);
        }
        let bounds = limits::listener_bounds(reader, &path, process.workers, process.limits, &raw);
        let name = raw.name.into();
        let proxy_protocol = raw.proxy_protocol.as_ref().map(|raw| {
            forwarding::proxy_protocol(reader, raw, &path.join("proxy_protocol"), process.trusted)
        });
        if raw.hsts.is_some() && tcp.is_some() {
            let what = "a listener with `tcp` sends no responses; allowed: one that speaks HTTP";
            reader.problem(&path.join("hsts"), what);
        }
        let hsts = raw.hsts.as_ref().map(|raw| hsts(reader, &path.join("hsts"), raw));
        let listener = ListenerConfig {
            name,
            address,
            led,
            tcp,
            tls,
            reason_header,
            hsts,
            proxy_protocol,
            bounds,
        };
        listeners.push((path, listener));
    }
    for (index, places) in led_paths.iter().enumerate() {
        leads_past(reader, index, places, &listeners);
    }
    if listeners.len() > ListenerId::MAX {
        reader.problem(&list, format!("more listeners than {}", ListenerId::MAX));
    }
    listeners
}

/// What routes need to know of all listeners, in the order of their ids.
pub(super) struct Defined {
    pub(super) names: Vec<String>,
    /// Whether each has `tcp`, and so no routes.
    pub(super) is_tcp: Vec<bool>,
}

/// All listeners, whatever the rest of their shape.
pub(super) fn defined(reader: &Reader<'_>) -> Defined {
    let listeners = reader.value.get("listeners").and_then(Value::as_array);
    let define = |listener: &Value| {
        let name = listener.get("name").and_then(Value::as_str).unwrap_or_default();
        (name.to_owned(), listener.get("tcp").is_some())
    };
    let (names, is_tcp) = listeners.into_iter().flatten().map(define).unzip();
    Defined { names, is_tcp }
}

pub(super) fn admin(
    reader: &mut Reader<'_>,
    listeners: &[(JsonPath, ListenerConfig)],
) -> Option<AdminConfig> {
    let path = JsonPath::from(["admin"]);
    let raw: raw::Admin = reader.read(&path)?;
    for (index, host) in raw.hosts.iter().enumerate() {
        let name_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(name_char) {
            let what = "is no host name; allowed: such as \"gateway.internal\", without a port";
            reader.problem(&path.join("hosts").join(index), format!("{host:?} {what}"));
        }
    }
    let path = path.join("address");
    let address = address(reader, &raw.address, &path)?;
    used_once(reader, address, &path, listeners);
    for (at, listener) in listeners {
        if let Some(led) =
            listener.led.iter().find(|led| led.contains(address.ip(), address.port()))
        {
            let what = format!("{address} is led to {at} by {led}; allowed: an address of its own");
            reader.problem(&path, what);
        }
    }
    Some(AdminConfig { address, hosts: raw.hosts.into_iter().map(Box::from).collect() })
}

pub(super) fn access_log(reader: &mut Reader<'_>) -> AccessLogTarget {
    let raw: raw::AccessLog = reader.section("access_log");
    match raw.target.as_str() {
        "off" => AccessLogTarget::Off,
        "stdout" => AccessLogTarget::Stdout,
        file => {
            let file = reader.resolve(file);
            if file.is_dir()
                || !file.parent().is_none_or(|dir| dir.as_os_str().is_empty() || dir.is_dir())
            {
                let what = "is no file that can be written; allowed: stdout, off, or a file in a directory that exists";
                reader.problem(&["access_log", "target"].into(), what);
            }
            AccessLogTarget::File(file)
        }
    }
}

/// An address whose form the shape check has passed.
fn address(reader: &mut Reader<'_>, text: &str, path: &JsonPath) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        reader.problem(path, format!("{text:?} is not an address and port"));
    }
    parsed
}

/// Notes a free port of an IP that has one already: what a connection came in by is told by the
/// configured address, which both would have.
fn told_apart(
    reader: &mut Reader<'_>,
    address: SocketAddr,
    path: &JsonPath,
    others: &[(JsonPath, ListenerConfig)],
) {
    if address.port() != 0 {
        return;
    }
    if let Some((other, _)) = others.iter().find(|(_, other)| other.address == address) {
        let what = format!("{address} is that of {other}; allowed: one port 0 for each IP address");
        reader.problem(path, what);
    }
}

/// Notes an address that another listener has; the kernel would share its connections out.
fn used_once(
    reader: &mut Reader<'_>,
    address: SocketAddr,
    path: &JsonPath,
    others: &[(JsonPath, ListenerConfig)],
) {
    let collides = |other: &SocketAddr| {
        let same_family = other.is_ipv4() == address.is_ipv4();
        let same_ip = other.ip() == address.ip()
            || other.ip().is_unspecified()
            || address.ip().is_unspecified();
        address.port() != 0 && other.port() == address.port() && same_family && same_ip
    };
    if let Some((other, taken)) = others.iter().find(|(_, other)| collides(&other.address)) {
        let what = format!(
            "{address} collides with {} of {other}; allowed: an address and port of its own",
            taken.address
        );
        reader.problem(path, what);
    }
}

/// Notes prefixes with ports that are led elsewhere as well, and neither is the narrower.
fn led_once(
    reader: &mut Reader<'_>,
    places: &[JsonPath],
    led: &[Led],
    others: &[(JsonPath, ListenerConfig)],
) {
    for (index, (path, one)) in places.iter().zip(led).enumerate() {
        let here = led[..index].iter().zip(places).map(|(other, at)| (at, other));
        let there =
            others.iter().flat_map(|(at, listener)| listener.led.iter().map(move |l| (at, l)));
        if let Some((at, other)) = here.chain(there).find(|(_, other)| one.collides(other)) {
            let what = format!("{one} collides with {other} of {at}; allowed: ports of its own");
            reader.problem(path, what);
        }
    }
}

/// Notes prefixes with ports that hold the address of another listener, which would never see a
/// connection: the kernel leads before it looks who listens.
fn leads_past(
    reader: &mut Reader<'_>,
    index: usize,
    places: &[JsonPath],
    listeners: &[(JsonPath, ListenerConfig)],
) {
    for (path, led) in places.iter().zip(&listeners[index].1.led) {
        let others = listeners.iter().enumerate().filter(|(other, _)| *other != index);
        let mut others = others.map(|(_, other)| other);
        let taken =
            others.find(|(_, other)| led.contains(other.address.ip(), other.address.port()));
        if let Some((at, other)) = taken {
            let what = format!(
                "{led} holds {} of {at}; allowed: prefixes and ports without it",
                other.address
            );
            reader.problem(path, what);
        }
    }
}
