//! A provider among its sources: whose keys it has, how old they are, and which have vanished.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::age::Age;
use super::source::Source;
use super::sources::{SourceId, Wanted};
use crate::control::status::{LingeringKey, ProviderStatus};
use crate::snapshot::key_set::{KeySet, VerificationKey};

/// The keys that a provider had before a reload, for until its new sources have some.
#[derive(Debug, Clone)]
pub struct Previous {
    /// The keys.
    pub keys: Arc<KeySet>,
    /// When they were last known to be the issuer's, on both clocks.
    pub confirmed: (Instant, SystemTime),
}

/// What a provider has of its sources.
pub(super) struct Member {
    /// In order.
    pub(super) sources: Vec<SourceId>,
    max_stale: Option<Duration>,
    key_grace: Duration,
    pub(super) unknown_kid_interval: Duration,
    /// Gone once a source has keys.
    previous: Option<Previous>,
    told: Told,
}

/// What the last look at a provider found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    /// The source whose keys it has.
    active: Option<SourceId>,
    age: Age,
    confirmed: Option<Instant>,
    /// How many vanished keys it still has, and when the next of them goes.
    lingering: usize,
    grace_ends: Option<Instant>,
}

/// Which keys a provider has.
struct Picked<'s> {
    /// None: those from before the reload.
    source: Option<&'s Source>,
    keys: &'s Arc<KeySet>,
    confirmed: Option<(Instant, SystemTime)>,
    age: Age,
}

impl Member {
    pub(super) fn new(want: &Wanted, sources: Vec<SourceId>, previous: Option<Previous>) -> Self {
        let told =
            Told { active: None, age: Age::Fresh, confirmed: None, lingering: 0, grace_ends: None };
        Self {
            sources,
            max_stale: want.max_stale,
            key_grace: want.key_grace,
            unknown_kid_interval: want.unknown_kid_interval,
            previous,
            told,
        }
    }

    /// The source whose keys it has, at the last look.
    pub(super) fn active(&self) -> Option<SourceId> {
        self.told.active
    }

    /// When a look at it is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let ages = self.told.age.ends(self.told.confirmed, self.max_stale);
        ages.into_iter().chain(self.told.grace_ends).min()
    }

    /// Tells where its keys have come to another age; true where it has other keys than at the last
    /// look, or none any more. A source whose own keys have changed is not noticed here.
    pub(super) fn look(&mut self, provider: &str, list: &[Source], now: Instant) -> bool {
        let picked = self.pick(list, now);
        let age = picked.as_ref().map_or(Age::Fresh, |picked| picked.age);
        if let (Some(picked), true) = (&picked, age != self.told.age) {
            let place = picked.source.map(|source| source.location.redacted());
            age.log(provider, place.as_deref().unwrap_or("before the reload"));
        }
        let usable = picked.as_ref().filter(|_| age != Age::Expired);
        let ends: Vec<Instant> = self.lingering(usable, now).map(|(_, until)| until).collect();
        let told = Told {
            active: usable.and_then(|picked| picked.source).map(|source| source.id),
            age,
            confirmed: picked.as_ref().and_then(|picked| picked.confirmed).map(|(at, _)| at),
            lingering: ends.len(),
            grace_ends: ends.into_iter().min(),
        };
        let kept = |told: &Told| (told.active, told.lingering, told.age == Age::Expired);
        let changed = kept(&told) != kept(&self.told);
        self.told = told;
        if told.active.is_some() {
            self.previous = None;
        }
        changed
    }

    /// Its keys, where it has some that are not too old, those that linger among them.
    pub(super) fn keys(&self, list: &[Source], now: Instant) -> Option<Arc<KeySet>> {
        let picked = self.pick(list, now).filter(|picked| picked.age != Age::Expired)?;
        let mut lingering = self.lingering(Some(&picked), now).map(|(key, _)| key).peekable();
        if lingering.peek().is_none() {
            return Some(Arc::clone(picked.keys));
        }
        Some(Arc::new(KeySet::new(picked.keys.iter().chain(lingering).cloned().collect())))
    }

    /// What there is to tell about it.
    pub(super) fn status(&self, provider: &str, list: &[Source], now: Instant) -> ProviderStatus {
        let picked = self.pick(list, now);
        let age = picked.as_ref().map_or(Age::Fresh, |picked| picked.age);
        let usable = picked.as_ref().filter(|_| age != Age::Expired);
        let source = picked.as_ref().and_then(|picked| picked.source);
        let lingering = self.lingering(usable, now);
        ProviderStatus {
            name: provider.to_owned(),
            needed: false,
            sources: self
                .sources(list)
                .map(|one| one.status(source.is_some_and(|source| source.id == one.id)))
                .collect(),
            generation: source.map_or(0, |source| source.generation),
            keys: usable.map(|picked| Arc::clone(picked.keys)),
            lingering: lingering
                .map(|(key, until)| LingeringKey { key: key.clone(), until })
                .collect(),
            confirmed: picked.as_ref().and_then(|picked| picked.confirmed),
            expired: age == Age::Expired,
        }
    }

    fn sources<'s>(&self, list: &'s [Source]) -> impl Iterator<Item = &'s Source> {
        self.sources.iter().filter_map(|id| list.iter().find(|source| source.id == *id))
    }

    /// The keys of the first source in order that has some which are not too old; else those from
    /// before the reload, if they are not; else what is too old.
    fn pick<'s>(&'s self, list: &'s [Source], now: Instant) -> Option<Picked<'s>> {
        let age = |confirmed: Option<(Instant, SystemTime)>| {
            Age::of(confirmed.map(|(at, _)| at), self.max_stale, now)
        };
        let of_sources = || {
            self.sources(list).filter_map(|source| {
                let keys = source.keys.as_ref()?;
                let confirmed = source.confirmed;
                Some(Picked { source: Some(source), keys, confirmed, age: age(confirmed) })
            })
        };
        let previous = || {
            self.previous.iter().map(|previous| {
                let confirmed = Some(previous.confirmed);
                Picked { source: None, keys: &previous.keys, confirmed, age: age(confirmed) }
            })
        };
        let all = || of_sources().chain(previous());
        all().find(|picked| picked.age != Age::Expired).or_else(|| all().next())
    }

    /// The vanished keys of the source whose keys these are, and until when they are used.
    fn lingering<'s>(
        &self,
        usable: Option<&Picked<'s>>,
        now: Instant,
    ) -> impl Iterator<Item = (&'s VerificationKey, Instant)> {
        let source = usable.and_then(|picked| picked.source);
        let grace = self.key_grace;
        source.into_iter().flat_map(move |source| source.lingering.within(grace, now))
    }
}
