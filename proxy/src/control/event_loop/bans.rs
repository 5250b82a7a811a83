//! Bans: what the event loop's parts have to do with them.

use std::time::Instant;

use super::EventLoop;
use crate::control::bans::{Bans, Enforcers, Lift};
use crate::control::question::Reply;
use crate::worker::Offence;

impl EventLoop {
    /// Follows the configuration that runs now.
    pub(super) fn configure_bans(&mut self) {
        let config = self.publisher.config();
        let (rules, terms) = (config.peers(), config.kernel.ban());
        self.with_bans(|bans, now, enforcers| bans.configure(rules, terms, now, enforcers));
    }

    pub(super) fn take_offences(&mut self, offences: Vec<Offence>) {
        self.with_bans(|bans, now, enforcers| bans.take(offences, now, enforcers));
    }

    pub(super) fn lift_bans(&mut self, which: Lift, reply: Reply<usize>) {
        let by = "by an operator";
        reply.send(self.with_bans(|bans, now, enforcers| bans.lift(which, by, now, enforcers)));
    }

    /// Lets bans end whose time is over.
    pub(super) fn end_bans(&mut self) {
        self.with_bans(Bans::pass_time);
    }

    fn with_bans<T>(&mut self, act: impl FnOnce(&mut Bans, Instant, &mut Enforcers<'_>) -> T) -> T {
        let (shield, workers) = (self.assists.shield(), self.publisher.workers());
        act(&mut self.bans, Instant::now(), &mut Enforcers { shield, workers })
    }
}
