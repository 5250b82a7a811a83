//! Every source of keys: fetched when due, one fetch in flight each, last good kept.
//!
//! ```text
//! start_due --thread--> fetch_on_thread --Event::Fetched--> fetched --+
//! start_due (files: read here, they are local) ----------------------+--> keys change or stay
//! ```

use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use crate::crypto::rand::{SecureRandom, SystemRandom};

use super::discovery;
use super::fetch::{self, FetchError, Fetched, Validators};
use super::keeper::Keeper;
use super::last_good::LastGood;
use super::location::Location;
use super::member::{Member, Previous};
use super::refresh::{Asked, Outcome, Refreshed};
use super::schedule::Draw;
use super::source::Source;
use super::transport::Transport;
use crate::control::event::Event;
use crate::control::status::ProviderStatus;
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
    /// How long a key is used that has vanished from its set.
    pub key_grace: Duration,
    /// How often a fetch may come out of turn, for a key that a token names.
    pub unknown_kid_interval: Duration,
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

/// How often files are looked at until it is known whether they are watched.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// One source; a forgotten one's id never comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(u64);

/// Every source of the configuration, each fetched once however many providers use it.
pub struct Sources {
    list: Vec<Source>,
    of_provider: HashMap<Box<str>, Member>,
    next_id: u64,
    look_every: Duration,
    keeper: Option<Keeper>,
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
            look_every: FILE_INTERVAL,
            keeper: None,
            events,
            random: SystemRandom::new(),
        }
    }

    /// Where the last good texts are kept from here on, if anywhere.
    pub fn keep_in(&mut self, directory: Option<PathBuf>) {
        let disk = directory.map(|at| LastGood::new(at, "jwks", fetch::BODY_BYTES_MAX));
        if self.keeper.as_ref().map(Keeper::disk) != disk.as_ref() {
            self.keeper = disk.and_then(|disk| match Keeper::start(disk) {
                Ok(keeper) => Some(keeper),
                Err(error) => {
                    tracing::warn!(%error, "no thread to keep last good keys; not kept");
                    None
                }
            });
        }
    }

    /// How often files are looked at from here on.
    pub fn look_at_files_every(&mut self, every: Duration, now: Instant) {
        if self.look_every != every {
            self.look_every = every;
            for source in &mut self.list {
                source.look_every = every;
                if source.location.file().is_some() {
                    source.schedule.hasten(now);
                }
            }
        }
    }

    /// The file of this path is another one now.
    pub fn file_changed(&mut self, path: &Path, now: Instant) {
        for source in &mut self.list {
            if source.location.file() == Some(path) {
                source.schedule.hasten(now);
            }
        }
    }

    /// The files among the sources.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.list.iter().filter_map(|source| source.location.file())
    }

    /// Takes the sources of a new configuration: those there already keep their keys, those no
    /// longer named are forgotten. A provider goes on with its `previous` keys until a source of
    /// its own has some.
    pub fn want(
        &mut self,
        wanted: &[Wanted],
        mut previous: HashMap<Box<str>, Previous>,
        now: Instant,
    ) {
        let mut old = std::mem::take(&mut self.list);
        let intervals: Vec<_> =
            old.iter().map(|s| (s.id, (s.refresh_interval, s.life_max))).collect();
        self.of_provider.clear();
        for want in wanted {
            let sources = want.places.iter();
            let sources = sources.map(|place| self.keep_or_add(&mut old, place, want, now));
            let previous = previous.remove(&want.provider);
            let member = Member::new(want, sources.collect(), previous);
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
        want: &Wanted,
        now: Instant,
    ) -> SourceId {
        let same_place = |source: &Source| source.location == place.location;
        let same = |source: &Source| same_place(source) && source.transport == place.transport;
        let index = self.list.iter().position(same).unwrap_or_else(|| {
            let known = old.iter().position(same).or_else(|| old.iter().position(same_place));
            let mut source = known.map_or_else(
                || {
                    let mut new = Source::new(SourceId(self.next_id), place, now);
                    if let Some(keeper) = &self.keeper {
                        new.restore(keeper.disk(), now);
                    }
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
            source.look_every = self.look_every;
            source.lingering.grace_max = Duration::ZERO;
            self.list.push(source);
            self.list.len() - 1
        });
        let source = &mut self.list[index];
        source.refresh_interval = shorter(source.refresh_interval, place.refresh_interval);
        source.life_max = shorter(source.life_max, want.max_stale.map(|span| span / 2));
        source.lingering.grace_max = source.lingering.grace_max.max(want.key_grace);
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
                Location::File(path) | Location::Secrets { path, .. } => {
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
        fetches.chain(self.of_provider.values().filter_map(Member::next_due)).min()
    }

    /// Tells which keys have come to another age; true where a provider has others now.
    fn look_at_ages(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for (provider, member) in &mut self.of_provider {
            changed |= member.look(provider, &self.list, now);
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
                if let Some(keeper) = &self.keeper {
                    source.keep(keeper, &body);
                }
                changed
            }
            Ok(Fetched::NotModified { life }) => {
                source.confirmed(life, now, draw);
                if let Some(keeper) = &self.keeper {
                    source.keep_confirmed(keeper);
                }
                false
            }
            Err(error) => {
                source.failed(&error.to_string(), now, draw);
                false
            }
        };
        let switched = self.look_at_ages(now);
        let used = self.of_provider.values().any(|member| member.active() == Some(id));
        switched || (changed && used)
    }

    /// The source to ask for a key that a provider lacks: the one whose keys it has, or the first;
    /// none where its keys are inline.
    #[must_use]
    pub fn source_of(&self, provider: &str) -> Option<SourceId> {
        let member = self.of_provider.get(provider)?;
        member.active().or_else(|| member.sources.first().copied())
    }

    /// How often a fetch may come out of turn for a provider.
    #[must_use]
    pub fn unknown_kid_interval(&self, provider: &str) -> Duration {
        self.of_provider.get(provider).map_or(Duration::MAX, |member| member.unknown_kid_interval)
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

    /// Makes every source of a provider due at once, unless a fetch of it is in flight.
    pub fn refresh(&mut self, provider: &str, now: Instant) -> Vec<Asked> {
        let Some(member) = self.of_provider.get(provider) else { return Vec::new() };
        let asked = self.list.iter_mut().filter(|source| member.sources.contains(&source.id));
        let asked = asked.map(|source| {
            let joined = source.schedule.is_in_flight();
            source.fingerprint = None;
            source.schedule.hasten(now);
            Asked { source: source.id, generation: source.generation, joined }
        });
        asked.collect()
    }

    /// What came of a refresh; none while its fetch is in flight. A source that a reload has
    /// forgotten meanwhile has nothing to tell.
    #[must_use]
    pub fn refreshed(&self, asked: Asked) -> Option<Option<Refreshed>> {
        let Some(source) = self.source(asked.source) else { return Some(None) };
        if source.schedule.is_in_flight() {
            return None;
        }
        let outcome = match &source.last_error {
            Some(error) => Outcome::Failed(error.clone()),
            None if source.generation > asked.generation => Outcome::Changed,
            None => Outcome::Unchanged,
        };
        let place = source.location.redacted();
        Some(Some(Refreshed { place, outcome, joined: asked.joined }))
    }

    /// Makes files due at once, read whatever their metadata says.
    pub fn hasten_files(&mut self, now: Instant) {
        for source in &mut self.list {
            if source.location.file().is_some() {
                source.fingerprint = None;
                source.schedule.hasten(now);
            }
        }
    }

    /// The keys of each provider that has some which are not too old.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = (&str, Arc<KeySet>)> {
        self.of_provider.iter().filter_map(move |(provider, member)| {
            Some((&**provider, member.keys(&self.list, now)?))
        })
    }

    /// What there is to tell about a provider's sources; nothing where its keys are inline.
    #[must_use]
    pub fn status(&self, provider: &str, now: Instant) -> Option<ProviderStatus> {
        let member = self.of_provider.get(provider)?;
        Some(member.status(provider, &self.list, now))
    }
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
            Location::File(path) | Location::Secrets { path, .. } => {
                fetch::from_file(path).map(|body| Fetched::Text {
                    body,
                    validators: Validators::default(),
                    life: Duration::ZERO,
                })
            }
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
