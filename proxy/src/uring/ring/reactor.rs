//! The ring of one thread: what is handed to the kernel, and what becomes of its answers.
//!
//! ```text
//!            submit                    completion                  poll
//!   (none) ----------> Waiting ----------------------> Done ----------------> (none)
//!                         |                              |  drop                ^
//!                         | drop, and a cancellation     +----------------------+
//!                         v                                                     |
//!                     Abandoned ---------- completion --------------------------+
//! ```
//!
//! An operation is a slot here from the moment that it is queued to its completion: the kernel's
//! answer finds it by its key. What the kernel may touch meanwhile belongs to the operation's future,
//! or, once that is dropped, to the slot; at the end of the reactor, what the kernel does not give
//! back in time belongs to nobody and is never freed.
//!
//! Completions are taken from the ring in [`Reactor::turn`] alone, and do nothing there but wake: no
//! task runs inside of another's operation.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::{self, MaybeUninit};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;

use super::operation::Lent;
use super::timers::Timers;

/// The key of what nobody waits for.
const UNWATCHED: u64 = u64::MAX;

/// Completions that are taken from the ring in one go.
const BATCH: usize = 64;

/// How long the end of a reactor waits for the kernel to give back what it was lent, and how often
/// it looks.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_STEP: Duration = Duration::from_millis(10);

/// How long to wait where the kernel can begin nothing, for want of memory: it would spin else.
const OUT_OF_MEMORY_PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    static CURRENT: RefCell<Option<Rc<Reactor>>> = const { RefCell::new(None) };
}

/// The ring and everything that is in flight on it.
pub(super) struct Reactor {
    ring: RefCell<IoUring>,
    /// What has found no room in the submission queue, in order.
    backlog: RefCell<VecDeque<squeue::Entry>>,
    slots: RefCell<Slab<Slot>>,
    /// Slots that the kernel has not answered for.
    in_flight: Cell<usize>,
    pub(super) timers: Timers,
    /// No completion is looked for any more.
    is_closed: Cell<bool>,
}

/// One operation.
enum Slot {
    /// In flight; who is woken, if somebody has asked.
    Waiting(Option<Waker>),
    /// Completed, with the kernel's answer.
    Done(i32),
    /// In flight, and its future is gone: what the kernel may still touch.
    Abandoned(Box<dyn Lent>),
    /// The clock of the [`Timers`], which reads this.
    Clock(#[expect(dead_code, reason = "the kernel reads it")] Box<types::Timespec>),
}

impl Reactor {
    fn new(ring: IoUring) -> Rc<Self> {
        Rc::new(Self {
            ring: RefCell::new(ring),
            backlog: RefCell::default(),
            slots: RefCell::default(),
            in_flight: Cell::new(0),
            timers: Timers::default(),
            is_closed: Cell::new(false),
        })
    }

    /// That of this thread.
    ///
    /// # Panics
    /// Outside of [`block_on`](super::block_on).
    pub(super) fn current() -> Rc<Self> {
        let current = CURRENT.with_borrow(|current| current.as_ref().map(Rc::clone));
        current.expect("operations are made inside of `block_on`")
    }

    /// Queues `entry` and gives the key of its slot.
    ///
    /// # Safety
    /// What `entry` points to stays in place and untouched by others until the slot is
    /// [done](Self::poll), or, handed over to [`Self::abandon`], as long as that keeps it.
    pub(super) unsafe fn begin(&self, entry: squeue::Entry) -> usize {
        self.in_flight.set(self.in_flight.get() + 1);
        let key = self.slots.borrow_mut().insert(Slot::Waiting(None));
        // SAFETY: the caller's promise.
        unsafe { self.push(entry.user_data(key as u64)) };
        key
    }

    /// Queues a cancellation. Its own answer (how many, or none) says nothing that those of the
    /// cancelled operations do not.
    pub(super) fn cancel(&self, request: types::CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(request).build().user_data(UNWATCHED);
        // SAFETY: the entry points to nothing.
        unsafe { self.push(entry.flags(squeue::Flags::SKIP_SUCCESS)) };
    }

    /// The kernel's answer, which ends the slot; or the task is woken when it is there.
    pub(super) fn poll(&self, key: usize, context: &Context<'_>) -> Poll<i32> {
        let mut slots = self.slots.borrow_mut();
        let replaced = match &mut slots[key] {
            Slot::Done(answer) => {
                let answer = *answer;
                slots.remove(key);
                return Poll::Ready(answer);
            }
            Slot::Waiting(Some(waker)) if waker.will_wake(context.waker()) => None,
            Slot::Waiting(waker) => waker.replace(context.waker().clone()),
            Slot::Abandoned(_) | Slot::Clock(_) => None,
        };
        // What goes with a waker may be operations, too.
        drop(slots);
        drop(replaced);
        Poll::Pending
    }

    /// Takes over what an operation owned whose future is dropped, and cancels it if it is in flight.
    pub(super) fn abandon(&self, key: usize, owned: impl Lent) {
        let mut slots = self.slots.borrow_mut();
        if let Slot::Done(answer) = slots[key] {
            slots.remove(key);
            drop(slots);
            return owned.unclaimed(answer);
        }
        if self.is_closed.get() {
            // Nobody will ever know when the kernel is done with it.
            return mem::forget(owned);
        }
        let before = mem::replace(&mut slots[key], Slot::Abandoned(Box::new(owned)));
        drop(slots);
        drop(before);
        // It is queued in front of whatever may get this key next.
        self.cancel(types::CancelBuilder::user_data(key as u64));
    }

    /// # Safety
    /// As of [`Self::begin`].
    unsafe fn push(&self, entry: squeue::Entry) {
        let mut backlog = self.backlog.borrow_mut();
        if !backlog.is_empty() {
            return backlog.push_back(entry);
        }
        let mut ring = self.ring.borrow_mut();
        // SAFETY: the caller's promise.
        if unsafe { ring.submission().push(&entry) }.is_ok() {
            return;
        }
        // Full. What fails here fails at the turn as well, which says what is to be done.
        let _ = ring.submit();
        // SAFETY: the caller's promise.
        if unsafe { ring.submission().push(&entry) }.is_err() {
            backlog.push_back(entry);
        }
    }

    /// Hands to the kernel what is queued, waits for a completion if `waits`, and takes all
    /// completions that there are.
    pub(super) fn turn(&self, waits: bool) {
        self.set_clock();
        let could_enter = self.enter(waits);
        if self.reap() == 0 && !could_enter && waits {
            thread::sleep(OUT_OF_MEMORY_PAUSE);
        }
    }

    /// Lets the kernel wake this thread when the first of the timers is due.
    fn set_clock(&self) {
        let Some(left) = self.timers.to_be_set() else { return };
        let time = Box::new(types::Timespec::from(left));
        let entry = opcode::Timeout::new(&raw const *time).build();
        self.in_flight.set(self.in_flight.get() + 1);
        let key = self.slots.borrow_mut().insert(Slot::Clock(time));
        // SAFETY: the kernel reads the time, which the slot owns until the completion.
        unsafe { self.push(entry.user_data(key as u64)) };
    }

    /// Enters the kernel, if there is a reason to. False where it can begin nothing now.
    fn enter(&self, waits: bool) -> bool {
        loop {
            let has_more = self.refill();
            if !waits && !has_more && !self.has_work() {
                return true;
            }
            let wanted = usize::from(waits && !has_more);
            match self.ring.borrow().submit_and_wait(wanted) {
                Ok(_) if has_more => {}
                Ok(_) => return true,
                Err(error) => match error.raw_os_error() {
                    // A signal, which is another thread's business.
                    Some(libc::EINTR) => return true,
                    // No memory for more, or first the completions that there are want to be taken.
                    Some(libc::EAGAIN | libc::EBUSY) => return false,
                    // Nothing that this program does right; it cannot go on without its ring.
                    _ => panic!("io_uring_enter: {error}"),
                },
            }
        }
    }

    /// Moves what waits for room into the submission queue; says whether some still does.
    fn refill(&self) -> bool {
        let mut backlog = self.backlog.borrow_mut();
        if backlog.is_empty() {
            return false;
        }
        let mut ring = self.ring.borrow_mut();
        let mut queue = ring.submission();
        while let Some(entry) = backlog.front() {
            // SAFETY: promised when it was put here, until its completion.
            if unsafe { queue.push(entry) }.is_err() {
                return true;
            }
            backlog.pop_front();
        }
        false
    }

    /// Whether the kernel has something to take or to give.
    fn has_work(&self) -> bool {
        let mut ring = self.ring.borrow_mut();
        let queue = ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Takes all completions and says how many there were.
    fn reap(&self) -> usize {
        let mut taken = 0;
        let mut batch = [const { MaybeUninit::<cqueue::Entry>::uninit() }; BATCH];
        loop {
            let completions = self.ring.borrow_mut().completion().fill(&mut batch);
            taken += completions.len();
            for completion in &*completions {
                self.complete(completion.user_data(), completion.result());
            }
            if completions.len() < BATCH {
                return taken;
            }
        }
    }

    fn complete(&self, key: u64, answer: i32) {
        if key == UNWATCHED {
            return;
        }
        // A key is a usize that was made a u64.
        let Ok(key) = usize::try_from(key) else { return };
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(key) else { return };
        self.in_flight.set(self.in_flight.get() - 1);
        match mem::replace(slot, Slot::Done(answer)) {
            Slot::Waiting(waker) => {
                drop(slots);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Slot::Abandoned(owned) => {
                slots.remove(key);
                drop(slots);
                owned.unclaimed(answer);
            }
            Slot::Clock(_) => {
                slots.remove(key);
                drop(slots);
                self.timers.ring(Instant::now());
            }
            Slot::Done(_) => debug_assert!(false, "an operation completed twice"),
        }
    }

    /// Cancels everything and waits a while for the kernel to give back what it was lent.
    fn close(&self) {
        self.cancel(types::CancelBuilder::any().all());
        let step = types::Timespec::from(FAREWELL_STEP);
        let patience = types::SubmitArgs::new().timespec(&step);
        let until = Instant::now() + FAREWELL;
        while self.in_flight.get() > 0 && Instant::now() < until {
            self.refill();
            let entered = self.ring.borrow().submitter().submit_with_args(1, &patience);
            if self.reap() == 0 && entered.is_err() {
                thread::sleep(OUT_OF_MEMORY_PAUSE);
            }
        }
        self.is_closed.set(true);
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            // The ring goes, and with it any word of when the kernel is done.
            if matches!(slot, Slot::Abandoned(_)) {
                mem::forget(mem::replace(slot, Slot::Waiting(None)));
            }
        }
    }
}

/// The reactor of this thread, up to the end of this.
pub(super) struct Installed(Rc<Reactor>);

impl Installed {
    /// # Panics
    /// Where there is one already.
    pub(super) fn new(ring: IoUring) -> Self {
        let reactor = Reactor::new(ring);
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "one `block_on` a thread");
            *current = Some(Rc::clone(&reactor));
        });
        Self(reactor)
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.0
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.0.close();
        CURRENT.take();
    }
}

#[cfg(test)]
#[cfg(not(feature = "simulation"))]
mod tests;
