//! Fetches that an operator asks for: at once, whatever the token bucket says, and still one at a
//! time for each source.

use std::time::Instant;

use super::sources::{SourceId, Sources};
use crate::control::question::Reply;

/// A source made due for an operator.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub(super) source: SourceId,
    /// Of its keys before.
    pub(super) generation: u64,
    /// Whether a fetch was in flight already.
    pub(super) joined: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// Where the source is, without credentials or query.
    pub place: String,
    /// How the fetch ended.
    pub outcome: Outcome,
    /// Whether it began before it was asked for: it may have missed what is new since.
    pub joined: bool,
}

/// How a fetch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With other keys than before.
    Changed,
    /// With the same keys.
    Unchanged,
    /// Badly; the keys before were kept.
    Failed(String),
}

/// Who waits for which fetches.
#[derive(Debug, Default)]
pub struct Refreshes(Vec<(Vec<Asked>, Reply<Vec<Refreshed>>)>);

impl Refreshes {
    /// Makes the sources of a provider due.
    pub fn ask(
        &mut self,
        provider: &str,
        reply: Reply<Vec<Refreshed>>,
        sources: &mut Sources,
        now: Instant,
    ) {
        self.0.push((sources.refresh(provider, now), reply));
    }

    /// Answers those whose fetches have all ended; to be called when what was due has been started
    /// and what was fetched has been published and told.
    pub fn answer(&mut self, sources: &Sources) {
        for (asked, reply) in std::mem::take(&mut self.0) {
            let ended: Option<Vec<_>> = asked.iter().map(|one| sources.refreshed(*one)).collect();
            match ended {
                Some(ended) => reply.send(ended.into_iter().flatten().collect()),
                None => self.0.push((asked, reply)),
            }
        }
    }
}
