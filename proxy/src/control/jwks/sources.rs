//! Every source of keys: fetched when due, one fetch in flight each, last good kept.
//!
//! ```text
//! start_due --thread--> fetch_from_url --Event::Fetched--> fetched --+
//! start_due (files: read here, they are local) ----------------------+--> keys change or stay
//! ```

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::fetch::{self, FetchError, Fetched, Validators};
use super::fingerprint::Fingerprint;
use super::location::Location;
use super::parse::{IgnoredKey, ParsedSet, parse_set};
use super::schedule::{Draw, Schedule};
use crate::control::event::Event;
use crate::control::status::{FetchCounts, ProviderStatus};
use crate::snapshot::key_set::KeySet;

#[cfg(test)]
mod tests;

/// How often a file is looked at; it is read only when its metadata has changed.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

struct Source {
    id: SourceId,
    location: Location,
    refresh_interval: Option<Duration>,
    schedule: Schedule,
    validators: Validators,
    fingerprint: Option<Fingerprint>,
    keys: Option<Arc<KeySet>>,
    ignored: Vec<(Option<String>, String)>,
    generation: u64,
    confirmed: Option<(Instant, SystemTime)>,
    last_error: Option<String>,
    counts: FetchCounts,
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

    /// The source of a provider; none where its keys are inline.
    #[must_use]
    pub fn source_of(&self, provider: &str) -> Option<SourceId> {
        self.of_provider.get(provider).copied()
    }

    /// Whether the configuration still names this source.
    #[must_use]
    pub fn has(&self, id: SourceId) -> bool {
        self.list.iter().any(|source| source.id == id)
    }

    /// Whether a fetch of it has been started and has not ended.
    #[must_use]
    pub fn is_in_flight(&self, id: SourceId) -> bool {
        self.list.iter().any(|source| source.id == id && source.schedule.is_in_flight())
    }

    /// Makes a source due at once, unless a fetch of it is in flight.
    pub fn hasten(&mut self, id: SourceId, now: Instant) {
        for source in self.list.iter_mut().filter(|source| source.id == id) {
            source.schedule.hasten(now);
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

/// The names of the keys; a key without one is `-`.
#[must_use]
pub fn kids(keys: &KeySet) -> Vec<String> {
    keys.iter().map(|key| key.kid().unwrap_or("-").to_owned()).collect()
}

impl Source {
    fn new(id: SourceId, location: Location, now: Instant) -> Self {
        Self {
            id,
            location,
            refresh_interval: None,
            schedule: Schedule::new(now),
            validators: Validators::default(),
            fingerprint: None,
            keys: None,
            ignored: Vec::new(),
            generation: 0,
            confirmed: None,
            last_error: None,
            counts: FetchCounts::default(),
        }
    }

    /// Reads the file if it is another one than the last good one; true where the keys changed.
    fn read_file(&mut self, path: &Path, now: Instant, draw: Draw) -> bool {
        // Taken before reading: a write in between makes the next look differ.
        let fingerprint = match Fingerprint::of(path) {
            Ok(fingerprint) => fingerprint,
            Err(error) => {
                self.failed(&error.to_string(), now, draw);
                return false;
            }
        };
        if self.fingerprint.as_ref() == Some(&fingerprint) {
            self.confirmed_at(now);
            self.schedule.succeeded(now, FILE_INTERVAL, draw);
            return false;
        }
        match fetch::from_file(path) {
            Ok(body) => {
                let changed =
                    self.take_text(&body, Validators::default(), FILE_INTERVAL, now, draw);
                self.fingerprint = self.last_error.is_none().then_some(fingerprint);
                changed
            }
            Err(error) => {
                self.failed(&error.to_string(), now, draw);
                false
            }
        }
    }

    /// Takes a text if it holds a usable key; true where the keys are others than before.
    fn take_text(
        &mut self,
        body: &[u8],
        validators: Validators,
        life: Duration,
        now: Instant,
        draw: Draw,
    ) -> bool {
        let ParsedSet { keys, ignored } = match parse_set(body) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.failed(&error.to_string(), now, draw);
                return false;
            }
        };
        let ignored: Vec<_> = ignored.iter().map(described).collect();
        if keys.is_empty() {
            let reasons = reasons(&ignored);
            self.failed(&format!("no usable key; ignored: {reasons}"), now, draw);
            return false;
        }
        // A validator of a text that was refused must not turn the next answer into a 304.
        self.validators = validators;
        if self.keys.as_deref() == Some(&keys) {
            self.ignored = ignored;
            self.confirmed(life, now, draw);
            return false;
        }
        self.log_change(&keys, &ignored);
        self.generation += 1;
        self.counts.changed += 1;
        self.keys = Some(Arc::new(keys));
        self.ignored = ignored;
        self.recovered(life, now, draw);
        true
    }

    /// The keys are still the issuer's.
    fn confirmed(&mut self, life: Duration, now: Instant, draw: Draw) {
        self.counts.unchanged += 1;
        self.recovered(life, now, draw);
    }

    fn recovered(&mut self, life: Duration, now: Instant, draw: Draw) {
        if self.last_error.take().is_some() {
            tracing::info!(source = %self.location.redacted(), "key set available again");
        }
        self.confirmed_at(now);
        let life = match self.location {
            Location::File(_) => FILE_INTERVAL,
            Location::Url(_) => self.refresh_interval.unwrap_or(life),
        };
        self.schedule.succeeded(now, life, draw);
    }

    fn confirmed_at(&mut self, now: Instant) {
        self.confirmed = Some((now, SystemTime::now()));
    }

    /// Keeps what there is; one line for each new reason.
    fn failed(&mut self, error: &str, now: Instant, draw: Draw) {
        self.counts.failed += 1;
        let retry_in = self.schedule.failed(now, draw);
        if self.last_error.as_deref() != Some(error) {
            let kept = self.keys.as_ref().map_or(0, |keys| keys.len());
            let source = self.location.redacted();
            tracing::warn!(%source, %error, kept, ?retry_in, "key set not fetched; keys kept");
        }
        self.last_error = Some(error.to_owned());
    }

    fn log_change(&self, keys: &KeySet, ignored: &[(Option<String>, String)]) {
        let before = self.keys.as_deref().map(kids).unwrap_or_default();
        let after = kids(keys);
        let added: Vec<_> = after.iter().filter(|kid| !before.contains(kid)).collect();
        let removed: Vec<_> = before.iter().filter(|kid| !after.contains(kid)).collect();
        tracing::info!(
            source = %self.location.redacted(),
            generation = self.generation + 1,
            keys = after.len(),
            ?added,
            ?removed,
            ignored = %reasons(ignored),
            "key set changed"
        );
    }
}

fn described(key: &IgnoredKey) -> (Option<String>, String) {
    (key.kid.as_deref().map(str::to_owned), key.reason.to_string())
}

fn reasons(ignored: &[(Option<String>, String)]) -> String {
    let each =
        ignored.iter().map(|(kid, why)| format!("{:?}: {why}", kid.as_deref().unwrap_or("-")));
    each.collect::<Vec<_>>().join(", ")
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
