//! To which ports a route leads CONNECT.

/// The ports of one route. It leads there whatever host its match takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRule {
    ports: Vec<u16>,
}

impl ConnectRule {
    /// That of HTTPS.
    pub const PORT_DEFAULT: u16 = 443;

    /// A rule of these ports.
    #[must_use]
    pub fn new(ports: Vec<u16>) -> Self {
        Self { ports }
    }

    /// The ports, in the order of the file.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether the route leads to this target, which is a host and a port.
    #[must_use]
    pub fn admits(&self, target: &str) -> bool {
        let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.is_some_and(|port| self.ports.contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_admitted_by_its_port() {
        let rule = ConnectRule::new(vec![443, 8443]);
        for (target, admitted) in [
            ("a.example:443", true),
            ("a.example:8443", true),
            ("[2001:db8::443]:443", true),
            ("a.example:25", false),
            ("a.example:65979", false),
            ("[2001:db8::443]", false),
            ("a.example", false),
            ("a.example:", false),
        ] {
            assert_eq!(rule.admits(target), admitted, "{target}");
        }
    }
}
