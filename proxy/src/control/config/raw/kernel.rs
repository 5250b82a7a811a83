//! The `kernel` section as it is typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::config::quantity::Span;

/// What eBPF programs do for the gateway. It speeds things up and sheds load, and changes no verdict
/// and no byte. `ringgate probe` tells what is possible here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct Kernel {
    /// Which worker gets a new connection.
    pub(in crate::control::config) steering: Steering,
    /// Whether the bytes of tunnels (WebSocket, TCP listeners) move from socket to socket in the kernel.
    /// Pays for many small messages, and not for tunnels that carry much. A WebSocket that ends with
    /// its token is then cut without a close frame, which only the gateway itself could place. Needs
    /// Linux 6.16, and a restart to change.
    pub(in crate::control::config) splice: Splice,
    /// What is dropped before a connection is made. Absent: nothing.
    pub(in crate::control::config) shield: Option<Shield>,
}

/// Which worker gets a new connection.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Steering {
    /// As `least_loaded` where that is possible here, else as `off`.
    #[default]
    Auto,
    /// The one on the core that took the handshake. Each worker needs a core of its own.
    Cpu,
    /// The one with fewer connections of two taken at random.
    LeastLoaded,
    /// By a hash of addresses and ports, but none that drains.
    Hash,
    /// The kernel's own hash.
    Off,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Splice {
    On,
    #[default]
    Off,
}

/// What is dropped before a connection is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct Shield {
    /// Network interfaces that an XDP program is put on, such as `eth0`. Without one, or where it
    /// cannot be put, connections of denied and banned sources are closed when they are accepted.
    pub(in crate::control::config) interfaces: Vec<String>,
    /// How the program sits on an interface.
    pub(in crate::control::config) mode: ShieldMode,
    /// Addresses and prefixes, such as `203.0.113.0/24`, that nothing is accepted from.
    pub(in crate::control::config) deny: Vec<String>,
    /// Addresses and prefixes that are never denied, limited or banned, also where they are in `deny`.
    pub(in crate::control::config) allow: Vec<String>,
    /// New connections (SYN) that one IPv4 address or IPv6 /64 may begin each second; more are dropped.
    /// Absent: any number. Needs an interface.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) syn_rate_per_source: Option<u32>,
    /// What becomes of sources that send forged tokens.
    pub(in crate::control::config) ban: Ban,
}

/// How the program sits on an interface.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum ShieldMode {
    /// As `native` where the driver can, else as `generic`, else not at all.
    #[default]
    Auto,
    /// In the driver, or the gateway does not start.
    Native,
    /// In the stack, or the gateway does not start.
    Generic,
}

/// What becomes of an IPv4 address or IPv6 /64 that sends many tokens whose signature is forged.
/// Loopback, allowed sources and `forwarding.trusted_proxies` are never banned.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct Ban {
    /// `shadow` counts and shows what `enforce` would refuse.
    pub(in crate::control::config) mode: BanMode,
    /// Requests with such a token that make a ban, when they come `within` this time of each other.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::control::config) invalid_tokens: u32,
    /// 1s to 1h.
    pub(in crate::control::config) within: Span,
    /// Of a first ban, 1s to `duration_max`. It is doubled for a source that comes back to it.
    pub(in crate::control::config) duration: Span,
    /// The longest ban, up to 30 days.
    pub(in crate::control::config) duration_max: Span,
}

impl Default for Ban {
    fn default() -> Self {
        let minutes = |count: u64| Span(std::time::Duration::from_secs(60 * count));
        Self {
            mode: BanMode::Shadow,
            invalid_tokens: 20,
            within: minutes(1),
            duration: minutes(10),
            duration_max: minutes(24 * 60),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum BanMode {
    Off,
    #[default]
    Shadow,
    Enforce,
}
