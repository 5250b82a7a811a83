//! Requests whose token names a key that is not there: parked while the key is looked for.
//!
//! ```text
//! judge: unknown key --> ask the control thread --> wait --> answered: judge again by the newest
//!            |                (once a provider)       |        snapshot, and for the last time
//!            |                                        +------> time over: the same
//!            +-- asked for and not found a moment ago, or too many parked: refused at once
//! ```
//!
//! The control thread answers every request for keys, whether it fetched or not, after the
//! snapshot that came of it. How often it fetches is its own bound. What was looked for on behalf
//! of another request, or not found out, is asked for once more.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::pacing::Turn;
use crate::auth::{Reason, Refusal};
use crate::snapshot::Snapshot;
use crate::snapshot::ids::{Generation, ProviderId};
use crate::uring;

/// Requests parked at once on a worker. One more is refused as if the key had been looked for.
const PARKED_MAX: usize = 1024;

/// Key names remembered as not found, and for how long. A new snapshot forgets them all.
const MISSED_MAX: usize = 1024;
const MISSED_FOR: Duration = Duration::from_secs(10);

/// How long nobody waits for a provider whose source may not be asked: a flood of made-up key
/// names then costs no more than any other bad token.
const DENIED_FOR: Duration = Duration::from_secs(1);

/// Asks the control thread to look for keys of the provider of this name that the snapshot of this
/// generation lacks. Must not block.
pub type AskForKeys = Box<dyn Fn(&str, Generation) + Send>;

/// A request that waits for a key.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) provider: Box<str>,
    pub(super) until: Instant,
    pub(super) since: Since,
    /// The snapshot that lacks the key.
    lacking: Generation,
    missed: (ProviderId, Box<str>),
}

/// When a request's head was complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) time: SystemTime,
    pub(super) started: Instant,
}

impl Since {
    pub(super) fn now() -> Self {
        Self { time: SystemTime::now(), started: Instant::now() }
    }
}

/// One judgement of a request.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'t> {
    /// When the request's head was complete, however often it has been parked since.
    pub(super) since: Since,
    /// Whether it may be parked now.
    pub(super) may_park: bool,
    /// Its turn to have tokens verified that are in no cache, if it has waited for one.
    pub(super) turn: Option<&'t Turn>,
}

impl Attempt<'_> {
    /// The first one, now.
    pub(super) fn first() -> Self {
        Self { since: Since::now(), may_park: true, turn: None }
    }
}

/// What became of a question after keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLookup {
    /// The source has been asked since.
    Done,
    /// It was being asked already, perhaps a moment before it had the key; or it did not answer.
    Earlier,
    /// It has not been asked: a newer snapshot was on its way to the worker.
    Behind,
    /// There is no source, or it may not be asked now.
    Denied,
}

/// A provider whose keys are being looked for.
struct Question {
    provider: Box<str>,
    lookup: Cell<KeyLookup>,
    answered: Notify,
}

/// The parked requests of one worker.
pub(super) struct Parking {
    ask: AskForKeys,
    /// Not answered yet; at most one a provider.
    asked: RefCell<Vec<Rc<Question>>>,
    /// Providers whose source may not be asked, and since when.
    denied: RefCell<Vec<(Box<str>, Instant)>>,
    parked: Cell<usize>,
    /// Requests that were not parked because so many were.
    turned_away: Cell<u64>,
    missed: RefCell<HashMap<(ProviderId, Box<str>), Instant>>,
}

impl Parking {
    pub(super) fn new(ask: AskForKeys) -> Self {
        Self {
            ask,
            asked: RefCell::default(),
            denied: RefCell::default(),
            parked: Cell::new(0),
            turned_away: Cell::new(0),
            missed: RefCell::default(),
        }
    }

    /// Requests parked now.
    pub(super) fn parked(&self) -> usize {
        self.parked.get()
    }

    /// Requests that were not parked because so many were.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.get()
    }

    /// Whether a request refused like this is to wait for its key, and how long.
    pub(super) fn admit(
        &self,
        snapshot: &Snapshot,
        refusal: &Refusal,
        since: Since,
    ) -> Option<Wait> {
        if refusal.reason != Reason::UnknownKey {
            return None;
        }
        let (id, kid) = (refusal.provider?, refusal.kid.as_ref()?);
        let provider = snapshot.provider(id);
        let limit = provider.unknown_kid_wait?;
        let missed = (id, kid.clone());
        if self.missed.borrow().get(&missed).is_some_and(|at| at.elapsed() < MISSED_FOR) {
            return None;
        }
        if self.is_denied(&provider.name) {
            return None;
        }
        if limit.is_zero() {
            // Nobody waits, but the next request may find the key.
            let _ = self.ask_once(&provider.name, snapshot.generation);
            self.remember(missed);
            return None;
        }
        if self.parked.get() >= PARKED_MAX {
            self.turned_away.set(self.turned_away.get() + 1);
            return None;
        }
        let until = since.started + limit;
        if until <= Instant::now() {
            return None;
        }
        let lacking = snapshot.generation;
        Some(Wait { provider: provider.name.clone(), until, since, lacking, missed })
    }

    /// Waits until the keys have been looked for; none where the time is over before.
    pub(super) async fn wait(&self, wait: &Wait) -> Option<KeyLookup> {
        let (question, first) = self.ask_once(&wait.provider, wait.lacking);
        let answered = question.answered.notified();
        let left = wait.until.saturating_duration_since(Instant::now());
        self.parked.set(self.parked.get() + 1);
        let (mut answered, mut over) = (pin!(answered), pin!(uring::sleep(left)));
        let is_answered = poll_fn(|context| match answered.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => over.as_mut().poll(context).map(|()| false),
        })
        .await;
        self.parked.set(self.parked.get() - 1);
        is_answered.then(|| match question.lookup.get() {
            // On behalf of another request, and so begun before this one came.
            KeyLookup::Done if !first => KeyLookup::Earlier,
            lookup => lookup,
        })
    }

    /// The question after the keys of a provider has been answered.
    pub(super) fn answer(&self, provider: &str, lookup: KeyLookup) {
        if lookup == KeyLookup::Denied {
            let mut denied = self.denied.borrow_mut();
            denied.retain(|(other, _)| **other != *provider);
            denied.push((provider.into(), Instant::now()));
        }
        self.asked.borrow_mut().retain(|question| {
            let answered = *question.provider == *provider;
            if answered {
                question.lookup.set(lookup);
                question.answered.notify_waiters();
            }
            !answered
        });
    }

    /// The key was looked for and is not there: for a while nobody waits for it again.
    pub(super) fn missed(&self, wait: Wait) {
        self.remember(wait.missed);
    }

    /// A new snapshot may have any key.
    pub(super) fn forget_missed(&self) {
        self.missed.borrow_mut().clear();
    }

    fn remember(&self, missed: (ProviderId, Box<str>)) {
        let mut all = self.missed.borrow_mut();
        if all.len() >= MISSED_MAX {
            all.retain(|_, at| at.elapsed() < MISSED_FOR);
        }
        // A flood of made-up names is bounded by what may be parked and fetched; it is not worth
        // more memory.
        if all.len() < MISSED_MAX {
            all.insert(missed, Instant::now());
        }
    }

    fn is_denied(&self, provider: &str) -> bool {
        let denied = self.denied.borrow();
        denied.iter().any(|(other, at)| **other == *provider && at.elapsed() < DENIED_FOR)
    }

    /// Asks unless that has been done and not answered; says whether it asked.
    fn ask_once(&self, provider: &str, lacking: Generation) -> (Rc<Question>, bool) {
        let mut asked = self.asked.borrow_mut();
        if let Some(question) = asked.iter().find(|question| *question.provider == *provider) {
            return (Rc::clone(question), false);
        }
        let question = Rc::new(Question {
            provider: provider.into(),
            lookup: Cell::new(KeyLookup::Done),
            answered: Notify::new(),
        });
        asked.push(Rc::clone(&question));
        (self.ask)(provider, lacking);
        (question, true)
    }
}
