//! The shield: what XDP drops on the way to the listeners, set and counted from here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aya::EbpfLoader;
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, xdp};
use ipnet::IpNet;
use ringgate_ebpf_abi::mapped;
use ringgate_ebpf_abi::shield as abi;
use ringgate_ebpf_abi::shield::{Source, Target, Verdict, rule};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::time::{ClockId, clock_gettime};

use super::lines::{self, Lines};
use super::load::Loaded;
use super::off::chain;
use super::prefixes::{Prefixes, joined};
use super::{Assist, Off};
use crate::snapshot::peers::BanMode;

/// How the program sits on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before the kernel makes a buffer of the packet.
    Native,
    /// In the stack, on any interface.
    Generic,
}

impl XdpMode {
    /// For messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Which mode is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpChoice {
    /// Native where the driver can, else generic.
    Auto,
    /// This one or none.
    Only(XdpMode),
}

/// Where the program is attached, and what did not go.
#[derive(Debug)]
pub struct Attached {
    /// In which mode.
    pub mode: XdpMode,
    /// Why not in native mode, where `auto` fell back.
    pub fallback: Option<Off>,
}

/// What the configuration asks of the shield.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    /// Addresses and ports of the listeners; an unspecified address stands for all of its family.
    pub listeners: BTreeSet<SocketAddr>,
    /// Sources whose segments are dropped.
    pub deny: Vec<IpNet>,
    /// Sources whose segments are never dropped, denied or not.
    pub allow: Vec<IpNet>,
    /// Proxies that are never banned for what they pass on.
    pub trusted: Vec<IpNet>,
    /// Handshakes that one source may begin.
    pub syn_rate: Option<SynRate>,
}

/// Handshakes of one source: an IPv4 address or the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynRate {
    /// Between two of them, in the long run.
    pub interval: Duration,
    /// At once, after a while of silence.
    pub burst: NonZeroU32,
}

/// A ban that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Who is banned.
    pub source: Source,
    /// How much longer.
    pub remaining: Duration,
    /// Whether it drops.
    pub mode: BanMode,
}

/// Frames by verdict, over all CPUs, since the program was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters([u64; Verdict::ALL.len()]);

impl Counters {
    /// How many frames met this verdict.
    #[must_use]
    pub const fn of(&self, verdict: Verdict) -> u64 {
        self.0[verdict as usize]
    }

    /// How many frames were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        Verdict::ALL.into_iter().filter(|verdict| verdict.is_drop()).map(|one| self.of(one)).sum()
    }
}

/// Where frames are counted, to be read from any thread.
#[derive(Clone)]
pub struct FrameCounters(Arc<PerCpuArray<MapData, u64>>);

impl FrameCounters {
    /// What was counted so far.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn read(&self) -> Result<Counters, Off> {
        let mut counts = [0; Verdict::ALL.len()];
        for (count, verdict) in counts.iter_mut().zip(Verdict::ALL) {
            *count = self.0.get(&(verdict as u32), 0)?.iter().sum();
        }
        Ok(Counters(counts))
    }
}

impl fmt::Debug for FrameCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameCounters")
    }
}

/// How the program hangs on an interface, and which that was: another may get its name.
struct Link {
    index: Option<u32>,
    _fd: FdLink,
}

/// The program and its maps. Dropped, it leaves all interfaces.
pub struct Shield {
    program: Loaded,
    links: BTreeMap<String, Link>,
    rules: Prefixes<u32>,
    targets: HashMap<MapData, Target, u8>,
    protected: BTreeSet<Target>,
    settings: Array<MapData, abi::Settings>,
    bans: HashMap<MapData, Source, abi::Ban>,
    counters: FrameCounters,
    lines: Option<Lines>,
}

impl Shield {
    /// Loads the program, which protects nothing yet. Where the log takes debug lines it speaks of
    /// what it drops, see [`log_drops`](Self::log_drops).
    ///
    /// # Errors
    ///
    /// The kernel or the rights do not allow it.
    pub fn load() -> Result<Self, Off> {
        let wanted = lines::are_wanted();
        let mut loader = EbpfLoader::new();
        loader.override_global("LINES_WANTED", if wanted { &1_u8 } else { &0 }, true);
        let mut program = Loaded::new(Assist::Shield, &mut loader)?;
        let lines = wanted.then(|| program.lines()).transpose()?;
        let rules = Prefixes::new(program.map("RULES_V4")?, program.map("RULES_V6")?);
        let targets = program.map("TARGETS")?;
        let settings = program.map("SETTINGS")?;
        let bans = program.map("BANS")?;
        let counters = FrameCounters(Arc::new(program.map("COUNTERS")?));
        program.program::<Xdp>("shield")?.load()?;
        let (links, protected) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { program, links, rules, targets, protected, settings, bans, counters, lines })
    }

    /// Puts the program on an interface.
    ///
    /// # Errors
    ///
    /// There is no such interface, or it takes the program in none of the modes asked for.
    pub fn attach(&mut self, interface: &str, choice: XdpChoice) -> Result<Attached, Off> {
        let mode = match choice {
            XdpChoice::Only(mode) => mode,
            XdpChoice::Auto => XdpMode::Native,
        };
        match self.attach_in(interface, mode) {
            Ok(()) => Ok(Attached { mode, fallback: None }),
            Err(refusal @ Off::Attach { .. }) if choice == XdpChoice::Auto => {
                self.attach_in(interface, XdpMode::Generic)?;
                Ok(Attached { mode: XdpMode::Generic, fallback: Some(refusal) })
            }
            Err(error) => Err(error),
        }
    }

    /// By a link, which ends with the process; aya falls back to netlink, which does not, and that
    /// is refused here.
    fn attach_in(&mut self, interface: &str, mode: XdpMode) -> Result<(), Off> {
        let refused =
            |why: String| Off::Attach { interface: interface.to_owned(), mode: mode.name(), why };
        if interface.contains('\0') {
            return Err(Off::NoInterface(interface.to_owned()));
        }
        let flags = match mode {
            XdpMode::Native => xdp::XdpMode::Driver,
            XdpMode::Generic => xdp::XdpMode::Skb,
        };
        let program = self.program.program::<Xdp>("shield")?;
        let id = match program.attach(interface, flags) {
            Ok(id) => id,
            Err(ProgramError::UnknownInterface { name }) => return Err(Off::NoInterface(name)),
            Err(error) => return Err(refused(chain(&error))),
        };
        let fd = FdLink::try_from(program.take_link(id)?).map_err(|e| refused(chain(&e)))?;
        self.links.insert(interface.to_owned(), Link { index: index_of(interface), _fd: fd });
        Ok(())
    }

    /// Takes the program off an interface; false if it was not there.
    pub fn detach(&mut self, interface: &str) -> bool {
        self.links.remove(interface).is_some()
    }

    /// Whether the program is on the interface that has this name now.
    #[must_use]
    pub fn is_on(&self, interface: &str) -> bool {
        self.links.get(interface).is_some_and(|link| link.index == index_of(interface))
    }

    /// Where the program is.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }

    /// Makes this the protection, in place of the former one, while frames arrive.
    ///
    /// # Errors
    ///
    /// It asks for more than the maps have room for, and then nothing is changed; or the kernel
    /// refuses an entry.
    pub fn protect(&mut self, protection: &Protection) -> Result<(), Off> {
        let rules = rules(protection);
        let targets: BTreeSet<Target> = protection.listeners.iter().map(target).collect();
        limit("prefixes", rules.len(), abi::RULES_MAX)?;
        limit("listening addresses", targets.len(), abi::TARGETS_MAX)?;
        self.rules.replace(&rules)?;
        self.settings.set(0, settings(protection.syn_rate), 0)?;
        for target in &targets {
            if !self.protected.contains(target) {
                self.targets.insert(target, 0, 0)?;
                self.protected.insert(*target);
            }
        }
        let stale: Vec<Target> = self.protected.difference(&targets).copied().collect();
        for target in stale {
            self.targets.remove(&target)?;
            self.protected.remove(&target);
        }
        Ok(())
    }

    /// Bans a source for so long, in place of a ban that it has.
    ///
    /// # Errors
    ///
    /// There are too many bans.
    pub fn ban(&mut self, source: Source, lifetime: Duration, mode: BanMode) -> Result<(), Off> {
        let mode = match mode {
            BanMode::Shadow => abi::Ban::SHADOW,
            BanMode::Enforced => abi::Ban::ENFORCED,
        };
        let until_ns = monotonic_ns().saturating_add(nanoseconds(lifetime));
        Ok(self.bans.insert(source, abi::Ban { until_ns, mode }, 0)?)
    }

    /// Ends the ban of a source; false if it had none.
    pub fn lift(&mut self, source: Source) -> bool {
        self.bans.remove(&source).is_ok()
    }

    /// The bans that hold. Forgets those that are over, which hold no longer but take room.
    ///
    /// # Errors
    ///
    /// The kernel does not tell the map's entries.
    pub fn bans(&mut self) -> Result<Vec<Ban>, Off> {
        let now_ns = monotonic_ns();
        let (mut holding, mut over) = (Vec::new(), Vec::new());
        for entry in self.bans.iter() {
            let (source, ban) = entry?;
            match ban.until_ns.checked_sub(now_ns) {
                None | Some(0) => over.push(source),
                Some(left_ns) => {
                    let enforced = ban.mode == abi::Ban::ENFORCED;
                    let mode = if enforced { BanMode::Enforced } else { BanMode::Shadow };
                    let remaining = Duration::from_nanos(left_ns);
                    holding.push(Ban { source, remaining, mode });
                }
            }
        }
        for source in over {
            self.lift(source);
        }
        Ok(holding)
    }

    /// What was counted so far.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn counters(&self) -> Result<Counters, Off> {
        self.counters.read()
    }

    /// The same, to be read without the shield.
    #[must_use]
    pub fn frame_counters(&self) -> FrameCounters {
        self.counters.clone()
    }

    /// Writes to the log, at debug, what the program said of dropped segments since the last call:
    /// of ten a second at most, and of how many it said nothing. Unread lines wait in the kernel,
    /// some hundred of them.
    ///
    /// # Errors
    ///
    /// The kernel does not tell its counters.
    pub fn log_drops(&mut self) -> Result<(), Off> {
        if self.lines.is_some() {
            let dropped = self.counters()?.dropped();
            self.lines.iter_mut().for_each(|lines| lines.pass_on(dropped));
        }
        Ok(())
    }

    /// The loaded program, to be run on frames by hand.
    ///
    /// # Errors
    ///
    /// The object is not the shield's.
    pub fn program(&mut self) -> Result<&Xdp, Off> {
        Ok(self.program.program::<Xdp>("shield")?)
    }
}

/// The kernel's number of an interface; none where there is none of this name.
fn index_of(interface: &str) -> Option<u32> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    name_to_index(&socket, interface).ok()
}

/// Loopback is never banned: what comes from there is the operator's own.
fn rules(protection: &Protection) -> BTreeMap<IpNet, u32> {
    let loopback = [
        IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
        IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
    ];
    let lists = [
        (&protection.allow[..], rule::ALLOW),
        (&protection.deny[..], rule::DENY),
        (&protection.trusted[..], rule::TRUSTED),
        (&loopback[..], rule::TRUSTED),
    ];
    let mut rules = BTreeMap::new();
    for (prefixes, bit) in lists {
        for prefix in prefixes {
            *rules.entry(prefix.trunc()).or_default() |= bit;
        }
    }
    joined(rules, |own, outer| own | outer)
}

fn target(listener: &SocketAddr) -> Target {
    let address = match listener.ip() {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    };
    Target { address, port: listener.port().to_be_bytes() }
}

fn settings(rate: Option<SynRate>) -> abi::Settings {
    rate.map_or_else(abi::Settings::default, |rate| {
        // 0 would be no limit.
        let syn_interval_ns = nanoseconds(rate.interval).max(1);
        let syn_burst_ns = syn_interval_ns.saturating_mul(rate.burst.get().into());
        abi::Settings { syn_interval_ns, syn_burst_ns }
    })
}

fn limit(what: &'static str, count: usize, max: u32) -> Result<(), Off> {
    let max = max as usize;
    if count > max { Err(Off::TooMany { what, count, max }) } else { Ok(()) }
}

/// Up to 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock by which bans end, as the programs read it.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
