//! How many client connections the process's descriptors carry.

use rustix::process::{Resource, getrlimit};

use super::config::{Connections, LimitsConfig};
use crate::snapshot::limits::Limits;

/// Descriptors beside those of connections: rings, listeners, logs, fetches, admin.
const OWN: u64 = 256;
/// A client connection and, while it has a request, one to an upstream.
const PER_CONNECTION: u64 = 2;

/// What the process may have open now.
#[must_use]
pub fn available() -> u64 {
    // None is without limit.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Fits `limits.connections` to the descriptors where the file does not give it, and warns where
/// what it gives is too much for them.
pub fn fit(limits: &mut LimitsConfig, available: u64) {
    match limits.connections {
        Connections::Given(connections) => {
            let wanted = needed_for(connections);
            if available < wanted {
                tracing::warn!(
                    available,
                    wanted,
                    "limits.connections is {connections}, which may need more descriptors than \
                     this process may have; raise RLIMIT_NOFILE (LimitNOFILE= in a systemd unit) \
                     or lower limits.connections"
                );
            }
        }
        Connections::Fitted(_) => {
            let connections = carried_by(available).min(Limits::CONNECTIONS_DEFAULT);
            limits.connections = Connections::Fitted(connections);
            if connections < Limits::CONNECTIONS_DEFAULT {
                tracing::info!(
                    connections,
                    descriptors = available,
                    "connections fitted to the limit on descriptors; limits.connections sets them"
                );
            }
        }
    }
}

/// What this many connections may need.
fn needed_for(connections: usize) -> u64 {
    (connections as u64).saturating_mul(PER_CONNECTION).saturating_add(OWN)
}

/// How many connections this many descriptors carry. Where there are few, half are kept for the
/// process itself.
#[must_use]
pub fn carried_by(descriptors: u64) -> usize {
    let left = descriptors - OWN.min(descriptors / 2);
    usize::try_from(left / PER_CONNECTION).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connections of a file with these limits, where there are so many descriptors.
    fn fitted(limits: &str, available: u64) -> usize {
        let text = format!(
            r#"{{"listeners":[{{"name":"a","address":"127.0.0.1:0"}}],{limits}
            "routes":[{{"respond":{{"status":204}}}}]}}"#
        );
        let file = std::path::Path::new("test.json");
        let mut limits = crate::control::config::parse(&text, file).unwrap().limits;
        fit(&mut limits, available);
        limits.connections.count()
    }

    #[test]
    fn connections_that_are_not_given_fit_the_descriptors() {
        assert_eq!(fitted("", 20_000), 9_872);
        assert_eq!(fitted("", 131_328), 65_536);
        assert_eq!(fitted("", 131_327), 65_535);
        assert_eq!(fitted("", u64::MAX), 65_536);
    }

    #[test]
    fn connections_that_are_given_stay_as_they_are() {
        assert_eq!(fitted(r#""limits":{"connections":70000},"#, 600), 70_000);
    }

    #[test]
    fn a_connection_may_need_two_descriptors() {
        assert_eq!(needed_for(1000), 2256);
        assert_eq!(needed_for(usize::MAX), u64::MAX);
        assert_eq!(carried_by(2256), 1000);
        assert_eq!(carried_by(100), 25);
        assert_eq!(carried_by(0), 1);
    }
}
