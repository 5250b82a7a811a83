//! Deadlines: one coarse timer wheel a worker instead of one kernel timer an operation.
//!
//! A socket has two deadlines, one a direction. Arming writes the tick at which it passes into the socket's slot;
//! the slot is *scheduled* in a bucket no later than that tick. When the wheel comes to the bucket
//! it looks at the slot: armed for later means scheduled again, so pushing a deadline out (with
//! every read, every send) touches no list. Passing marks the slot and cancels what is in flight on
//! the descriptor.
//!
//! ```text
//!            arm                    tick reaches it
//! disarmed ------> armed (tick) ---------------------> expired
//!     ^              |  ^ arm: other tick                 |
//!     |    disarm    |  |                                 | arm / disarm
//!     +--------------+  +---------------------------------+
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use super::cancel_all;

/// The step of the wheel. A deadline passes up to two steps late, never early.
pub const TICK: Duration = Duration::from_millis(20);

/// Buckets: about ten seconds ahead. A deadline further out is looked at once a revolution.
const BUCKETS: u64 = 512;

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// The deadlines of one worker.
pub struct Wheel {
    now: Cell<u64>,
    slots: RefCell<Slab<Slot>>,
    buckets: Vec<RefCell<Vec<usize>>>,
}

struct Slot {
    fd: RawFd,
    /// The tick at which it passes.
    due: u64,
    /// The tick of the bucket that holds it, or [`NEVER`] where none does.
    scheduled: u64,
    expired: bool,
}

impl Wheel {
    /// A wheel at tick 0. Whoever makes it calls [`Self::advance`] once every [`TICK`].
    #[must_use]
    pub fn new() -> Rc<Self> {
        let buckets = (0..BUCKETS).map(|_| RefCell::default()).collect();
        Rc::new(Self { now: Cell::new(0), slots: RefCell::default(), buckets })
    }

    /// A deadline for the descriptor, disarmed.
    pub(super) fn deadline(wheel: &Rc<Self>, fd: RawFd) -> Deadline {
        let slot = Slot { fd, due: NEVER, scheduled: NEVER, expired: false };
        Deadline { key: wheel.slots.borrow_mut().insert(slot), wheel: Rc::clone(wheel) }
    }

    /// Moves on by one tick and expires what is due.
    pub fn advance(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        // Taken out and put back, so that its memory is kept: nothing is scheduled for this very
        // bucket meanwhile, as scheduling is always at least one tick and less than a turn ahead.
        let mut bucket = self.bucket(now).take();
        for key in bucket.drain(..) {
            self.visit(key, now);
        }
        self.bucket(now).replace(bucket);
    }

    /// Expires every deadline at once, armed or not: the end of a drain.
    pub fn expire_all(&self) {
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            slot.expire();
        }
    }

    fn bucket(&self, tick: u64) -> &RefCell<Vec<usize>> {
        // Less than BUCKETS, which fits any usize.
        &self.buckets[usize::try_from(tick % BUCKETS).unwrap_or_default()]
    }

    fn visit(&self, key: usize, now: u64) {
        let mut slots = self.slots.borrow_mut();
        // Gone, or scheduled elsewhere since (an earlier deadline was armed): not this bucket's.
        let Some(slot) = slots.get_mut(key).filter(|slot| slot.scheduled == now) else { return };
        slot.scheduled = NEVER;
        if slot.due <= now {
            slot.due = NEVER;
            slot.expire();
        } else if slot.due != NEVER {
            self.schedule(slot, key, now);
        }
    }

    fn schedule(&self, slot: &mut Slot, key: usize, now: u64) {
        slot.scheduled = slot.due.min(now + BUCKETS - 1);
        self.bucket(slot.scheduled).borrow_mut().push(key);
    }
}

impl Slot {
    fn expire(&mut self) {
        self.expired = true;
        cancel_all(self.fd);
    }
}

impl fmt::Debug for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wheel({} deadlines at tick {})", self.slots.borrow().len(), self.now.get())
    }
}

/// The deadline of one socket; gone with it.
#[derive(Debug)]
pub(super) struct Deadline {
    wheel: Rc<Wheel>,
    key: usize,
}

impl Deadline {
    pub(super) fn arm(&self, limit: Duration) {
        // Rounded up, and one more because the current tick is partly over.
        let ticks = limit.as_nanos().div_ceil(TICK.as_nanos());
        let ticks = u64::try_from(ticks).unwrap_or(u64::MAX / 2).min(u64::MAX / 2);
        let now = self.wheel.now.get();
        let mut slots = self.wheel.slots.borrow_mut();
        let slot = &mut slots[self.key];
        slot.expired = false;
        slot.due = now + ticks + 1;
        if slot.due < slot.scheduled {
            self.wheel.schedule(slot, self.key, now);
        }
    }

    pub(super) fn disarm(&self) {
        let mut slots = self.wheel.slots.borrow_mut();
        let slot = &mut slots[self.key];
        slot.expired = false;
        slot.due = NEVER;
    }

    pub(super) fn expired(&self) -> bool {
        self.wheel.slots.borrow()[self.key].expired
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.wheel.slots.borrow_mut().remove(self.key);
    }
}
