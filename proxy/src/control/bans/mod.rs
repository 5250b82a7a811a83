//! Bans for forged tokens: from the workers' reports to the kernel's program and back to every worker.
//!
//! ```text
//! worker --Event::Offences--> book: enough? --> XDP, where it is on
//!                                           \-> every worker's list, for the connections it accepts
//! ```
//!
//! Both sides know the end of a ban and need no word when it comes.

pub mod book;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assists::Shielding;
use super::config::BanConfig;
use super::status::BanStatus;
use crate::snapshot::peers::{BanList, BanMode, PeerRules, Source, prefix_of};
use crate::worker::{Offence, WorkerHandle};
use book::{Ban, Book, Evidence};

// The program's map has room for every ban.
const _: () = assert!(book::SOURCES_MAX <= ringgate_ebpf_abi::shield::BANS_MAX as usize);

/// Where bans are put in force.
pub struct Enforcers<'a> {
    /// The kernel's program, where it is on.
    pub shield: &'a mut Shielding,
    /// Those who accept.
    pub workers: &'a [WorkerHandle],
}

/// Which bans an operator lifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lift {
    /// All.
    All,
    /// That of one source.
    Of(Source),
}

/// The bans that hold, for an operator.
#[derive(Debug)]
pub struct Listing {
    /// None: nobody is banned.
    pub mode: Option<BanMode>,
    /// By their ends.
    pub bans: Vec<(Source, Ban)>,
}

/// The book and what is counted of it.
#[derive(Debug, Default)]
pub struct Bans {
    /// None: nobody is banned.
    book: Option<(BanMode, Book)>,
    rules: PeerRules,
    begun: [u64; 2],
    /// Workers have another list.
    stale: bool,
}

impl Bans {
    /// Takes the settings of a configuration. Bans go on under them, but for sources that they
    /// exempt.
    pub fn configure(
        &mut self,
        rules: PeerRules,
        terms: Option<BanConfig>,
        now: Instant,
        enforcers: &mut Enforcers<'_>,
    ) {
        self.rules = rules;
        let Some(config) = terms else {
            self.lift(Lift::All, "bans are switched off", now, enforcers);
            self.book = None;
            return;
        };
        let mode = if config.enforced { BanMode::Enforced } else { BanMode::Shadow };
        let book = match self.book.take() {
            Some((_, mut book)) => {
                book.set_terms(config);
                book
            }
            None => Book::new(config, now),
        };
        let exempt =
            book.bans(now).map(|(source, _)| source).filter(|one| self.rules.exempts(*one));
        let exempt: Vec<Source> = exempt.collect();
        self.book = Some((mode, book));
        for source in exempt {
            self.lift(Lift::Of(source), "it is exempt now", now, enforcers);
        }
        // The program may be a new one, or the mode another.
        for (source, ban) in self.listing(now).bans {
            enforcers.shield.ban(source, ban.until.saturating_duration_since(now), mode);
        }
        self.stale = true;
        self.publish(now, enforcers);
    }

    /// Takes a worker's report.
    pub fn take(&mut self, offences: Vec<Offence>, now: Instant, enforcers: &mut Enforcers<'_>) {
        let Some((mode, book)) = &mut self.book else { return };
        for Offence { source, tokens, listener, route } in offences {
            // The worker may have judged by rules from before a reload.
            if self.rules.exempts(source) {
                continue;
            }
            let evidence = Evidence { tokens: tokens.into(), last_seen: now, listener, route };
            let outcome = book.report(source, evidence);
            if let Some(gone) = outcome.made_way {
                enforcers.shield.lift(gone);
                tracing::info!(source = %prefix_of(gone), "ban lifted: it made room for another");
            }
            if let Some(ban) = outcome.begun {
                self.begun[*mode as usize] += 1;
                self.stale = true;
                enforcers.shield.ban(source, ban.until.saturating_duration_since(now), *mode);
                log_begun(source, &ban, *mode);
            }
        }
        self.publish(now, enforcers);
    }

    /// Lets bans end whose time is over.
    pub fn pass_time(&mut self, now: Instant, enforcers: &mut Enforcers<'_>) {
        let Some((_, book)) = &mut self.book else { return };
        for (source, ban) in book.pass_time(now) {
            enforcers.shield.lift(source);
            let tokens = ban.evidence.tokens;
            tracing::info!(source = %prefix_of(source), tokens, "ban lifted: its time is over");
        }
    }

    /// Lifts bans by hand, and says how many.
    pub fn lift(
        &mut self,
        which: Lift,
        why: &str,
        now: Instant,
        enforcers: &mut Enforcers<'_>,
    ) -> usize {
        let Some((_, book)) = &mut self.book else { return 0 };
        let sources = match which {
            Lift::All => book.bans(now).map(|(source, _)| source).collect(),
            Lift::Of(source) => vec![source],
        };
        let mut lifted = 0;
        for source in sources {
            if book.lift(source, now).is_some() {
                enforcers.shield.lift(source);
                tracing::info!(source = %prefix_of(source), "ban lifted: {why}");
                lifted += 1;
            }
        }
        self.stale |= lifted > 0;
        self.publish(now, enforcers);
        lifted
    }

    /// The bans that hold.
    #[must_use]
    pub fn listing(&self, now: Instant) -> Listing {
        let Some((mode, book)) = &self.book else { return Listing { mode: None, bans: vec![] } };
        let bans = book.bans(now).map(|(source, ban)| (source, ban.clone())).collect();
        Listing { mode: Some(*mode), bans }
    }

    /// When the next ban ends.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.book.as_ref().and_then(|(_, book)| book.next_end())
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> Option<BanStatus> {
        let (mode, book) = self.book.as_ref()?;
        let [begun_in_shadow, begun_enforced] = self.begun;
        Some(BanStatus { mode: *mode, active: book.active(), begun_in_shadow, begun_enforced })
    }

    /// Gives the workers the list, where theirs is another.
    fn publish(&mut self, now: Instant, enforcers: &Enforcers<'_>) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let list = match &self.book {
            Some((mode, book)) => {
                BanList::new(*mode, book.bans(now).map(|(source, ban)| (source, ban.until)))
            }
            None => BanList::default(),
        };
        let list = Arc::new(list);
        for worker in enforcers.workers {
            worker.ban(Arc::clone(&list));
        }
    }
}

fn log_begun(source: Source, ban: &Ban, mode: BanMode) {
    let Ban { since, until, times, evidence } = ban;
    let Evidence { tokens, listener, route, .. } = evidence;
    // Whole seconds are said shorter.
    let lifetime = Duration::from_secs(until.saturating_duration_since(*since).as_secs());
    let lifetime = humantime::format_duration(lifetime);
    let (source, mode) = (prefix_of(source), mode.name());
    tracing::info!(%source, mode, %lifetime, times, tokens, %listener, %route, "source banned");
}
