//! Whose requests a route takes, by the client's address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::peers::PrefixSet;

/// Which clients may use a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientRule {
    /// Only these, where it is not empty.
    allow: PrefixSet,
    /// None of these, whatever else is said of them.
    deny: PrefixSet,
}

impl ClientRule {
    /// A rule of these lists; an empty one says nothing.
    #[must_use]
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        Self { allow: PrefixSet::new(allow), deny: PrefixSet::new(deny) }
    }

    /// Whether a client may use the route.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        (self.allow.is_empty() || self.allow.contains(client)) && !self.deny.contains(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_in_the_one_list_and_not_in_the_other() {
        let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
        let rule = |allow: &[&str], deny: &[&str]| ClientRule::new(&nets(allow), &nets(deny));
        let both = rule(&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16", "192.0.2.0/24"]);
        for (client, admitted) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("10.1.0.1", false),
            ("::ffff:10.1.0.1", false),
            ("192.0.2.1", false),
            ("198.51.100.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(both.admits(client.parse().unwrap()), admitted, "{client}");
        }
        let client = "198.51.100.1".parse().unwrap();
        assert!(ClientRule::default().admits(client));
        assert!(rule(&[], &["10.0.0.0/8"]).admits(client));
        assert!(!rule(&[], &["0.0.0.0/0"]).admits(client));
        assert!(!rule(&["::/0"], &[]).admits(client));
    }
}
