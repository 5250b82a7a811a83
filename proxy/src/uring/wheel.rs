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

use super::backend::cancel_all;

/// The step of the wheel. A deadline passes up to two steps late, never early.
pub const TICK: Duration = Duration::from_millis(20);

/// Buckets: about ten seconds ahead. A deadline further out is looked at once a revolution.
const BUCKETS: u64 = 512;

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// No slot, as a key.
const NONE: usize = usize::MAX;

/// The deadlines of one worker.
pub struct Wheel {
    now: Cell<u64>,
    state: RefCell<State>,
}

/// The slots, and for each bucket the first of those that it holds. A bucket is a list through its
/// slots: scheduling takes no memory beyond the slot's own.
struct State {
    slots: Slab<Slot>,
    first: Vec<usize>,
}

struct Slot {
    fd: RawFd,
    /// The tick at which it passes.
    due: u64,
    /// The tick of the bucket that holds it, or [`NEVER`] where none does.
    scheduled: u64,
    /// Its neighbours in the bucket, or [`NONE`]; meaningless where none holds it.
    previous: usize,
    next: usize,
    expired: bool,
}

impl Wheel {
    /// A wheel at tick 0. Whoever makes it calls [`Self::advance`] once every [`TICK`].
    #[must_use]
    pub fn new() -> Rc<Self> {
        let state = State { slots: Slab::new(), first: (0..BUCKETS).map(|_| NONE).collect() };
        Rc::new(Self { now: Cell::new(0), state: RefCell::new(state) })
    }

    /// A deadline for the descriptor, disarmed.
    pub(super) fn deadline(wheel: &Rc<Self>, fd: RawFd) -> Deadline {
        let slot =
            Slot { fd, due: NEVER, scheduled: NEVER, previous: NONE, next: NONE, expired: false };
        Deadline { key: wheel.state.borrow_mut().slots.insert(slot), wheel: Rc::clone(wheel) }
    }

    /// Moves on by one tick and expires what is due.
    pub fn advance(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        let mut state = self.state.borrow_mut();
        // Nothing is put into this very bucket meanwhile, as scheduling is always at least one tick
        // and less than a turn ahead.
        let mut key = std::mem::replace(&mut state.first[bucket(now)], NONE);
        while key != NONE {
            let slot = &mut state.slots[key];
            let next = slot.next;
            slot.scheduled = NEVER;
            if slot.due <= now {
                slot.due = NEVER;
                slot.expire();
            } else if slot.due != NEVER {
                state.schedule(key, now);
            }
            key = next;
        }
    }

    /// Expires every deadline at once, armed or not: the end of a drain.
    pub fn expire_all(&self) {
        for (_, slot) in self.state.borrow_mut().slots.iter_mut() {
            slot.expire();
        }
    }
}

/// The place of the tick's bucket: less than [`BUCKETS`], which fits any usize.
fn bucket(tick: u64) -> usize {
    usize::try_from(tick % BUCKETS).unwrap_or_default()
}

impl State {
    /// Puts a slot that no bucket holds into the one of the tick when it passes, or into the
    /// furthest.
    fn schedule(&mut self, key: usize, now: u64) {
        let slot = &mut self.slots[key];
        slot.scheduled = slot.due.min(now + BUCKETS - 1);
        slot.previous = NONE;
        let first = &mut self.first[bucket(slot.scheduled)];
        slot.next = std::mem::replace(first, key);
        let next = slot.next;
        if next != NONE {
            self.slots[next].previous = key;
        }
    }

    /// Takes a slot out of the bucket that holds it, if one does.
    fn unschedule(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        if slot.scheduled == NEVER {
            return;
        }
        let place = bucket(slot.scheduled);
        slot.scheduled = NEVER;
        let (previous, next) = (slot.previous, slot.next);
        match previous {
            NONE => self.first[place] = next,
            previous => self.slots[previous].next = next,
        }
        if next != NONE {
            self.slots[next].previous = previous;
        }
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
        write!(f, "Wheel({} deadlines at tick {})", self.state.borrow().slots.len(), self.now.get())
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
        let mut state = self.wheel.state.borrow_mut();
        let slot = &mut state.slots[self.key];
        slot.expired = false;
        slot.due = now + ticks + 1;
        if slot.due < slot.scheduled {
            state.unschedule(self.key);
            state.schedule(self.key, now);
        }
    }

    pub(super) fn disarm(&self) {
        let mut state = self.wheel.state.borrow_mut();
        let slot = &mut state.slots[self.key];
        slot.expired = false;
        slot.due = NEVER;
    }

    pub(super) fn expired(&self) -> bool {
        self.wheel.state.borrow().slots[self.key].expired
    }

    /// For an operation that outlives the call which made it.
    pub(super) fn watch(&self) -> Watch {
        Watch { wheel: Rc::clone(&self.wheel), key: self.key }
    }
}

/// A look at a deadline that belongs to somebody else. What it tells means nothing once that one is
/// gone.
#[derive(Debug)]
pub(super) struct Watch {
    wheel: Rc<Wheel>,
    key: usize,
}

impl Watch {
    pub(super) fn expired(&self) -> bool {
        self.wheel.state.borrow().slots.get(self.key).is_none_or(|slot| slot.expired)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let mut state = self.wheel.state.borrow_mut();
        state.unschedule(self.key);
        state.slots.remove(self.key);
    }
}
