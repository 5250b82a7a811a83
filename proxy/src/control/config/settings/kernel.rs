//! What eBPF programs are to do.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::Config;
use crate::kernel::{Policy, SynRate, XdpChoice};
use crate::snapshot::peers::PeerRules;

/// What eBPF programs are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig {
    /// Which worker gets a new connection.
    pub steering: SteeringConfig,
    /// Whether tunnels are spliced.
    pub splice: bool,
    /// What is dropped, if anything.
    pub shield: Option<ShieldConfig>,
}

impl Config {
    /// Who may connect, and who may tell of others.
    #[must_use]
    pub fn peers(&self) -> PeerRules {
        let trusted = &self.trusted_proxies;
        match &self.kernel.shield {
            Some(ShieldConfig { allow, deny, ban, .. }) => {
                PeerRules::new(allow, deny, trusted, ban.is_some())
            }
            None => PeerRules::new(&[], &[], trusted, false),
        }
    }
}

impl KernelConfig {
    /// When sources are banned; none: never.
    #[must_use]
    pub fn ban(&self) -> Option<BanConfig> {
        self.shield.as_ref().and_then(|shield| shield.ban)
    }
}

/// Which worker gets a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SteeringConfig {
    /// The best there is here.
    Auto,
    /// This, or the gateway does not start.
    Only(Policy),
    /// What the kernel does by itself.
    Off,
}

/// What is dropped before a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShieldConfig {
    /// No two are equal.
    pub interfaces: Vec<Box<str>>,
    /// How the program sits there.
    pub mode: XdpChoice,
    /// Without host bits, as all prefixes here.
    pub deny: Vec<IpNet>,
    /// Never denied, limited or banned.
    pub allow: Vec<IpNet>,
    /// [`Config::trusted_proxies`], for the program: never banned.
    pub trusted: Vec<IpNet>,
    /// None: no limit.
    pub syn_rate: Option<SynRate>,
    /// None: nobody is banned.
    pub ban: Option<BanConfig>,
}

/// When a source is banned, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanConfig {
    /// Whether it is refused anything, or only counted.
    pub enforced: bool,
    /// At least 1.
    pub invalid_tokens: u32,
    /// Of each other.
    pub within: Duration,
    /// Of a first ban, at least 1 s.
    pub duration: Duration,
    /// At least as long.
    pub duration_max: Duration,
}

/// Addresses and ports that are led to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Without host bits.
    pub addresses: IpNet,
    /// Never 0, never empty.
    pub ports: RangeInclusive<u16>,
}

impl Led {
    /// Whether a connection to this address and port is among them.
    #[must_use]
    pub fn contains(&self, address: IpAddr, port: u16) -> bool {
        self.addresses.contains(&address) && self.ports.contains(&port)
    }

    /// Whether neither is the narrower: both have the same addresses, and a port in common.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        self.addresses == other.addresses
            && self.ports.start() <= other.ports.end()
            && other.ports.start() <= self.ports.end()
    }
}

impl std::fmt::Display for Led {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.addresses {
            IpNet::V4(addresses) => write!(f, "{addresses}:")?,
            IpNet::V6(addresses) => write!(f, "[{addresses}]:")?,
        }
        let (first, last) = (self.ports.start(), self.ports.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}
