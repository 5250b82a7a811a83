//! The shield's maps: who is listened to, who is let in, who is kept out, and what was counted.

use core::mem::{offset_of, size_of};

/// Prefixes of a configuration. Each family's map holds twice as many, for the new ones are there
/// before the old ones go.
pub const RULES_MAX: u32 = 16_384;
/// Addresses and ports that are listened on; the map holds twice as many, as above.
pub const TARGETS_MAX: u32 = 4096;
/// Sources whose rate of handshakes is known at a time; the least recently seen makes room.
pub const SOURCES_MAX: u32 = 65_536;
/// Sources that can be banned at a time.
pub const BANS_MAX: u32 = 16_384;

/// Who sent a frame, as rates and bans count it: an IPv4 address, or the /64 of an IPv6 one, which
/// is what one customer gets.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub [u8; 16]);

impl Source {
    /// The source of an IPv4 address.
    #[must_use]
    #[inline(always)]
    pub const fn v4(address: [u8; 4]) -> Self {
        Self(crate::mapped(address))
    }

    /// The source of an IPv6 address.
    #[must_use]
    #[inline(always)]
    pub const fn v6(a: [u8; 16]) -> Self {
        Self([a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], 0, 0, 0, 0, 0, 0, 0, 0])
    }
}

/// Where a listener listens. `::` and `::ffff:0.0.0.0` stand for all addresses of their family.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// IPv6, or IPv4 mapped.
    pub address: [u8; 16],
    /// In network order.
    pub port: [u8; 2],
}

const _: () = assert!(size_of::<Source>() == 16);
const _: () = assert!(size_of::<Target>() == 18);
const _: () = assert!(offset_of!(Target, port) == 16);

/// What is known of a prefix. The value of a prefix holds the bits of all prefixes around it, so
/// that the longest match tells everything.
pub mod rule {
    /// Never dropped.
    pub const ALLOW: u32 = 1;
    /// Dropped unless allowed.
    pub const DENY: u32 = 2;
    /// A proxy that speaks for others: never banned for what they did.
    pub const TRUSTED: u32 = 4;
}

/// A source that is kept out for a while.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// On the kernel's monotonic clock.
    pub until_ns: u64,
    /// [`SHADOW`](Self::SHADOW) or [`ENFORCED`](Self::ENFORCED).
    pub mode: u64,
}

impl Ban {
    /// Counted, not dropped.
    pub const SHADOW: u64 = 0;
    /// Dropped.
    pub const ENFORCED: u64 = 1;
}

const _: () = assert!(size_of::<Ban>() == 16);
const _: () = assert!(offset_of!(Ban, mode) == 8);

/// How handshakes of one source are rationed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Between two handshakes of a source in the long run; 0 is no limit.
    pub syn_interval_ns: u64,
    /// How far a source may run ahead of that.
    pub syn_burst_ns: u64,
}

const _: () = assert!(size_of::<Settings>() == 16);
const _: () = assert!(offset_of!(Settings, syn_burst_ns) == 8);

/// How often the program speaks of a dropped segment, where it is asked to; the others are counted
/// only.
pub mod line {
    /// Between two lines in the long run.
    pub const INTERVAL_NS: u64 = 100_000_000;
    /// Lines at once, after a while of silence.
    pub const BURST: u64 = 10;
}

/// What became of a frame; the index of its counter.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not TCP over IP.
    PassedNotTcp = 0,
    /// For no listener of the gateway.
    PassedNotOurs = 1,
    /// With IPv4 options: left to the stack.
    PassedOptions = 2,
    /// A fragment: left to the stack.
    PassedFragment = 3,
    /// With an IPv6 extension header: left to the stack.
    PassedExtension = 4,
    /// Too short or contradictory to say whom it is for: left to the stack.
    PassedUnreadable = 5,
    /// From an allowed source.
    PassedAllowed = 6,
    /// Nothing against it.
    Passed = 7,
    /// Nothing against it but a ban in shadow mode.
    PassedShadowBan = 8,
    /// From a denied source.
    DroppedDenied = 9,
    /// From a banned source.
    DroppedBanned = 10,
    /// Lengths that contradict each other.
    DroppedLength = 11,
    /// SYN together with FIN or RST.
    DroppedFlags = 12,
    /// From port 0.
    DroppedPort = 13,
    /// A handshake too many.
    DroppedSynRate = 14,
}

impl Verdict {
    /// All, in the order of their counters.
    pub const ALL: [Self; 15] = [
        Self::PassedNotTcp,
        Self::PassedNotOurs,
        Self::PassedOptions,
        Self::PassedFragment,
        Self::PassedExtension,
        Self::PassedUnreadable,
        Self::PassedAllowed,
        Self::Passed,
        Self::PassedShadowBan,
        Self::DroppedDenied,
        Self::DroppedBanned,
        Self::DroppedLength,
        Self::DroppedFlags,
        Self::DroppedPort,
        Self::DroppedSynRate,
    ];

    /// Whether the frame went no further.
    #[must_use]
    #[inline(always)]
    pub const fn is_drop(self) -> bool {
        self as u32 >= Self::DroppedDenied as u32
    }

    /// For logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PassedNotTcp => "passed_not_tcp",
            Self::PassedNotOurs => "passed_not_ours",
            Self::PassedOptions => "passed_options",
            Self::PassedFragment => "passed_fragment",
            Self::PassedExtension => "passed_extension",
            Self::PassedUnreadable => "passed_unreadable",
            Self::PassedAllowed => "passed_allowed",
            Self::Passed => "passed",
            Self::PassedShadowBan => "passed_shadow_ban",
            Self::DroppedDenied => "dropped_denied",
            Self::DroppedBanned => "dropped_banned",
            Self::DroppedLength => "dropped_length",
            Self::DroppedFlags => "dropped_flags",
            Self::DroppedPort => "dropped_port",
            Self::DroppedSynRate => "dropped_syn_rate",
        }
    }
}

/// Counters of the shield.
pub const VERDICTS: u32 = Verdict::ALL.len() as u32;

const _: () = {
    let mut at = 0;
    while at < Verdict::ALL.len() {
        assert!(Verdict::ALL[at] as usize == at);
        at += 1;
    }
};
