//! Streams that end with the token that opened them: at its end, or when it is revoked or its key is
//! taken away.
//!
//! Each stream of this kind has a leash. All of a worker are looked at once a second, by the clock
//! that tokens are dated by, so that a clock that jumps makes none immortal; and at each new
//! snapshot.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

use slab::Slab;
use tokio::sync::Notify;

use super::core::{Core, unix_time};
use super::reason::Gate;
use crate::auth::{UnixTime, VerifiedToken};
use crate::snapshot::Snapshot;

/// Why a stream ends with its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Expired,
    Revoked,
}

impl Cause {
    pub(super) fn gate(self) -> Gate {
        match self {
            Self::Expired => Gate::TokenExpired,
            Self::Revoked => Gate::TokenRevoked,
        }
    }

    /// What the peers of a WebSocket are told.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Expired => "token expired",
            Self::Revoked => "token revoked",
        }
    }
}

/// The leashes of one worker.
#[derive(Default)]
pub(super) struct Leashes {
    all: RefCell<Slab<Rc<Leash>>>,
    looked_at: Cell<Option<UnixTime>>,
}

struct Leash {
    token: Rc<VerifiedToken>,
    /// The name of the token's provider: its id is one of an older snapshot.
    provider: Box<str>,
    pulled: Cell<Option<Cause>>,
    notice: Notify,
}

impl Leashes {
    /// Looks at all, if it has not in this second.
    pub(super) fn tick(&self, snapshot: &Snapshot, now: UnixTime) {
        if self.looked_at.replace(Some(now)) != Some(now) {
            self.look(snapshot, now);
        }
    }

    /// Pulls those whose token would not be believed any more.
    pub(super) fn look(&self, snapshot: &Snapshot, now: UnixTime) {
        for (_, leash) in self.all.borrow().iter() {
            leash.look(snapshot, now);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.borrow().is_empty()
    }
}

impl Leash {
    fn look(&self, snapshot: &Snapshot, now: UnixTime) {
        if self.pulled.get().is_some() {
            return;
        }
        let provider = snapshot.providers.iter().find(|one| one.name == self.provider);
        // A provider that is gone, or whose keys are, says nothing about this one.
        let keys = provider.and_then(|provider| provider.keys.as_ref());
        let cause = if self.token.ends_at().is_some_and(|at| now >= at) {
            Cause::Expired
        } else if self.token.is_revoked(&snapshot.deny_list, now)
            || keys.is_some_and(|keys| !self.token.is_signed_by_one_of(keys))
        {
            Cause::Revoked
        } else {
            return;
        };
        self.pulled.set(Some(cause));
        self.notice.notify_one();
    }
}

/// A stream's own end of its leash; gone with the stream.
pub(super) struct Held {
    core: Rc<Core>,
    key: usize,
    leash: Rc<Leash>,
}

impl Held {
    /// Of a stream that this token opens; `provider` is the name of the token's.
    pub(super) fn new(core: &Rc<Core>, token: &Rc<VerifiedToken>, provider: &str) -> Self {
        let leash = Rc::new(Leash {
            token: Rc::clone(token),
            provider: provider.into(),
            pulled: Cell::new(None),
            notice: Notify::new(),
        });
        // The snapshot may be another than the one that the request was judged by.
        leash.look(&core.live().snapshot, unix_time(SystemTime::now()));
        let key = core.leashes.all.borrow_mut().insert(Rc::clone(&leash));
        Self { core: Rc::clone(core), key, leash }
    }

    /// Waits until it is pulled. Holds nothing in flight.
    pub(super) async fn pulled(&self) -> Cause {
        loop {
            if let Some(cause) = self.cause() {
                return cause;
            }
            self.leash.notice.notified().await;
        }
    }

    /// Why it was pulled, if it was.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.leash.pulled.get()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.core.leashes.all.borrow_mut().remove(self.key);
    }
}
