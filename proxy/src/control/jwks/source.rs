//! One source of keys: what was good last, what came of the fetches since, and when the next is due.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::fetch::{self, Validators};
use super::fingerprint::Fingerprint;
use super::keeper::{Keeper, KeptAs};
use super::last_good::LastGood;
use super::lingering::LingeringKeys;
use super::location::Location;
use super::parse::{IgnoredKey, JwkSetError, ParsedSet, parse_set};
use super::schedule::{Draw, Schedule};
use super::secrets::parse_secrets;
use super::sources::{Place, SourceId};
use super::transport::Transport;
use crate::control::status::{FetchCounts, NextRefresh, SourceStatus};
use crate::snapshot::key_set::KeySet;

/// One source.
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) location: Location,
    pub(super) transport: Arc<Transport>,
    pub(super) refresh_interval: Option<Duration>,
    /// How often a file is looked at; it is read only when its metadata has changed.
    pub(super) look_every: Duration,
    /// Half of the shortest `max_stale`: keys that can be refreshed never come to age.
    pub(super) life_max: Option<Duration>,
    pub(super) schedule: Schedule,
    pub(super) validators: Validators,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) keys: Option<Arc<KeySet>>,
    /// Keys that have vanished from the set and that a provider may still use.
    pub(super) lingering: LingeringKeys,
    pub(super) ignored: Arc<[IgnoredKey]>,
    /// Secrets in the text fetched last.
    alarms: Vec<IgnoredKey>,
    pub(super) generation: u64,
    pub(super) confirmed: Option<(Instant, SystemTime)>,
    pub(super) last_error: Option<String>,
    pub(super) counts: FetchCounts,
}

/// The names of the keys; a key without one is `-`.
#[must_use]
pub fn kids(keys: &KeySet) -> Vec<String> {
    keys.iter().map(|key| key.kid().unwrap_or("-").to_owned()).collect()
}

impl Source {
    pub(super) fn new(id: SourceId, place: &Place, now: Instant) -> Self {
        Self {
            id,
            location: place.location.clone(),
            transport: place.transport.clone(),
            refresh_interval: None,
            look_every: Duration::ZERO,
            life_max: None,
            schedule: Schedule::new(now),
            validators: Validators::default(),
            fingerprint: None,
            keys: None,
            lingering: LingeringKeys::default(),
            ignored: Arc::default(),
            alarms: Vec::new(),
            generation: 0,
            confirmed: None,
            last_error: None,
            counts: FetchCounts::default(),
        }
    }

    /// Reads the file if it is another one than the last good one; true where the keys changed.
    pub(super) fn read_file(&mut self, path: &Path, now: Instant, draw: Draw) -> bool {
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
            self.schedule.succeeded(now, self.look_every, draw);
            return false;
        }
        match fetch::from_file(path) {
            Ok(body) => {
                let changed =
                    self.take_text(&body, Validators::default(), self.look_every, now, draw);
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
    pub(super) fn take_text(
        &mut self,
        body: &[u8],
        validators: Validators,
        life: Duration,
        now: Instant,
        draw: Draw,
    ) -> bool {
        let ParsedSet { keys, ignored } = match self.parse(body) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.failed(&error, now, draw);
                return false;
            }
        };
        let ignored: Arc<[IgnoredKey]> = ignored.into();
        self.alarm(&ignored);
        // A validator of a text that was refused must not turn the next answer into a 304.
        self.validators = validators;
        if self.keys.as_deref() == Some(&keys) {
            if *self.ignored != *ignored {
                let ignored = reasons(&ignored);
                tracing::info!(source = %self.location.redacted(), %ignored, "ignored keys changed");
            }
            self.ignored = ignored;
            self.confirmed(life, now, draw);
            return false;
        }
        self.log_change(&keys, &ignored);
        self.lingering.replaced(self.keys.as_deref(), &keys, &ignored, now);
        self.generation += 1;
        self.counts.changed += 1;
        self.keys = Some(Arc::new(keys));
        self.ignored = ignored;
        self.recovered(life, now, draw);
        true
    }

    /// A text of secrets or of a key set, by where it is from; the error is for people.
    fn parse(&mut self, body: &[u8]) -> Result<ParsedSet, String> {
        if let Location::Secrets { algorithms, .. } = &self.location {
            return parse_secrets(body, *algorithms)
                .map(|keys| ParsedSet { keys, ignored: Vec::new() })
                .map_err(|error| error.to_string());
        }
        parse_set(body).map_err(|error| {
            if let JwkSetError::NoneUsable(ignored) = &error {
                self.alarm(ignored);
            }
            error.to_string()
        })
    }

    /// The keys are still the issuer's.
    pub(super) fn confirmed(&mut self, life: Duration, now: Instant, draw: Draw) {
        self.counts.unchanged += 1;
        self.recovered(life, now, draw);
    }

    pub(super) fn recovered(&mut self, life: Duration, now: Instant, draw: Draw) {
        if self.last_error.take().is_some() {
            tracing::info!(source = %self.location.redacted(), "key set available again");
        }
        self.confirmed_at(now);
        let life = match self.location {
            Location::File(_) | Location::Secrets { .. } => self.look_every,
            Location::Url(_) | Location::Issuer(_) => self.refresh_interval.unwrap_or(life),
        };
        let life = self.life_max.map_or(life, |most| life.min(most));
        self.schedule.succeeded(now, life, draw);
    }

    /// Starts with the last good keys on disk; the first fetch is due all the same.
    pub(super) fn restore(&mut self, disk: &LastGood, now: Instant) {
        let kept = self.kept_as().and_then(|text| disk.load(&text.place));
        let Some((body, at)) = kept else { return };
        let Ok(ParsedSet { keys, ignored }) = parse_set(&body) else { return };
        // A clock that was set back makes no keys younger than now.
        let age = SystemTime::now().duration_since(at).unwrap_or_default();
        let Some(confirmed) = now.checked_sub(age) else { return };
        tracing::info!(source = %self.location.redacted(), ?age, keys = keys.len(), "last good keys");
        self.ignored = ignored.into();
        self.keys = Some(Arc::new(keys));
        self.generation = 1;
        self.confirmed = Some((confirmed, at));
    }

    /// Has a text kept on disk, if it was good.
    pub(super) fn keep(&self, keeper: &Keeper, body: &[u8]) {
        if let Some(text) = self.kept_as().filter(|_| self.last_error.is_none()) {
            keeper.keep(text, body);
        }
    }

    /// Has it noted on disk that the keys are good still.
    pub(super) fn keep_confirmed(&self, keeper: &Keeper) {
        if let Some(text) = self.kept_as() {
            keeper.confirm(text);
        }
    }

    /// What its text is on disk; nothing for what is on disk anyway.
    fn kept_as(&self) -> Option<KeptAs> {
        let place = match &self.location {
            Location::File(_) | Location::Secrets { .. } => return None,
            Location::Url(url) => format!("url {url}"),
            Location::Issuer(issuer) => format!("issuer {issuer}"),
        };
        Some(KeptAs { place, shown: self.location.redacted() })
    }

    pub(super) fn confirmed_at(&mut self, now: Instant) {
        self.confirmed = Some((now, SystemTime::now()));
    }

    /// What there is to tell about it.
    pub(super) fn status(&self, in_use: bool) -> SourceStatus {
        SourceStatus {
            place: self.location.redacted(),
            in_use,
            generation: self.generation,
            keys: self.keys.as_ref().map_or(0, |keys| keys.len()),
            ignored: Arc::clone(&self.ignored),
            confirmed: self.confirmed,
            refresh: self.schedule.due().map_or(NextRefresh::InFlight, NextRefresh::At),
            last_error: self.last_error.clone(),
            fetches: self.counts,
        }
    }

    /// Keeps what there is; one line for each new reason.
    pub(super) fn failed(&mut self, error: &str, now: Instant, draw: Draw) {
        self.counts.failed += 1;
        let retry_in = self.schedule.failed(now, draw);
        if self.last_error.as_deref() != Some(error) {
            let kept = self.keys.as_ref().map_or(0, |keys| keys.len());
            let source = self.location.redacted();
            tracing::warn!(%source, %error, kept, ?retry_in, "key set not fetched; keys kept");
        }
        self.last_error = Some(error.to_owned());
    }

    /// Tells, once for each key, that the issuer has published a secret.
    fn alarm(&mut self, ignored: &[IgnoredKey]) {
        let alarms: Vec<_> = ignored.iter().filter(|key| key.reason.is_alarm()).cloned().collect();
        for key in alarms.iter().filter(|key| !self.alarms.contains(key)) {
            tracing::error!(source = %self.location.redacted(), %key, "the key set has a secret");
        }
        self.alarms = alarms;
    }

    fn log_change(&self, keys: &KeySet, ignored: &[IgnoredKey]) {
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

fn reasons(ignored: &[IgnoredKey]) -> String {
    ignored.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
