//! Which addresses a fetch may connect to, judged on what a name resolved to.
//!
//! The addresses that pass are the ones that are connected to: there is no second look-up that
//! could answer otherwise (DNS rebinding).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Addresses beyond the public ones that may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Private networks and loopback.
    pub private: bool,
    /// Loopback.
    pub loopback: bool,
}

/// Every address that a name has is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}; not connected to")]
pub struct OutOfReach {
    /// The first of them.
    pub address: IpAddr,
    kind: &'static str,
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Loopback,
    /// No issuer is there, whatever the configuration says: link-local with the metadata services
    /// of clouds, multicast, unspecified, documentation, reserved.
    Never,
}

impl Reach {
    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(self, address: IpAddr) -> Result<(), OutOfReach> {
        let refused = |kind| Err(OutOfReach { address, kind });
        match kind_of(address) {
            Kind::Public => Ok(()),
            Kind::Private if self.private => Ok(()),
            Kind::Private => refused("a private address, which needs \"allow_private\""),
            Kind::Loopback if self.private || self.loopback => Ok(()),
            Kind::Loopback => refused("a loopback address, which needs \"allow_private\""),
            Kind::Never => refused("link-local, multicast or reserved"),
        }
    }
}

fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

/// By the IANA special-purpose registry (RFC 6890).
fn kind_of_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // Alibaba Cloud's metadata service, in shared space.
        [100, 100, 100, 200] => Kind::Never,
        [127, ..] => Kind::Loopback,
        [10, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [198, 18 | 19, ..] => Kind::Private,
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Kind::Never
        }
        [224..=255, ..] => Kind::Never,
        _ => Kind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        // IPv4-mapped, NAT64 (RFC 6052) and 6to4 lead to the IPv4 address in them.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        // AWS's metadata service, in unique local space.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Kind::Never,
        [0xfc00..=0xfdff, ..] | [0x64, 0xff9b, 1, ..] => Kind::Private,
        // Teredo, benchmarking and ORCHID, and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Never,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never,
    }
}

/// Looks a name up and keeps the addresses that are within reach.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) reach: Reach,
    pub(super) names: DefaultResolver,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let mut within = self.empty();
        let mut refused = None;
        for address in &found {
            match self.reach.check(address.ip()) {
                Ok(()) => within.push(*address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if within.is_empty() => Err(ureq::Error::Other(Box::new(error))),
            _ => Ok(within),
        }
    }
}

/// Looks nothing up: for a Unix socket, which needs no address.
#[derive(Debug)]
pub(super) struct NoNames;

impl Resolver for NoNames {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // There must be one; it is not connected to.
        let mut unused = self.empty();
        unused.push((Ipv4Addr::UNSPECIFIED, 0).into());
        Ok(unused)
    }
}

/// The address that a URL's host is, where it is one and no name.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a URL's host says by itself that it is this machine.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || literal(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reachable(reach: Reach, addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|text| reach.check(text.parse().unwrap()).is_ok()).collect()
    }

    const PUBLIC: [&str; 6] = [
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ];
    const PRIVATE: [&str; 9] = [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.19.0.1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ];
    const LOOPBACK: [&str; 4] = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"];
    const NEVER: [&str; 17] = [
        "0.0.0.0",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::7f00:1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
    ];

    #[test]
    fn only_public_addresses_are_within_reach_by_default() {
        let reach = Reach::default();
        assert_eq!(reachable(reach, &PUBLIC), [true; PUBLIC.len()]);
        assert_eq!(reachable(reach, &PRIVATE), [false; PRIVATE.len()]);
        assert_eq!(reachable(reach, &LOOPBACK), [false; LOOPBACK.len()]);
        assert_eq!(reachable(reach, &NEVER), [false; NEVER.len()]);
    }

    #[test]
    fn allow_private_adds_private_and_loopback_and_never_metadata() {
        let reach = Reach { private: true, loopback: false };
        assert_eq!(reachable(reach, &PRIVATE), [true; PRIVATE.len()]);
        assert_eq!(reachable(reach, &LOOPBACK), [true; LOOPBACK.len()]);
        assert_eq!(reachable(reach, &NEVER), [false; NEVER.len()]);
    }

    #[test]
    fn loopback_alone_adds_nothing_else() {
        let reach = Reach { private: false, loopback: true };
        assert_eq!(reachable(reach, &LOOPBACK), [true; LOOPBACK.len()]);
        assert_eq!(reachable(reach, &PRIVATE), [false; PRIVATE.len()]);
        assert_eq!(reachable(reach, &NEVER), [false; NEVER.len()]);
    }

    #[test]
    fn loopback_is_known_by_its_literal() {
        let hosts =
            ["localhost", "LOCALHOST", "127.0.0.2", "[::1]", "localhost.example", "10.0.0.1"];
        assert_eq!(hosts.map(is_loopback_host), [true, true, true, true, false, false]);
    }
}
