//! How much of a turn of the event loop goes to verifying tokens that are in no cache, and, apart from
//! that, to the handshakes of TLS: what is said here of the one goes for the other.
//!
//! A verification takes 20 to 100 us, a request whose token is in the cache 13. Whoever sends bad
//! tokens fast would make everybody else wait for as many verifications as have arrived, so that
//! after each [`BUDGET`] of them there is a turn of the event loop; the requests that need another
//! before it wait in line, each connection with one at most. There is no limit on the lines beyond
//! that on connections: who waits sends nothing more, while a refusal would only ask for the next
//! try.
//!
//! ```text
//!            budget spent                the next turn
//!  open ---------------------> closed ------------------> one of the lines has its turn
//!   ^                            ^                          |        |        |
//!   |                            +---- budget spent --------+        |        |
//!   |                                     ^    budget left: the next one      |
//!   +---- nobody waits ------------------------------------------------------+
//! ```
//!
//! A connection whose last token was bad waits in a line of its own, which has its turn after
//! [`AHEAD_MAX`] of the other at the latest.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::telemetry::counters::{CounterBlock, CounterId, Family, Kind, OutOfCells, Registry};
use crate::telemetry::histogram::{Buckets, Histogram};
use crate::uring;

/// What a turn spends on verifications. The one that reaches it is finished: this and one more
/// verification is what a request in the cache waits at most.
const BUDGET: Duration = Duration::from_micros(50);

/// Turns of clean connections in a row while suspect ones wait.
const AHEAD_MAX: u32 = 3;

static VERIFICATION: Family = Family {
    name: "ringgate_token_verification_seconds",
    help: "Time to judge a token that was in no cache.",
    // 16 us to 4.1 ms: from one RS256 to several ES384.
    kind: Kind::Histogram(Buckets { first: 4, last: 12 }),
    labels: &[],
};
static DEFERRED: Family = Family {
    name: "ringgate_verifications_deferred",
    help: "Requests that had to wait for a turn to have their token verified.",
    kind: Kind::Counter,
    labels: &[],
};
static WAITING: Family = Family {
    name: "ringgate_verifications_waiting",
    help: "Requests that wait now for a turn to have their token verified.",
    kind: Kind::Gauge,
    labels: &[],
};

static HANDSHAKE: Family = Family {
    name: "ringgate_tls_handshake_step_seconds",
    help: "Time to compute one step of a TLS handshake with a client.",
    // 16 us to 4.1 ms: from a resumption to a signature with RSA-4096.
    kind: Kind::Histogram(Buckets { first: 4, last: 12 }),
    labels: &[],
};
static HANDSHAKES_DEFERRED: Family = Family {
    name: "ringgate_tls_handshakes_deferred",
    help: "Steps of TLS handshakes that had to wait for a turn.",
    kind: Kind::Counter,
    labels: &[],
};
static HANDSHAKES_WAITING: Family = Family {
    name: "ringgate_tls_handshakes_waiting",
    help: "TLS handshakes that wait now for a turn to compute their next step.",
    kind: Kind::Gauge,
    labels: &[],
};

/// The cells of a worker about its verifications, or about its handshakes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacingCounters {
    took: Histogram,
    deferred: CounterId,
    waiting: CounterId,
}

impl PacingCounters {
    pub(super) fn verifications(registry: &mut Registry) -> Result<Self, OutOfCells> {
        Self::register(registry, [&VERIFICATION, &DEFERRED, &WAITING])
    }

    pub(super) fn handshakes(registry: &mut Registry) -> Result<Self, OutOfCells> {
        Self::register(registry, [&HANDSHAKE, &HANDSHAKES_DEFERRED, &HANDSHAKES_WAITING])
    }

    fn register(
        registry: &mut Registry,
        [took, deferred, waiting]: [&'static Family; 3],
    ) -> Result<Self, OutOfCells> {
        Ok(Self {
            took: registry.histogram(took, &[])?,
            deferred: registry.cell(deferred, &[])?,
            waiting: registry.cell(waiting, &[])?,
        })
    }
}

/// What is known of whoever asks for a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing, or that its last token was good.
    Clean,
    /// Its last token was bad.
    Suspect,
}

/// The verifications of one worker, or its handshakes.
pub(super) struct Pacing {
    /// By tokens that were in no cache, since the last turn that was waited for. Turns that pass
    /// otherwise are not seen: at most one more is waited for than would have to be.
    spent: Cell<Duration>,
    /// Whoever has no turn waits for one.
    closed: Cell<bool>,
    lines: RefCell<Lines>,
    /// The budget is spent and somebody should begin the next turn.
    over: Notify,
    counters: Arc<CounterBlock>,
    cells: PacingCounters,
}

#[derive(Default)]
struct Lines {
    clean: VecDeque<oneshot::Sender<Turn>>,
    suspect: VecDeque<oneshot::Sender<Turn>>,
    /// Clean ones that had their turn since a suspect one had.
    ahead: u32,
}

impl Lines {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let suspects_turn = self.clean.is_empty() || self.ahead >= AHEAD_MAX;
        if suspects_turn && let Some(suspect) = self.suspect.pop_front() {
            self.ahead = 0;
            return Some(suspect);
        }
        self.ahead = self.ahead.saturating_add(1);
        self.clean.pop_front()
    }
}

/// The right to verify the tokens of one request now. Its end is the beginning of the next.
pub(super) struct Turn(Option<Rc<Pacing>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(pacing) = self.0.take() {
            pacing.advance();
        }
    }
}

/// This turn of the event loop has no verification for whoever has no turn of its own.
pub(super) struct Closed;

/// A verification that runs.
pub(super) struct Verifying<'p> {
    pacing: &'p Pacing,
    started: Instant,
}

impl Drop for Verifying<'_> {
    fn drop(&mut self) {
        self.pacing.verified(self.started.elapsed());
    }
}

impl Pacing {
    pub(super) fn new(counters: Arc<CounterBlock>, cells: PacingCounters) -> Rc<Self> {
        Rc::new(Self {
            spent: Cell::default(),
            closed: Cell::default(),
            lines: RefCell::default(),
            over: Notify::new(),
            counters,
            cells,
        })
    }

    /// Begins a verification, unless it is not the time for whoever has no turn.
    pub(super) fn begin(&self, turn: Option<&Turn>) -> Result<Verifying<'_>, Closed> {
        if self.closed.get() && turn.is_none() {
            return Err(Closed);
        }
        Ok(Verifying { pacing: self, started: Instant::now() })
    }

    fn verified(&self, took: Duration) {
        self.counters.observe(&self.cells.took, took);
        self.spent.set(self.spent.get() + took);
        if self.spent.get() >= BUDGET && !self.closed.replace(true) {
            self.over.notify_one();
        }
    }

    /// Waits for a turn to verify.
    pub(super) async fn turn(&self, standing: Standing) -> Turn {
        if !self.closed.get() {
            return Turn(None);
        }
        let (sender, turn) = oneshot::channel();
        {
            let mut lines = self.lines.borrow_mut();
            match standing {
                Standing::Clean => lines.clean.push_back(sender),
                Standing::Suspect => lines.suspect.push_back(sender),
            }
        }
        self.counters.increment(self.cells.deferred);
        self.counters.increment(self.cells.waiting);
        let turn = turn.await;
        self.counters.decrement(self.cells.waiting);
        // The sender is in a line until it is used, and the lines are as old as this.
        turn.unwrap_or(Turn(None))
    }

    /// Begins turn after turn of the event loop as long as the budget of one is spent.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            self.over.notified().await;
            uring::turn().await;
            self.spent.set(Duration::ZERO);
            self.advance();
        }
    }

    /// Gives the next one its turn, if there is budget left and somebody waits.
    fn advance(self: &Rc<Self>) {
        loop {
            if self.spent.get() >= BUDGET {
                return self.over.notify_one();
            }
            let Some(next) = self.lines.borrow_mut().next() else {
                return self.closed.set(false);
            };
            match next.send(Turn(Some(Rc::clone(self)))) {
                Ok(()) => return,
                // Nobody waits any more: it was the turn of nobody.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
