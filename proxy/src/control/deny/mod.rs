//! The deny list: what is in it, and the way of a change to every worker.
//!
//! ```text
//! POST /deny --Event::AdminDeny--> change -> publish -> keep on disk -> every worker runs it -> answer
//! file       --Event::FileChanged--> read -> publish
//! ```

pub mod book;
pub mod document;

use std::path::Path;
use std::time::{Duration, Instant};

use super::config::Config;
use super::publish::Publisher;
use super::question::Reply;
use super::status::DenyListStatus;
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::ids::Generation;
use book::{Book, Change, Changed, Listing, TooMany, clock};

/// The entries, and the operators who wait for a change to be in force.
#[derive(Debug, Default)]
pub struct Denials {
    book: Book,
    looked_at: Option<Instant>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    published: Generation,
    changed: Changed,
    reply: Reply<Result<Changed, TooMany>>,
}

impl Denials {
    /// Takes the settings of a configuration and reads what they name.
    pub fn configure(&mut self, config: &Config) {
        self.book.configure(&config.deny_list, config.cache_directory.as_deref());
    }

    /// What is in force now.
    #[must_use]
    pub fn list(&self) -> DenyList {
        self.book.list(clock())
    }

    /// The file of entries, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.book.file()
    }

    /// Looks at the file, if it is that one, and publishes what is new in it.
    pub fn file_changed(&mut self, path: &Path, publisher: &mut Publisher) {
        if self.file() == Some(path) && self.book.read_file() {
            self.publish(publisher);
        }
    }

    /// As [`Self::file_changed`], where nobody has looked for so long.
    pub fn look_every(&mut self, every: Duration, now: Instant, publisher: &mut Publisher) {
        if self.looked_at.is_none_or(|at| now >= at + every) {
            self.looked_at = Some(now);
            if self.book.read_file() {
                self.publish(publisher);
            }
        }
    }

    /// Changes the entries of operators; answered once every worker runs the change.
    pub fn change(
        &mut self,
        change: Change,
        reply: Reply<Result<Changed, TooMany>>,
        publisher: &mut Publisher,
    ) {
        match self.book.change(change, clock()) {
            Ok(Changed { entries, .. }) => {
                let in_force = self.book.status().admin_entries;
                tracing::info!(entries, in_force, "operators have changed the deny list");
                self.publish(publisher);
                // Only then: the disk may take its time.
                let changed = Changed { entries, kept: self.book.keep() };
                self.waiting.push(Waiting { published: publisher.generation(), changed, reply });
            }
            Err(too_many) => reply.send(Err(too_many)),
        }
    }

    /// Answers those whose change every worker runs.
    pub fn answer(&mut self, running: Generation) {
        for waiting in self.waiting.extract_if(.., |waiting| waiting.published <= running) {
            waiting.reply.send(Ok(waiting.changed));
        }
    }

    /// All entries.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.book.listing()
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> DenyListStatus {
        self.book.status()
    }

    fn publish(&self, publisher: &mut Publisher) {
        publisher.set_deny_list(self.list());
        match publisher.republish_with_verdicts() {
            Ok(generation) => tracing::debug!(generation = generation.0, "deny list published"),
            // The same configuration compiled before, so its cells are there.
            Err(error) => tracing::error!(%error, "deny list not published"),
        }
    }
}
