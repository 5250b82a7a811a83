//! Who is banned for bad tokens, and for how long. No socket, no clock: time is passed in.
//!
//! ```text
//!            a token                N tokens within T              the end, or lifted by its time
//! unknown -----------> watched ---------------------> banned ----------------------------> remembered
//!    ^                    |                              ^  \                                |  |
//!    |  quiet for T, or the least recent of too many     |   +-- lifted by hand --> unknown  |  |
//!    +--------------------+                              +---- N tokens within T again ------+  |
//!    ^                                                         banned twice as long             |
//!    +------------------------------------------------------------------------------------------+
//!                 quiet for as long as it was banned: one doubling less, until none is left
//! ```

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::control::config::BanConfig;
use crate::snapshot::peers::Source;

/// Sources that are watched, and as many that are banned or were: some MiB of memory. Of watched
/// ones the least recently seen makes room; of bans the one that would be forgotten first.
pub const SOURCES_MAX: usize = 16_384;

/// Parts of the time within which tokens are counted: a token counts for at least 7/8 of that time
/// and never for longer.
const SLICES: usize = 8;

/// What a source did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Tokens whose signature no key has made, those during the ban included.
    pub tokens: u64,
    /// When the last of them came.
    pub last_seen: Instant,
    /// The listener that it came to.
    pub listener: Box<str>,
    /// The route that it was refused by.
    pub route: Box<str>,
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// When it began.
    pub since: Instant,
    /// When it ends by itself.
    pub until: Instant,
    /// How often the source was banned while it was remembered, this time included.
    pub times: u32,
    /// What it is for.
    pub evidence: Evidence,
}

/// A source that is watched.
#[derive(Debug)]
struct Watched {
    counts: [u32; SLICES],
    /// The slice of time that the newest count is of.
    slice: u64,
    evidence: Evidence,
}

/// A source that is banned, or was.
#[derive(Debug)]
struct Offender {
    ban: Ban,
    /// 1 for a ban of the plain duration.
    level: u32,
    forgotten_at: Instant,
}

/// What came of a report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The ban that it led to.
    pub begun: Option<Ban>,
    /// Whose ban was ended to make room for that.
    pub made_way: Option<Source>,
}

/// All sources that are known.
#[derive(Debug)]
pub struct Book {
    terms: BanConfig,
    /// Slices of time are counted from here.
    epoch: Instant,
    watched: HashMap<Source, Watched>,
    /// The watched ones by when they were seen last.
    seen: BTreeSet<(Instant, Source)>,
    offenders: HashMap<Source, Offender>,
    /// Those that are banned, by the end of the ban.
    ends: BTreeSet<(Instant, Source)>,
    /// All offenders, by when they are forgotten.
    memory: BTreeSet<(Instant, Source)>,
}

impl Book {
    /// An empty one.
    #[must_use]
    pub fn new(terms: BanConfig, now: Instant) -> Self {
        Self {
            terms,
            epoch: now,
            watched: HashMap::new(),
            seen: BTreeSet::new(),
            offenders: HashMap::new(),
            ends: BTreeSet::new(),
            memory: BTreeSet::new(),
        }
    }

    /// Takes other terms. Bans stay as they are; counts begin anew where they are of another time.
    pub fn set_terms(&mut self, terms: BanConfig) {
        if self.terms.within != terms.within {
            self.watched.clear();
            self.seen.clear();
        }
        self.terms = terms;
    }

    /// Takes note of `evidence.tokens` more bad tokens of a source, the last of them now.
    pub fn report(&mut self, source: Source, evidence: Evidence) -> Outcome {
        let now = evidence.last_seen;
        if let Some(offender) = self.offenders.get_mut(&source)
            && now < offender.ban.until
        {
            let tokens = offender.ban.evidence.tokens.saturating_add(evidence.tokens);
            offender.ban.evidence = Evidence { tokens, ..evidence };
            return Outcome::default();
        }
        self.forget_quiet(now);
        let slice = self.slice(now);
        let invalid_tokens = self.terms.invalid_tokens;
        let watched = self.watch(source, evidence, slice);
        if watched.count() < invalid_tokens {
            return Outcome::default();
        }
        match self.unwatch(source) {
            Some(watched) => self.ban(source, watched.evidence, now),
            None => Outcome::default(),
        }
    }

    /// Counts, and makes room where there are too many.
    fn watch(&mut self, source: Source, evidence: Evidence, slice: u64) -> &Watched {
        if let Some(before) = self.watched.get(&source) {
            self.seen.remove(&(before.evidence.last_seen, source));
        } else if self.watched.len() >= SOURCES_MAX
            && let Some((_, least_recent)) = self.seen.pop_first()
        {
            self.watched.remove(&least_recent);
        }
        self.seen.insert((evidence.last_seen, source));
        let watched = self.watched.entry(source).or_insert_with(|| Watched {
            counts: [0; SLICES],
            slice,
            evidence: Evidence { tokens: 0, ..evidence.clone() },
        });
        watched.add(slice, evidence);
        watched
    }

    fn unwatch(&mut self, source: Source) -> Option<Watched> {
        let watched = self.watched.remove(&source)?;
        self.seen.remove(&(watched.evidence.last_seen, source));
        Some(watched)
    }

    fn ban(&mut self, source: Source, evidence: Evidence, now: Instant) -> Outcome {
        let (level, times) = match self.remove(source) {
            Some(before) => (level_left(&self.terms, &before, now), before.ban.times),
            None => (0, 0),
        };
        let mut made_way = None;
        if self.offenders.len() >= SOURCES_MAX
            && let Some(&(_, first)) = self.memory.first()
        {
            made_way = self.remove(first).filter(|one| now < one.ban.until).map(|_| first);
        }
        let level = next_level(&self.terms, level);
        let until = now + length(&self.terms, level);
        let ban = Ban { since: now, until, times: times.saturating_add(1), evidence };
        let forgotten_at = forgotten_at(&self.terms, until, level);
        self.ends.insert((until, source));
        self.memory.insert((forgotten_at, source));
        self.offenders.insert(source, Offender { ban: ban.clone(), level, forgotten_at });
        Outcome { begun: Some(ban), made_way }
    }

    /// Forgets what time has made good, and tells whose bans have ended by themselves.
    pub fn pass_time(&mut self, now: Instant) -> Vec<(Source, Ban)> {
        let mut over = Vec::new();
        while let Some(&(until, source)) = self.ends.first()
            && until <= now
        {
            self.ends.pop_first();
            over.extend(self.offenders.get(&source).map(|one| (source, one.ban.clone())));
        }
        while let Some(&(at, source)) = self.memory.first()
            && at <= now
        {
            self.remove(source);
        }
        self.forget_quiet(now);
        over
    }

    /// When the next ban ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Ends the ban of a source, which is as if it had never been banned. None where it is not.
    pub fn lift(&mut self, source: Source, now: Instant) -> Option<Ban> {
        self.offenders.get(&source).filter(|one| now < one.ban.until)?;
        self.remove(source).map(|one| one.ban)
    }

    /// The bans that hold, in the order of their ends.
    pub fn bans(&self, now: Instant) -> impl Iterator<Item = (Source, &Ban)> {
        let ends = self.ends.iter().filter(move |(until, _)| now < *until);
        ends.filter_map(|(_, source)| Some((*source, &self.offenders.get(source)?.ban)))
    }

    /// How many there are, by the last time that was told.
    #[must_use]
    pub fn active(&self) -> usize {
        self.ends.len()
    }

    fn remove(&mut self, source: Source) -> Option<Offender> {
        let offender = self.offenders.remove(&source)?;
        self.ends.remove(&(offender.ban.until, source));
        self.memory.remove(&(offender.forgotten_at, source));
        Some(offender)
    }

    /// Forgets watched sources none of whose tokens counts any more.
    fn forget_quiet(&mut self, now: Instant) {
        while let Some(&(seen, source)) = self.seen.first()
            && now.saturating_duration_since(seen) >= self.terms.within
        {
            self.unwatch(source);
        }
    }

    fn slice(&self, now: Instant) -> u64 {
        let slice = self.terms.within.as_nanos() / SLICES as u128;
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(since / slice.max(1)).unwrap_or(u64::MAX)
    }
}

/// How long the ban of this level is; the first is 1.
fn length(terms: &BanConfig, level: u32) -> Duration {
    let doublings = 1_u32.checked_shl(level.saturating_sub(1)).unwrap_or(u32::MAX);
    terms.duration.saturating_mul(doublings).min(terms.duration_max)
}

/// The level after this one: there is none beyond the longest ban.
fn next_level(terms: &BanConfig, level: u32) -> u32 {
    if level > 0 && length(terms, level) == terms.duration_max { level } else { level + 1 }
}

/// The level of an offender whose ban is over: one less for each time as long as a ban of the level
/// that has passed in quiet.
fn level_left(terms: &BanConfig, offender: &Offender, now: Instant) -> u32 {
    let (mut level, mut at) = (offender.level, offender.ban.until);
    while level > 0 {
        at += length(terms, level);
        if now < at {
            break;
        }
        level -= 1;
    }
    level
}

/// When no level is left of a ban that ends then.
fn forgotten_at(terms: &BanConfig, until: Instant, level: u32) -> Instant {
    (1..=level).fold(until, |at, level| at + length(terms, level))
}

impl Watched {
    fn count(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn add(&mut self, slice: u64, evidence: Evidence) {
        let passed = slice.saturating_sub(self.slice).min(SLICES as u64) as usize;
        self.counts.rotate_right(passed);
        self.counts[..passed].fill(0);
        self.slice = self.slice.max(slice);
        let tokens = u32::try_from(evidence.tokens).unwrap_or(u32::MAX);
        self.counts[0] = self.counts[0].saturating_add(tokens);
        let tokens = self.evidence.tokens.saturating_add(evidence.tokens);
        self.evidence = Evidence { tokens, ..evidence };
    }
}

#[cfg(test)]
mod tests;
