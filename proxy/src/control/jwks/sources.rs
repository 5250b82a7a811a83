//! Every source of keys: fetched when due, one fetch in flight each, last good kept.
//!
//! ```text
//! start_due --thread--> fetch_on_thread --Event::Fetched--> fetched --+
//! start_due (files: read here, they are local) ----------------------+--> keys change or stay
//! ```

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::age::Age;
use super::discovery;
use super::fetch::{self, FetchError, Fetched, Validators};
use super::last_good::LastGood;
use super::location::Location;
use super::schedule::Draw;
use super::source::{FILE_INTERVAL, Source, kids};
use super::transport::Transport;
use crate::control::event::Event;
use crate::control::status::{FetchCounts, ProviderStatus};
use crate::snapshot::key_set::KeySet;

#[cfg(test)]
mod tests;

/// The sources that a provider asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The provider's name.
    pub provider: Box<str>,
    /// Where its keys are: those of the first place that has some.
    pub places: Vec<Place>,
    /// How long keys are used that could not be confirmed; none: for ever.
    pub max_stale: Option<Duration>,
}

/// One place of keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Where the keys are.
    pub location: Location,
    /// How it is reached.
    pub transport: Arc<Transport>,
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
    of_provider: HashMap<Box<str>, Member>,
    next_id: u64,
    last_good: Option<LastGood>,
    events: Sender<Event>,
    random: SystemRandom,
}

/// What a provider has of its sources.
struct Member {
    /// In order.
    sources: Vec<SourceId>,
    max_stale: Option<Duration>,
    /// The source whose keys it has, and their age, as told last.
    active: Option<SourceId>,
    age: Age,
}

impl Sources {
    /// Without sources; fetches over the network end as events.
    #[must_use]
    pub fn new(events: Sender<Event>) -> Self {
        Self {
            list: Vec::new(),
            of_provider: HashMap::new(),
            next_id: 0,
            last_good: None,
            events,
            random: SystemRandom::new(),
        }
    }

    /// Where the last good texts are kept from here on, if anywhere.
    pub fn keep_in(&mut self, directory: Option<PathBuf>) {
        self.last_good = directory.map(LastGood::new);
    }

    /// Takes the sources of a new configuration: those there already keep their keys, those no
    /// longer named are forgotten.
    pub fn want(&mut self, wanted: &[Wanted], now: Instant) {
        let mut old = std::mem::take(&mut self.list);
        let intervals: Vec<_> =
            old.iter().map(|s| (s.id, (s.refresh_interval, s.life_max))).collect();
        self.of_provider.clear();
        for want in wanted {
            let sources = want.places.iter();
            let sources =
                sources.map(|place| self.keep_or_add(&mut old, place, want.max_stale, now));
            let (sources, max_stale) = (sources.collect(), want.max_stale);
            let member = Member { sources, max_stale, active: None, age: Age::Fresh };
            self.of_provider.insert(want.provider.clone(), member);
        }
        let _ = self.look_at_ages(now);
        // What is due by the old interval may be hours away.
        for source in &mut self.list {
            let before = intervals.iter().find(|(id, _)| *id == source.id);
            let after = (source.refresh_interval, source.life_max);
            if before.is_some_and(|(_, before)| *before != after) {
                source.schedule.hasten(now);
            }
        }
    }

    /// The source of a place: one that another provider has as well, one that was there before the
    /// reload, or a new one.
    fn keep_or_add(
        &mut self,
        old: &mut Vec<Source>,
        place: &Place,
        max_stale: Option<Duration>,
        now: Instant,
    ) -> SourceId {
        let same_place = |source: &Source| source.location == place.location;
        let same = |source: &Source| same_place(source) && source.transport == place.transport;
        let index = self.list.iter().position(same).unwrap_or_else(|| {
            let known = old.iter().position(same).or_else(|| old.iter().position(same_place));
            let mut source = known.map_or_else(
                || {
                    let mut new = Source::new(SourceId(self.next_id), place, now);
                    new.restore(self.last_good.as_ref(), now);
                    new
                },
                |position| old.swap_remove(position),
            );
            if source.transport != place.transport {
                source.transport = place.transport.clone();
                source.schedule.hasten(now);
            }
            self.next_id += u64::from(known.is_none());
            source.refresh_interval = None;
            source.life_max = None;
            self.list.push(source);
            self.list.len() - 1
        });
        let source = &mut self.list[index];
        source.refresh_interval = shorter(source.refresh_interval, place.refresh_interval);
        source.life_max = shorter(source.life_max, max_stale.map(|span| span / 2));
        source.id
    }

    /// Starts what is due; true where a file has brought other keys or keys have become too old.
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
                Location::Url(_) | Location::Issuer(_) => {
                    let (id, known) = (source.id, source.validators.clone());
                    let (transport, events) = (source.transport.clone(), self.events.clone());
                    let spawned =
                        fetch_on_thread(id, transport, source.location.clone(), known, events);
                    if let Err(error) = spawned {
                        source.failed(&format!("no thread for the fetch: {error}"), now, draw);
                    }
                }
            }
        }
        self.look_at_ages(now) || changed
    }

    /// When the next fetch is due, or keys come to another age.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let fetches = self.list.iter().filter_map(|source| source.schedule.due());
        let ages = self.of_provider.values().filter_map(|member| {
            let active = self.source(member.active?)?;
            member.age.ends(active.confirmed_at_last(), member.max_stale)
        });
        fetches.chain(ages).min()
    }

    /// Tells which keys have come to another age; true where a provider has those of another
    /// source now, or none any more.
    fn look_at_ages(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for (provider, member) in &mut self.of_provider {
            let (source, age) = pick(&self.list, member, now);
            let active = source.filter(|_| age != Age::Expired).map(|source| source.id);
            if let (Some(source), true) = (source, age != member.age) {
                age.log(provider, &source.location.redacted());
            }
            changed |= active != member.active;
            (member.active, member.age) = (active, age);
        }
        changed
    }

    fn source(&self, id: SourceId) -> Option<&Source> {
        self.list.iter().find(|source| source.id == id)
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
        let changed = match outcome {
            Ok(Fetched::Text { body, validators, life }) => {
                let changed = source.take_text(&body, validators, life, now, draw);
                source.keep(self.last_good.as_ref(), &body);
                changed
            }
            Ok(Fetched::NotModified { life }) => {
                source.confirmed(life, now, draw);
                source.keep_confirmed(self.last_good.as_ref());
                false
            }
            Err(error) => {
                source.failed(&error.to_string(), now, draw);
                false
            }
        };
        let switched = self.look_at_ages(now);
        let used = self.of_provider.values().any(|member| member.active == Some(id));
        switched || (changed && used)
    }

    /// The source to ask for a key that a provider lacks: the one whose keys it has, or the first;
    /// none where its keys are inline.
    #[must_use]
    pub fn source_of(&self, provider: &str) -> Option<SourceId> {
        let member = self.of_provider.get(provider)?;
        member.active.or_else(|| member.sources.first().copied())
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

    /// Whether the last fetch of it failed.
    #[must_use]
    pub fn is_failing(&self, id: SourceId) -> bool {
        self.list.iter().any(|source| source.id == id && source.last_error.is_some())
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

    /// The keys of each provider that has some which are not too old.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = (&str, &Arc<KeySet>)> {
        self.of_provider.iter().filter_map(move |(provider, member)| {
            let (source, age) = pick(&self.list, member, now);
            (age != Age::Expired).then_some((&**provider, source?.keys.as_ref()?))
        })
    }

    /// What there is to tell about a provider's sources; nothing where its keys are inline.
    #[must_use]
    pub fn status(&self, provider: &str, now: Instant) -> Option<ProviderStatus> {
        let member = self.of_provider.get(provider)?;
        let (picked, age) = pick(&self.list, member, now);
        let all = || member.sources.iter().filter_map(|id| self.source(*id));
        let source = picked.or_else(|| all().next())?;
        let keys = source.keys.as_deref().filter(|_| age != Age::Expired);
        Some(ProviderStatus {
            name: provider.to_owned(),
            needed: false,
            source: source.location.redacted(),
            generation: source.generation,
            keys: keys.map_or(0, KeySet::len),
            kids: keys.map(kids).unwrap_or_default(),
            ignored: source.ignored.clone(),
            confirmed: source.confirmed,
            last_error: all().find_map(|source| source.last_error.clone()),
            expired: age == Age::Expired,
            fetches: all().fold(FetchCounts::default(), |sum, source| sum.plus(source.counts)),
        })
    }
}

/// The first source in order with keys that are not too old; if none has such, the first with keys.
fn pick<'s>(list: &'s [Source], member: &Member, now: Instant) -> (Option<&'s Source>, Age) {
    let source = |id: &SourceId| list.iter().find(|source| source.id == *id);
    let age = |source: &Source| Age::of(source.confirmed_at_last(), member.max_stale, now);
    let with_keys = || member.sources.iter().filter_map(source).filter(|one| one.keys.is_some());
    let picked = with_keys().find(|one| age(one) != Age::Expired).or_else(|| with_keys().next());
    (picked, picked.map_or(Age::Fresh, age))
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// One fetch on a thread of its own: a slow issuer delays nothing else.
fn fetch_on_thread(
    source: SourceId,
    transport: Arc<Transport>,
    location: Location,
    known: Validators,
    events: Sender<Event>,
) -> io::Result<()> {
    thread::Builder::new().name("jwks-fetch".into()).spawn(move || {
        let fetch = || match &location {
            Location::Url(url) => fetch::from_url(&transport, url, &known),
            Location::Issuer(issuer) => discovery::from_issuer(&transport, issuer, &known),
            Location::File(path) => fetch::from_file(path).map(|body| Fetched::Text {
                body,
                validators: Validators::default(),
                life: FILE_INTERVAL,
            }),
        };
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
