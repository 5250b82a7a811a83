//! The `kernel` section, and the prefixes in it and in listeners.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::{JsonPath, Reader};
use crate::control::config::quantity::Span;
use crate::control::config::raw::kernel as raw;
use crate::control::config::settings::{
    BanConfig, KernelConfig, Led, ShieldConfig, SteeringConfig,
};
use crate::kernel::{Policy, SynRate, XdpChoice, XdpMode};

/// The kernel's bound on the name of an interface (`IFNAMSIZ`), without the NUL.
const INTERFACE_NAME_MAX: usize = 15;

pub(super) fn kernel(reader: &mut Reader<'_>, trusted: &[IpNet]) -> KernelConfig {
    let raw: raw::Kernel = reader.section("kernel");
    let path = JsonPath::from(["kernel", "shield"]);
    KernelConfig {
        steering: match raw.steering {
            raw::Steering::Auto => SteeringConfig::Auto,
            raw::Steering::Cpu => SteeringConfig::Only(Policy::Cpu),
            raw::Steering::LeastLoaded => SteeringConfig::Only(Policy::LeastLoaded),
            raw::Steering::Hash => SteeringConfig::Only(Policy::Hash),
            raw::Steering::Off => SteeringConfig::Off,
        },
        splice: matches!(raw.splice, raw::Splice::On),
        shield: raw.shield.map(|raw| shield(reader, &raw, trusted, &path)),
    }
}

fn shield(
    reader: &mut Reader<'_>,
    raw: &raw::Shield,
    trusted: &[IpNet],
    path: &JsonPath,
) -> ShieldConfig {
    let interfaces = interfaces(reader, &raw.interfaces, &path.join("interfaces"));
    if raw.syn_rate_per_source.is_some() && raw.interfaces.is_empty() {
        let what = "limits nothing without interfaces, which see the packets it counts";
        reader.warning(&path.join("syn_rate_per_source"), what);
    }
    ShieldConfig {
        interfaces,
        mode: match raw.mode {
            raw::ShieldMode::Auto => XdpChoice::Auto,
            raw::ShieldMode::Native => XdpChoice::Only(XdpMode::Native),
            raw::ShieldMode::Generic => XdpChoice::Only(XdpMode::Generic),
        },
        deny: prefixes(reader, &raw.deny, &path.join("deny")),
        allow: prefixes(reader, &raw.allow, &path.join("allow")),
        trusted: trusted.to_vec(),
        syn_rate: raw
            .syn_rate_per_source
            .and_then(NonZeroU32::new)
            .map(|burst| SynRate { interval: Duration::from_secs(1) / burst.get(), burst }),
        ban: ban(reader, &raw.ban, &path.join("ban")),
    }
}

fn interfaces(reader: &mut Reader<'_>, names: &[String], path: &JsonPath) -> Vec<Box<str>> {
    for (index, name) in names.iter().enumerate() {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
        let here = path.join(index);
        if name.is_empty() || name.len() > INTERFACE_NAME_MAX || !name.bytes().all(plain) {
            let what = "is no name of an interface; allowed: such as \"eth0\", up to 15 characters";
            reader.problem(&here, format!("{name:?} {what}"));
        } else if names[..index].contains(name) {
            reader.problem(&here, format!("{name:?} stands here a second time; allowed: once"));
        }
    }
    names.iter().map(|name| name.as_str().into()).collect()
}

fn ban(reader: &mut Reader<'_>, raw: &raw::Ban, path: &JsonPath) -> Option<BanConfig> {
    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let longest = Span(30 * 24 * HOUR);
    reader.in_range(&path.join("within"), &raw.within, &Span(SECOND), &Span(HOUR));
    reader.in_range(&path.join("duration"), &raw.duration, &Span(SECOND), &raw.duration_max);
    reader.in_range(&path.join("duration_max"), &raw.duration_max, &Span(SECOND), &longest);
    let config = |enforced| BanConfig {
        enforced,
        invalid_tokens: raw.invalid_tokens,
        within: raw.within.0,
        duration: raw.duration.0,
        duration_max: raw.duration_max.0,
    };
    match raw.mode {
        raw::BanMode::Off => None,
        raw::BanMode::Shadow => Some(config(false)),
        raw::BanMode::Enforce => Some(config(true)),
    }
}

/// Prefixes without host bits; an address is one of its whole length.
pub(super) fn prefixes(reader: &mut Reader<'_>, texts: &[String], list: &JsonPath) -> Vec<IpNet> {
    let mut seen: HashMap<IpNet, usize> = HashMap::new();
    let mut prefixes = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = list.join(index);
        match prefix(text) {
            Ok(prefix) => {
                if let Some(other) = seen.insert(prefix, index) {
                    reader.warning(&path, format!("{prefix} is {} already", list.join(other)));
                }
                prefixes.push(prefix);
            }
            Err(what) => reader.problem(&path, format!("{text:?} {what}")),
        }
    }
    prefixes
}

fn prefix(text: &str) -> Result<IpNet, String> {
    let parsed = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| {
            "is no address or prefix; allowed: such as \"203.0.113.9\", \"203.0.113.0/24\" or \"2001:db8::/32\""
                .to_owned()
        })?,
    };
    if parsed.trunc() != parsed {
        return Err(format!("has bits set behind its length; allowed: {}", parsed.trunc()));
    }
    Ok(parsed)
}

/// Prefixes with ports, of one listener.
pub(super) fn led(
    reader: &mut Reader<'_>,
    texts: &[String],
    list: &JsonPath,
) -> Vec<(JsonPath, Led)> {
    let mut found = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let path = list.join(index);
        match one_led(text) {
            Ok(led) => found.push((path, led)),
            Err(what) => reader.problem(&path, format!("{text:?} {what}")),
        }
    }
    found
}

fn one_led(text: &str) -> Result<Led, String> {
    let unreadable = || {
        "is no prefix with ports; allowed: such as \"198.51.100.0/24:443\", \"198.51.100.7:8000-8099\" or \"[2001:db8::/32]:443\""
            .to_owned()
    };
    let (addresses, ports) = text.rsplit_once(':').ok_or_else(unreadable)?;
    let bare = addresses.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let addresses = prefix(bare.unwrap_or(addresses))
        .map_err(|what| if what.starts_with("has bits") { what } else { unreadable() })?;
    if bare.is_some() == addresses.addr().is_ipv4() {
        return Err(unreadable());
    }
    Ok(Led { addresses, ports: ports_of(ports).ok_or_else(unreadable)? })
}

fn ports_of(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<NonZeroPort>().ok().map(NonZeroPort::get);
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

type NonZeroPort = std::num::NonZeroU16;

#[cfg(test)]
mod tests {
    use super::{one_led, prefix};

    #[test]
    fn a_prefix_has_ports() {
        for (text, shown) in [
            ("198.51.100.0/24:443", "198.51.100.0/24:443"),
            ("198.51.100.7:8000-8099", "198.51.100.7/32:8000-8099"),
            ("[2001:db8::/32]:1-65535", "[2001:db8::/32]:1-65535"),
            ("[2001:db8::1]:80-80", "[2001:db8::1/128]:80"),
        ] {
            assert_eq!(one_led(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_prefix_with_ports_is_said() {
        for text in [
            "",
            "198.51.100.0/24",
            "198.51.100.0/24:",
            "198.51.100.0/24:0",
            "198.51.100.0/24:9-8",
            "198.51.100.0/24:65536",
            "198.51.100.0/33:80",
            "2001:db8::/32:80",
            "[198.51.100.7]:80",
            "localhost:80",
            "198.51.100.0/24:80-",
            ":80",
        ] {
            let what = one_led(text).expect_err(text);
            assert!(what.starts_with("is no prefix with ports; allowed: "), "{text}: {what}");
        }
        let what = one_led("198.51.100.7/24:80").expect_err("host bits");
        assert_eq!(what, "has bits set behind its length; allowed: 198.51.100.0/24");
    }

    #[test]
    fn an_address_is_a_whole_prefix() {
        assert_eq!(prefix("203.0.113.9").expect("good").to_string(), "203.0.113.9/32");
        assert_eq!(prefix("::1").expect("good").to_string(), "::1/128");
        assert!(prefix("203.0.113.9/24").is_err() && prefix("eth0").is_err());
    }
}
