//! Lookup: many addresses and ports led to a few listeners, without binding each.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use aya::EbpfLoader;
use aya::maps::{MapData, SockMap};
use aya::programs::SkLookup;
use ipnet::IpNet;
use ringgate_ebpf_abi::lookup as abi;

use super::load::Loaded;
use super::prefixes::{Prefixes, joined};
use super::{Assist, Off};

/// Addresses and ports, and the number of the listener that takes their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The addresses.
    pub addresses: IpNet,
    /// The ports.
    pub ports: RangeInclusive<u16>,
    /// As given to [`Lookup::set_listener`].
    pub listener: u32,
}

/// Ranges as the program has them: no more than its maps have room for.
#[derive(Debug, Default)]
pub struct Ranges {
    by_prefix: BTreeMap<IpNet, abi::Ports>,
}

impl Ranges {
    /// Of two that hold an address and a port the one with fewer addresses counts, and of two with
    /// the same addresses the first.
    ///
    /// # Errors
    ///
    /// More than the maps have room for.
    pub fn new(ranges: &[Range]) -> Result<Self, Off> {
        Ok(Self { by_prefix: by_prefix(ranges)? })
    }
}

/// The program of the network namespace it is attached in. Dropped, it leaves it.
pub struct Lookup {
    program: Loaded,
    ports: Prefixes<abi::Ports>,
    listeners: SockMap<MapData>,
}

impl Lookup {
    /// Places for listeners.
    pub const PLACES: usize = abi::LISTENERS_MAX as usize;

    /// Loads the program, which leads nowhere yet.
    ///
    /// # Errors
    ///
    /// The kernel or the rights do not allow it.
    pub fn load() -> Result<Self, Off> {
        let mut program = Loaded::new(Assist::Lookup, &mut EbpfLoader::new())?;
        let ports = Prefixes::new(program.map("PORTS_V4")?, program.map("PORTS_V6")?);
        let listeners = program.map("LISTENERS")?;
        program.program::<SkLookup>("lookup")?.load()?;
        Ok(Self { program, ports, listeners })
    }

    /// Puts a listening socket in a place, below [`PLACES`](Self::PLACES); any one of those that share its port. The kernel takes
    /// it out when it is closed.
    ///
    /// # Errors
    ///
    /// The kernel does not take the socket.
    pub fn set_listener(&mut self, place: u32, listener: &impl AsRawFd) -> Result<(), Off> {
        Ok(self.listeners.set(place, listener, 0)?)
    }

    /// Makes these the ranges, in place of the former ones.
    ///
    /// # Errors
    ///
    /// The kernel refuses an entry; former and new ranges are mixed then.
    pub fn lead(&mut self, ranges: &Ranges) -> Result<(), Off> {
        self.ports.replace(&ranges.by_prefix)
    }

    /// Attaches it in the network namespace of this thread.
    ///
    /// # Errors
    ///
    /// The kernel does not attach it.
    pub fn attach(&mut self) -> Result<(), Off> {
        const NAMESPACE: &str = "/proc/thread-self/ns/net";
        let namespace =
            File::open(NAMESPACE).map_err(|error| Off::Call { call: NAMESPACE, error })?;
        self.program.program::<SkLookup>("lookup")?.attach(namespace)?;
        Ok(())
    }
}

fn by_prefix(ranges: &[Range]) -> Result<BTreeMap<IpNet, abi::Ports>, Off> {
    let mut own: BTreeMap<IpNet, Vec<abi::Range>> = BTreeMap::new();
    for range in ranges {
        let (first, last) = (*range.ports.start(), *range.ports.end());
        let entry = abi::Range { first, last, listener: range.listener };
        own.entry(range.addresses.trunc()).or_default().push(entry);
    }
    let joined = joined(own, |own, outer| [own.as_slice(), outer].concat());
    if joined.len() > abi::PREFIXES_MAX as usize {
        let (count, max) = (joined.len(), abi::PREFIXES_MAX as usize);
        return Err(Off::TooMany { what: "prefixes", count, max });
    }
    joined.into_iter().map(|(prefix, ranges)| Ok((prefix, ports(&ranges)?))).collect()
}

fn ports(ranges: &[abi::Range]) -> Result<abi::Ports, Off> {
    let (what, max) = ("ranges of ports on one address", abi::RANGES_MAX);
    let mut ports = abi::Ports { count: 0, ranges: [abi::Range::default(); abi::RANGES_MAX] };
    match ports.ranges.get_mut(..ranges.len()) {
        Some(places) => places.copy_from_slice(ranges),
        None => return Err(Off::TooMany { what, count: ranges.len(), max }),
    }
    ports.count = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::{Off, Range, by_prefix};

    fn range(addresses: &str, port: u16, listener: u32) -> Range {
        Range { addresses: addresses.parse().expect("a prefix"), ports: port..=port, listener }
    }

    #[test]
    fn the_narrower_prefix_comes_first() {
        let ranges = [range("10.0.0.0/8", 80, 0), range("10.1.0.0/16", 80, 1)];
        let prefixes = by_prefix(&ranges).expect("room enough");
        let listeners: Vec<Vec<u32>> = prefixes
            .values()
            .map(|ports| ports.ranges[..ports.count as usize].iter().map(|r| r.listener).collect())
            .collect();
        assert_eq!(listeners, [vec![0], vec![1, 0]]);
    }

    #[test]
    fn sixteen_ranges_fit_and_seventeen_do_not() {
        let ranges: Vec<Range> = (1..=17).map(|port| range("::/0", port, 0)).collect();
        assert!(by_prefix(&ranges[..16]).is_ok());
        let error = by_prefix(&ranges).err();
        assert!(matches!(error, Some(Off::TooMany { count: 17, max: 16, .. })), "{error:?}");
    }
}
