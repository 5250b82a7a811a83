//! Every source of keys: fetched when due, one fetch in flight each, last good kept.
//!
//! ```text
//! start_due --thread--> fetch_from_url --Event::Fetched--> fetched --+
//! start_due (files: read here, they are local) ----------------------+--> keys change or stay
//! ```

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::fetch::{self, FetchError, Fetched, Validators};
use super::location::Location;
use super::schedule::Draw;
use super::source::{Source, kids};
use crate::control::event::Event;
use crate::control::status::ProviderStatus;
use crate::snapshot::key_set::KeySet;

#[cfg(test)]
mod tests;

/// A source that a provider asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The provider's name.
    pub provider: Box<str>,
    /// Where its keys are.
    pub location: Location,
    /// How often to fetch, whatever the response says; of two providers with one location, the
    /// shorter counts.
    pub refresh_interval: Option<Duration>,
}

/// One source; a forgotten one's id never comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(u64);

/// Every source of the configuration, each fetched once however many providers use it.
pub struct Sources {
    list: Vec<Source>,
    /// Which source a provider has.
    of_provider: HashMap<Box<str>, SourceId>,
    next_id: u64,
    events: Sender<Event>,
    random: SystemRandom,
}

impl Sources {
    /// Without sources; fetches over the network end as events.
    #[must_use]
    pub fn new(events: Sender<Event>) -> Self {
        Self {
            list: Vec::new(),
            of_provider: HashMap::new(),
            next_id: 0,
            events,
            random: SystemRandom::new(),
        }
    }

    /// Takes the sources of a new configuration: those there already keep their keys, those no
    /// longer named are forgotten.
    pub fn want(&mut self, wanted: &[Wanted], now: Instant) {
        let mut old = std::mem::take(&mut self.list);
        let intervals: Vec<_> =
            old.iter().map(|source| (source.id, source.refresh_interval)).collect();
        self.of_provider.clear();
        for want in wanted {
            let there = self.list.iter().position(|source| source.location == want.location);
            let index = there.unwrap_or_else(|| {
                let known = old.iter().position(|source| source.location == want.location);
                let mut source = known.map_or_else(
                    || Source::new(SourceId(self.next_id), want.location.clone(), now),
                    |position| old.swap_remove(position),
                );
                self.next_id += u64::from(known.is_none());
                source.refresh_interval = None;
                self.list.push(source);
                self.list.len() - 1
            });
            let source = &mut self.list[index];
            source.refresh_interval = match (source.refresh_interval, want.refresh_interval) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            self.of_provider.insert(want.provider.clone(), source.id);
        }
        // What is due by the old interval may be hours away.
        for source in &mut self.list {
            let before = intervals.iter().find(|(id, _)| *id == source.id);
            if before.is_some_and(|(_, interval)| *interval != source.refresh_interval) {
                source.schedule.hasten(now);
            }
        }
    }

    /// Starts what is due; true where a file has brought other keys.
    #[must_use]
    pub fn start_due(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for source in &mut self.list {
            if !source.schedule.start(now) {
                continue;
            }
            let draw = draw(&self.random);
            match &source.location {
                Location::File(path) => {
                    let path = path.clone();
                    changed |= source.read_file(&path, now, draw);
                }
                Location::Url(url) => {
                    let (id, known) = (source.id, source.validators.clone());
                    if let Err(error) = fetch_from_url(id, url.clone(), known, self.events.clone())
                    {
                        source.failed(&format!("no thread for the fetch: {error}"), now, draw);
                    }
                }
            }
        }
        changed
    }

    /// When the next fetch is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.list.iter().filter_map(|source| source.schedule.due()).min()
    }

    /// Takes the end of a fetch; true where the keys have changed.
    #[must_use]
    pub fn fetched(
        &mut self,
        id: SourceId,
        outcome: Result<Fetched, FetchError>,
        now: Instant,
    ) -> bool {
        let draw = draw(&self.random);
        // A reload may have forgotten the source meanwhile.
        let Some(source) = self.list.iter_mut().find(|source| source.id == id) else {
            return false;
        };
        match outcome {
            Ok(Fetched::Text { body, validators, life }) => {
                source.take_text(&body, validators, life, now, draw)
            }
            Ok(Fetched::NotModified { life }) => {
                source.confirmed(life, now, draw);
                false
            }
            Err(error) => {
                source.failed(&error.to_string(), now, draw);
                false
            }
        }
    }

    /// Makes files due at once, read whatever their metadata says.
    pub fn hasten_files(&mut self, now: Instant) {
        for source in &mut self.list {
            if matches!(source.location, Location::File(_)) {
                source.fingerprint = None;
                source.schedule.hasten(now);
            }
        }
    }

    /// The keys of each provider that has some.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Arc<KeySet>)> {
        self.of_provider.iter().filter_map(|(provider, id)| {
            let source = self.list.iter().find(|source| source.id == *id)?;
            Some((&**provider, source.keys.as_ref()?))
        })
    }

    /// What there is to tell about a provider's source; nothing where its keys are inline.
    #[must_use]
    pub fn status(&self, provider: &str) -> Option<ProviderStatus> {
        let id = self.of_provider.get(provider)?;
        let source = self.list.iter().find(|source| source.id == *id)?;
        Some(ProviderStatus {
            name: provider.to_owned(),
            needed: false,
            source: source.location.redacted(),
            generation: source.generation,
            keys: source.keys.as_ref().map_or(0, |keys| keys.len()),
            kids: source.keys.as_deref().map(kids).unwrap_or_default(),
            ignored: source.ignored.clone(),
            confirmed: source.confirmed,
            last_error: source.last_error.clone(),
            fetches: source.counts,
        })
    }
}

/// One fetch on a thread of its own: a slow issuer delays nothing else.
fn fetch_from_url(
    source: SourceId,
    url: Box<str>,
    known: Validators,
    events: Sender<Event>,
) -> io::Result<()> {
    thread::Builder::new().name("jwks-fetch".into()).spawn(move || {
        let allow_http = url.starts_with("http://");
        let fetch = || fetch::from_url(&fetch::client(allow_http), &url, &known);
        // An outcome must come, or the source stays in flight for ever.
        let outcome =
            panic::catch_unwind(AssertUnwindSafe(fetch)).unwrap_or(Err(FetchError::Panicked));
        // The control thread may have ended.
        let _ = events.send(Event::Fetched { source, outcome });
    })?;
    Ok(())
}

fn draw(random: &SystemRandom) -> Draw {
    let mut bits = [0; 4];
    // Without randomness the jitter is lost, not the fetch.
    let _ = random.fill(&mut bits);
    Draw::new(u32::from_ne_bytes(bits))
}
