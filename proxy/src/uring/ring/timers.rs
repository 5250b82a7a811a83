//! Time: who is to be woken when, by one timeout of the ring for whoever is first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::reactor::Reactor;

/// Longer than anything is waited for; what cannot be added to a time is as good as this.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The sleepers of one thread. They are few: the deadlines of sockets are in a
/// [wheel](crate::uring::wheel).
#[derive(Default)]
pub(super) struct Timers {
    /// By time and, for those of one time, a number.
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    numbers: Cell<u64>,
    /// When the timeouts in flight are over. Each is set because it is before all others, so the last
    /// one is over first.
    set: RefCell<Vec<Instant>>,
}

impl Timers {
    /// How long it is to the first sleeper's time, where no timeout is in flight that is over by
    /// then: one is now.
    pub(super) fn to_be_set(&self) -> Option<Duration> {
        let first = self.sleepers.borrow().first_key_value().map(|((at, _), _)| *at)?;
        let mut set = self.set.borrow_mut();
        if set.last().is_some_and(|last| *last <= first) {
            return None;
        }
        set.push(first);
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// A timeout is over: wakes those whose time has come.
    pub(super) fn ring(&self, now: Instant) {
        self.set.borrow_mut().pop();
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            let Some(first) = sleepers.first_entry().filter(|first| first.key().0 <= now) else {
                return;
            };
            let waker = first.remove();
            drop(sleepers);
            waker.wake();
        }
    }

    fn wake_at(&self, key: (Instant, u64), waker: &Waker) {
        let replaced = self.sleepers.borrow_mut().insert(key, waker.clone());
        drop(replaced);
    }

    fn forget(&self, key: (Instant, u64)) {
        let waker = self.sleepers.borrow_mut().remove(&key);
        drop(waker);
    }
}

/// A wait for a time.
pub struct Sleep {
    reactor: Rc<Reactor>,
    key: (Instant, u64),
}

/// Waits for so long, never shorter.
pub fn sleep(time: Duration) -> Sleep {
    let reactor = Reactor::current();
    let now = Instant::now();
    let at = now.checked_add(time).unwrap_or_else(|| now + FAR);
    let number = reactor.timers.numbers.get();
    reactor.timers.numbers.set(number.wrapping_add(1));
    Sleep { reactor, key: (at, number) }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (at, _) = self.key;
        if Instant::now() >= at {
            return Poll::Ready(());
        }
        self.reactor.timers.wake_at(self.key, context.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.reactor.timers.forget(self.key);
    }
}
