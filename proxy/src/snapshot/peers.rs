//! Who may connect, by address: the lists of the configuration, and the sources that are banned now.
//!
//! The same verdicts as the shield's program gives in the kernel: an allowed address passes whatever
//! else is said of it, a denied one does not, and a ban counts for neither a trusted proxy nor
//! loopback.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use ringgate_ebpf_abi::shield::Source;

/// The source that a peer is a part of: its IPv4 address, or the /64 of its IPv6 one.
#[must_use]
pub fn source_of(peer: IpAddr) -> Source {
    match peer.to_canonical() {
        IpAddr::V4(address) => Source::v4(address.octets()),
        IpAddr::V6(address) => Source::v6(address.octets()),
    }
}

/// The addresses of a source.
#[must_use]
pub fn prefix_of(source: Source) -> IpNet {
    let address = Ipv6Addr::from(source.0);
    match address.to_ipv4_mapped() {
        Some(address) => IpNet::V4(Ipv4Net::from(address)),
        None => IpNet::V6(Ipv6Net::new_assert(address, 64)),
    }
}

/// Whether a peer may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It may, though its source is banned in shadow mode.
    Shadowed,
    /// It is in the deny list.
    Denied,
    /// Its source is banned.
    Banned,
}

impl Admission {
    /// Whether its connection is closed.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Admitted | Self::Shadowed => false,
            Self::Denied | Self::Banned => true,
        }
    }
}

/// Whether a ban refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BanMode {
    /// It is counted and shown.
    #[default]
    Shadow,
    /// It refuses.
    Enforced,
}

impl BanMode {
    /// For logs, metrics and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Enforced => "enforce",
        }
    }
}

/// The lists of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PeerRules {
    allow: PrefixSet,
    deny: PrefixSet,
    trusted: PrefixSet,
    bans: bool,
}

impl PeerRules {
    /// Rules of these lists; `bans` says whether sources of bad tokens are told to the control
    /// thread.
    #[must_use]
    pub fn new(allow: &[IpNet], deny: &[IpNet], trusted: &[IpNet], bans: bool) -> Self {
        let [allow, deny, trusted] = [allow, deny, trusted].map(PrefixSet::new);
        Self { allow, deny, trusted, bans }
    }

    /// Whether a peer may connect now.
    #[must_use]
    pub fn admit(&self, peer: IpAddr, bans: &BanList, now: Instant) -> Admission {
        if self.deny.is_empty() && bans.is_empty() {
            return Admission::Admitted;
        }
        let peer = peer.to_canonical();
        if self.allow.contains(peer) {
            Admission::Admitted
        } else if self.deny.contains(peer) {
            Admission::Denied
        } else if !bans.holds(source_of(peer), now) || self.is_trusted(peer) {
            Admission::Admitted
        } else {
            match bans.mode {
                BanMode::Shadow => Admission::Shadowed,
                BanMode::Enforced => Admission::Banned,
            }
        }
    }

    /// Whether bad tokens count against a peer.
    #[must_use]
    pub fn is_watched(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.bans && !self.allow.contains(peer) && !self.is_trusted(peer)
    }

    /// Whether no address of a source can be banned.
    #[must_use]
    pub fn exempts(&self, source: Source) -> bool {
        let prefix = prefix_of(source);
        self.allow.covers(prefix) || self.trusted.covers(prefix) || prefix.addr().is_loopback()
    }

    /// Whether a peer may tell of the client.
    #[must_use]
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted.contains(peer.to_canonical())
    }

    /// Loopback is the operator's own.
    fn is_trusted(&self, peer: IpAddr) -> bool {
        peer.is_loopback() || self.trusted.contains(peer)
    }
}

/// The sources that are banned, until when.
#[derive(Debug, Default)]
pub struct BanList {
    mode: BanMode,
    until: HashMap<Source, Instant>,
}

impl BanList {
    /// The list of these.
    #[must_use]
    pub fn new(mode: BanMode, bans: impl IntoIterator<Item = (Source, Instant)>) -> Self {
        Self { mode, until: bans.into_iter().collect() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    fn holds(&self, source: Source, now: Instant) -> bool {
        self.until.get(&source).is_some_and(|until| now < *until)
    }
}

/// Prefixes none of which contains another, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PrefixSet {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl PrefixSet {
    /// The set of these.
    #[must_use]
    pub fn new(prefixes: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            match prefix {
                IpNet::V4(prefix) => v4.push(*prefix),
                IpNet::V6(prefix) => v6.push(*prefix),
            }
        }
        Self { v4: Ipv4Net::aggregate(&v4), v6: Ipv6Net::aggregate(&v6) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether an address is in one of them; an IPv4-mapped one is none of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers(address.into())
    }

    /// Whether all of a prefix is in it: then one of its own contains it.
    fn covers(&self, prefix: IpNet) -> bool {
        // The last that begins no later is the only one that can.
        match prefix {
            IpNet::V4(prefix) => {
                let after = self.v4.partition_point(|own| own.network() <= prefix.network());
                after > 0 && self.v4[after - 1].contains(&prefix)
            }
            IpNet::V6(prefix) => {
                let after = self.v6.partition_point(|own| own.network() <= prefix.network());
                after > 0 && self.v6[after - 1].contains(&prefix)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rules(allow: &[&str], deny: &[&str], trusted: &[&str]) -> PeerRules {
        PeerRules::new(&nets(allow), &nets(deny), &nets(trusted), true)
    }

    #[test]
    fn a_source_is_an_address_or_a_64() {
        for (peer, prefix) in [
            ("198.51.100.7", "198.51.100.7/32"),
            ("::ffff:198.51.100.7", "198.51.100.7/32"),
            ("2001:db8::1:2:3:4", "2001:db8::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(prefix_of(source_of(ip(peer))).to_string(), prefix, "{peer}");
        }
    }

    #[test]
    fn allow_comes_before_deny_and_deny_before_bans() {
        let rules = rules(&["10.0.0.7/32", "2001:db8::5/128"], &["10.0.0.0/24"], &["10.1.0.0/16"]);
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let banned = ["10.0.0.7", "10.0.0.8", "10.1.0.1", "10.2.0.1", "2001:db8::1", "127.0.0.9"];
        let bans = |mode| BanList::new(mode, banned.map(|text| (source_of(ip(text)), now + hour)));
        let (shadow, enforced) = (bans(BanMode::Shadow), bans(BanMode::Enforced));
        let (admitted, denied) = (Admission::Admitted, Admission::Denied);
        for (peer, in_shadow, in_force) in [
            ("10.0.0.7", admitted, admitted),
            ("10.0.0.8", denied, denied),
            ("10.1.0.1", admitted, admitted),
            ("10.2.0.1", Admission::Shadowed, Admission::Banned),
            ("::ffff:10.2.0.1", Admission::Shadowed, Admission::Banned),
            ("10.2.0.2", admitted, admitted),
            ("2001:db8::99", Admission::Shadowed, Admission::Banned),
            ("2001:db8::5", admitted, admitted),
            ("2001:db8:0:1::1", admitted, admitted),
            ("127.0.0.9", admitted, admitted),
        ] {
            assert_eq!(rules.admit(ip(peer), &shadow, now), in_shadow, "{peer}");
            assert_eq!(rules.admit(ip(peer), &enforced, now), in_force, "{peer}");
        }
        assert_eq!(rules.admit(ip("10.2.0.1"), &enforced, now + hour), admitted, "it is over");
    }

    #[test]
    fn neither_loopback_nor_allowed_nor_trusted_peers_are_watched() {
        let rules = rules(&["10.0.0.0/24"], &[], &["10.1.0.0/16", "2001:db8::/32"]);
        for (peer, watched) in [
            ("127.0.0.1", false),
            ("127.255.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("10.0.0.1", false),
            ("10.1.2.3", false),
            ("2001:db8::1", false),
            ("10.2.0.1", true),
            ("2001:db9::1", true),
        ] {
            assert_eq!(rules.is_watched(ip(peer)), watched, "{peer}");
            // A whole /64 is exempt where all of it is; that of ::1 has others in it.
            let exempt = rules.exempts(source_of(ip(peer)));
            assert_eq!(exempt, !watched && peer != "::1", "{peer}");
        }
        let off = PeerRules::new(&[], &[], &[], false);
        assert!(!off.is_watched(ip("10.2.0.1")), "without bans nobody is");
    }

    proptest! {
        #[test]
        fn a_set_contains_what_one_of_its_prefixes_contains(
            prefixes in prop::collection::vec((0_u32..64, 24_u8..=32), 0..12),
            address in 0_u32..64,
        ) {
            let prefixes: Vec<IpNet> = prefixes
                .into_iter()
                .map(|(bits, length)| {
                    IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap()
                })
                .collect();
            let address = IpAddr::from(Ipv4Addr::from_bits(address));
            let expected = prefixes.iter().any(|prefix| prefix.contains(&address));
            prop_assert_eq!(PrefixSet::new(&prefixes).contains(address), expected);
        }
    }
}
