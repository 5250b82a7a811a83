//! Names of upstream endpoints, looked up off the data path, again and again, last good kept.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::event::Event;

/// getaddrinfo tells no time to live, so all names are looked up this often.
const INTERVAL: Duration = Duration::from_secs(30);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
/// Look-ups at once; each holds a thread for as long as the system's resolver takes.
const IN_FLIGHT_MAX: usize = 16;
/// Addresses kept of one name.
const ADDRESSES_MAX: usize = 64;

/// A host name and the port to connect to.
pub type HostPort = (Box<str>, u16);

/// Every name that the configuration holds.
#[derive(Debug)]
pub struct Resolver {
    names: BTreeMap<HostPort, Name>,
    in_flight: usize,
    events: Sender<Event>,
}

#[derive(Debug)]
struct Name {
    addresses: Vec<SocketAddr>,
    /// When it is looked up next; none while a look-up is in flight.
    due: Option<Instant>,
    error: Option<String>,
    answered: bool,
}

impl Resolver {
    /// Without names; answers arrive as events.
    #[must_use]
    pub fn new(events: Sender<Event>) -> Self {
        Self { names: BTreeMap::new(), in_flight: 0, events }
    }

    /// Takes the names of a new configuration; those known already keep their addresses.
    pub fn want(&mut self, names: impl IntoIterator<Item = HostPort>, now: Instant) {
        let mut old = std::mem::take(&mut self.names);
        for name in names {
            let known = old.remove(&name);
            self.names.insert(name, known.unwrap_or_else(|| Name::new(now)));
        }
    }

    /// Starts the look-ups that are due.
    pub fn start_due(&mut self, now: Instant) {
        for (name, state) in &mut self.names {
            if self.in_flight >= IN_FLIGHT_MAX {
                return;
            }
            if state.due.is_none_or(|due| due > now) {
                continue;
            }
            match look_up(name.clone(), self.events.clone()) {
                Ok(()) => {
                    state.due = None;
                    self.in_flight += 1;
                }
                Err(error) => {
                    state.due = Some(now + RETRY);
                    tracing::error!(host = %name.0, %error, "no thread for a name look-up");
                }
            }
        }
    }

    /// When the next look-up is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        if self.in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        self.names.values().filter_map(|name| name.due).min()
    }

    /// Whether every name was answered at least once, well or badly.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        self.names.values().all(|name| name.answered)
    }

    /// Takes an answer; true where the addresses have changed.
    #[must_use]
    pub fn resolved(
        &mut self,
        name: &HostPort,
        outcome: io::Result<Vec<SocketAddr>>,
        now: Instant,
    ) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        // A reload may have forgotten the name meanwhile.
        let Some(state) = self.names.get_mut(name) else { return false };
        state.answered = true;
        let host = &name.0;
        match outcome {
            Ok(addresses) => {
                state.due = Some(now + INTERVAL);
                if state.error.take().is_some() {
                    tracing::info!(%host, "name resolves again");
                }
                let changed = state.addresses != addresses;
                if changed {
                    tracing::info!(%host, ?addresses, "name resolved");
                    state.addresses = addresses;
                }
                changed
            }
            Err(error) => {
                state.due = Some(now + RETRY);
                let error = error.to_string();
                if state.error.as_ref() != Some(&error) {
                    let kept = state.addresses.len();
                    tracing::warn!(%host, %error, kept, "name does not resolve");
                }
                state.error = Some(error);
                false
            }
        }
    }

    /// The last good addresses of each name that has some.
    #[must_use]
    pub fn addresses(&self) -> HashMap<HostPort, Vec<SocketAddr>> {
        let known = self.names.iter().filter(|(_, name)| !name.addresses.is_empty());
        known.map(|(name, state)| (name.clone(), state.addresses.clone())).collect()
    }

    /// Names whose last look-up failed, with the reason.
    #[must_use]
    pub fn failures(&self) -> Vec<(String, String)> {
        let failed =
            self.names.iter().filter_map(|(name, state)| Some((name, state.error.as_ref()?)));
        failed.map(|((host, port), error)| (format!("{host}:{port}"), error.clone())).collect()
    }
}

impl Name {
    fn new(now: Instant) -> Self {
        Self { addresses: Vec::new(), due: Some(now), error: None, answered: false }
    }
}

/// One look-up on a thread of its own: getaddrinfo blocks for as long as it likes.
fn look_up(name: HostPort, events: Sender<Event>) -> io::Result<()> {
    thread::Builder::new().name("resolve".into()).spawn(move || {
        let outcome =
            (&*name.0, name.1).to_socket_addrs().and_then(|found| canonical(found.collect()));
        // The control thread may have ended.
        let _ = events.send(Event::Resolved { name, outcome });
    })?;
    Ok(())
}

/// Sorted and without doubles, so that a server that rotates its answers changes nothing.
fn canonical(mut addresses: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    fn name(host: &str) -> HostPort {
        (host.into(), 80)
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn resolver(hosts: &[&str], now: Instant) -> (Resolver, Receiver<Event>) {
        let (events, received) = channel();
        let mut resolver = Resolver::new(events);
        resolver.want(hosts.iter().map(|host| name(host)), now);
        (resolver, received)
    }

    #[test]
    fn a_changed_answer_is_a_change_and_the_same_one_is_none() {
        let now = Instant::now();
        let (mut resolver, _events) = resolver(&["a"], now);
        assert!(resolver.resolved(&name("a"), Ok(vec![address(1)]), now));
        assert!(!resolver.resolved(&name("a"), Ok(vec![address(1)]), now));
        assert!(resolver.resolved(&name("a"), Ok(vec![address(2)]), now));
        assert_eq!(resolver.addresses()[&name("a")], [address(2)]);
        assert_eq!(resolver.next_due(), Some(now + INTERVAL));
    }

    #[test]
    fn a_failure_keeps_the_last_good_answer() {
        let now = Instant::now();
        let (mut resolver, _events) = resolver(&["a"], now);
        assert!(!resolver.all_answered());
        assert!(resolver.resolved(&name("a"), Ok(vec![address(1)]), now));
        assert!(!resolver.resolved(&name("a"), Err(io::Error::other("servfail")), now));
        assert!(resolver.all_answered());
        assert_eq!(resolver.addresses()[&name("a")], [address(1)]);
        assert_eq!(resolver.failures(), [("a:80".to_owned(), "servfail".to_owned())]);
        assert_eq!(resolver.next_due(), Some(now + RETRY));
        assert!(!resolver.resolved(&name("a"), Ok(vec![address(1)]), now));
        assert!(resolver.failures().is_empty());
    }

    #[test]
    fn a_new_configuration_keeps_what_is_known_and_forgets_the_rest() {
        let now = Instant::now();
        let (mut resolver, _events) = resolver(&["a", "b"], now);
        assert!(resolver.resolved(&name("a"), Ok(vec![address(1)]), now));
        resolver.want([name("a"), name("c")], now);
        assert_eq!(resolver.addresses().len(), 1);
        assert!(!resolver.resolved(&name("b"), Ok(vec![address(2)]), now), "b is forgotten");
        assert_eq!(resolver.next_due(), Some(now), "c is new");
    }

    #[test]
    fn rotated_answers_are_the_same() {
        let rotated = canonical(vec![address(2), address(1), address(2)]).unwrap();
        assert_eq!(rotated, [address(1), address(2)]);
        assert!(canonical(Vec::new()).is_err());
    }

    #[test]
    fn a_look_up_answers_with_an_event() {
        let now = Instant::now();
        let (mut resolver, events) = resolver(&["127.0.0.1"], now);
        resolver.start_due(now);
        assert_eq!(resolver.next_due(), None);
        let Event::Resolved { name, outcome } = events.recv().unwrap() else { panic!("no answer") };
        assert!(resolver.resolved(&name, outcome, now));
        let expected = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(resolver.addresses()[&name], [expected]);
    }
}
