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
use crate::snapshot::deny_list::DenyList;
use crate::snapshot::key_set::KeySet;

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
        if self.is_due(now) {
            self.look(snapshot, now);
        }
    }

    /// Whether it is another second than at the last look: an earlier one where the clock was set
    /// back.
    fn is_due(&self, now: UnixTime) -> bool {
        self.looked_at.replace(Some(now)) != Some(now)
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
        let provider = snapshot.providers.iter().find(|one| one.name == self.provider);
        // A provider that is gone, or whose keys are, says nothing about this one.
        let keys = provider.and_then(|provider| provider.keys.as_deref());
        self.pull_if(end(&self.token, keys, &snapshot.deny_list, now));
    }

    /// The first cause stays, whatever a clock that is set back says later.
    fn pull_if(&self, cause: Option<Cause>) {
        if self.pulled.get().is_none() && cause.is_some() {
            self.pulled.set(cause);
            self.notice.notify_one();
        }
    }
}

/// Why a token would not be believed any more at this time, if there is a reason.
fn end(
    token: &VerifiedToken,
    keys: Option<&KeySet>,
    deny_list: &DenyList,
    now: UnixTime,
) -> Option<Cause> {
    if token.ends_at().is_some_and(|at| now >= at) {
        Some(Cause::Expired)
    } else if token.is_revoked(deny_list, now)
        || keys.is_some_and(|keys| !token.is_signed_by_one_of(keys))
    {
        Some(Cause::Revoked)
    } else {
        None
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::tests::{Gateway, Key, NOW, claims, header, with};

    /// A token that expires 600 s after `NOW`.
    fn token() -> Rc<VerifiedToken> {
        let claims = with(claims(), json!({ "iat": NOW, "nbf": NOW }));
        Gateway::new().judge(&Key::of_seed(1).sign(&header(), &claims)).unwrap()
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime(NOW + seconds)
    }

    #[test]
    fn c11_a_clock_that_jumps_ends_a_stream_by_what_it_says() {
        let token = token();
        let end = |seconds| end(&token, None, &DenyList::default(), at(seconds));
        assert_eq!((end(0), end(599), end(600)), (None, None, Some(Cause::Expired)));
        assert_eq!(end(100_000_000), Some(Cause::Expired), "jumped forward");
        // Before the token was issued: it was good when the stream began, and has not ended.
        assert_eq!(end(-100_000_000), None, "jumped back");
    }

    #[test]
    fn c11_every_second_that_the_clock_shows_is_looked_at() {
        let leashes = Leashes::default();
        let due = [0, 0, 1, 100_000_000, -100_000_000, -100_000_000, -99_999_999, 0]
            .map(|seconds| leashes.is_due(at(seconds)));
        assert_eq!(due, [true, false, true, true, true, false, true, true]);
    }

    #[test]
    fn c11_a_clock_that_is_set_back_takes_nothing_back() {
        let leash = Leash {
            token: token(),
            provider: "p".into(),
            pulled: Cell::new(None),
            notice: Notify::new(),
        };
        for seconds in [0, 100_000_000, 0] {
            leash.pull_if(end(&leash.token, None, &DenyList::default(), at(seconds)));
        }
        assert_eq!(leash.pulled.get(), Some(Cause::Expired));
    }
}
