//! Prefixes for a map that finds the longest one: each gets what the shorter ones around it say too.

use std::collections::BTreeMap;

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData};
use ipnet::IpNet;

use super::Off;

/// Gives each prefix its own value joined with those of all prefixes around it, so that the
/// longest match tells everything about an address.
pub(super) fn joined<V: Clone>(
    values: BTreeMap<IpNet, V>,
    join: impl Fn(&V, &V) -> V,
) -> BTreeMap<IpNet, V> {
    let mut done = BTreeMap::new();
    // Prefixes around the present one, the shortest first. The order of the map has each prefix
    // before those inside it, and all of those before the next one outside.
    let mut around: Vec<(IpNet, V)> = Vec::new();
    for (prefix, own) in values {
        while around.last().is_some_and(|(outer, _)| !outer.contains(&prefix)) {
            around.pop();
        }
        let value = around.last().map_or_else(|| own.clone(), |(_, outer)| join(&own, outer));
        around.push((prefix, value.clone()));
        done.insert(prefix, value);
    }
    done
}

/// The two tries of a program, and what stands in them.
pub(super) struct Prefixes<V> {
    v4: LpmTrie<MapData, [u8; 4], V>,
    v6: LpmTrie<MapData, [u8; 16], V>,
    present: BTreeMap<IpNet, V>,
}

impl<V: Pod + PartialEq> Prefixes<V> {
    pub(super) fn new(v4: LpmTrie<MapData, [u8; 4], V>, v6: LpmTrie<MapData, [u8; 16], V>) -> Self {
        Self { v4, v6, present: BTreeMap::new() }
    }

    /// Makes the tries hold these values and no others. What is new is there before what is old
    /// goes, and on an error the two are known to be mixed: the next call corrects it.
    pub(super) fn replace(&mut self, wanted: &BTreeMap<IpNet, V>) -> Result<(), Off> {
        for (prefix, value) in wanted {
            if self.present.get(prefix) != Some(value) {
                match prefix {
                    IpNet::V4(net) => {
                        self.v4.insert(&key(*prefix, net.network().octets()), value, 0)
                    }
                    IpNet::V6(net) => {
                        self.v6.insert(&key(*prefix, net.network().octets()), value, 0)
                    }
                }?;
                self.present.insert(*prefix, *value);
            }
        }
        let stale: Vec<IpNet> =
            self.present.keys().filter(|prefix| !wanted.contains_key(prefix)).copied().collect();
        for prefix in stale {
            match prefix {
                IpNet::V4(net) => self.v4.remove(&key(prefix, net.network().octets())),
                IpNet::V6(net) => self.v6.remove(&key(prefix, net.network().octets())),
            }?;
            self.present.remove(&prefix);
        }
        Ok(())
    }
}

fn key<A: Pod>(prefix: IpNet, address: A) -> Key<A> {
    Key::new(u32::from(prefix.prefix_len()), address)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};

    use ipnet::{IpNet, Ipv4Net};
    use proptest::prelude::*;

    use super::joined;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a prefix")
    }

    #[test]
    fn a_prefix_has_what_those_around_it_have_and_nothing_of_its_neighbours() {
        let values = BTreeMap::from([
            (net("10.0.0.0/8"), 1),
            (net("10.1.0.0/16"), 2),
            (net("10.1.2.0/24"), 4),
            (net("10.2.0.0/16"), 8),
            (net("11.0.0.0/8"), 16),
            (net("::/0"), 32),
        ]);
        let values: Vec<u32> = joined(values, |own, outer| own | outer).into_values().collect();
        assert_eq!(values, [1, 3, 7, 9, 16, 32]);
    }

    proptest! {
        #[test]
        fn the_longest_match_has_the_bits_of_all_matches(
            nets in prop::collection::vec((0_u32..64, 24_u8..=32, 0_u32..8), 0..20),
            address in 0_u32..64,
        ) {
            let mut values = BTreeMap::<IpNet, u32>::new();
            for (bits, length, bit) in nets {
                let net = Ipv4Net::new(Ipv4Addr::from_bits(bits), length).expect("a length").trunc();
                *values.entry(net.into()).or_default() |= 1 << bit;
            }
            let address = IpAddr::from(Ipv4Addr::from_bits(address));
            let matches = |values: &BTreeMap<IpNet, u32>| -> Vec<(u8, u32)> {
                let matching = values.iter().filter(|(net, _)| net.contains(&address));
                matching.map(|(net, bits)| (net.prefix_len(), *bits)).collect()
            };
            let all = matches(&values).into_iter().fold(0, |all, (_, bits)| all | bits);
            let joined = joined(values, |own, outer| own | outer);
            let longest = matches(&joined).into_iter().max().map_or(0, |(_, bits)| bits);
            prop_assert_eq!(longest, all);
        }
    }
}
