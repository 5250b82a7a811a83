//! The kernel's flows of one worker: who waits for what, and how much memory they may take.
//!
//! A flow goes on without the worker, so the worker looks at it: at its counters, which are memory
//! that the kernel writes, once a [`TICK`]; and where they say so at its sockets.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::kernel::{Flow, Off, Splice};
use crate::uring::wheel::TICK;
use crate::uring::{self, Stream};

/// How far a flow may run ahead of its sink, in bytes that are kernel memory: for one, and for all
/// of a worker, which they share.
const CREDIT_MAX: u64 = 4 << 20;
const CREDIT_MIN: u64 = 128 << 10;
const CREDIT_OF_ALL: u64 = 1 << 30;

/// A flow gets new credit when this part of it is used up.
const REFRESH_PART: u64 = 4;

/// Ticks between two looks at a flow that makes no use of its credit.
const TICKS_PER_ROUND: u32 = 5;

/// The splicing of one worker.
#[derive(Clone)]
pub struct Splicer(Rc<Inner>);

struct Inner {
    splice: RefCell<Splice>,
    flows: RefCell<Slab<Rc<Watched>>>,
    is_watching: Cell<bool>,
    joined: Cell<u64>,
}

/// A flow as the worker keeps track of it.
pub(super) struct Watched {
    flow: Flow,
    /// At the last look of whoever asks [`Watched::has_moved`].
    seen: Cell<u64>,
    /// At the last round.
    seen_in_round: Cell<u64>,
    /// Has its owner look when as much as this is forwarded.
    look_at: Cell<u64>,
    /// Whether its owner wants to look at every round: the sink takes its time.
    is_late: Cell<bool>,
    is_due: Cell<bool>,
    owner: RefCell<Option<Waker>>,
}

/// A flow that is on; over with its drop.
pub(super) struct Joined {
    watched: Rc<Watched>,
    /// What had arrived at the source, and was read, when the flow began.
    received_before: u64,
    key: usize,
    splicer: Splicer,
}

impl Splicer {
    /// Of a worker with this program.
    #[must_use]
    pub fn new(splice: Splice) -> Self {
        Self(Rc::new(Inner {
            splice: RefCell::new(splice),
            flows: RefCell::default(),
            is_watching: Cell::new(false),
            joined: Cell::new(0),
        }))
    }

    /// Flows that were ever on.
    #[must_use]
    pub fn joined(&self) -> u64 {
        self.0.joined.get()
    }

    /// Lets the kernel move what comes from now on. `received_before` has arrived at the source and
    /// was read, as all that has arrived since.
    pub(super) fn join(
        &self,
        source: &Stream,
        sink: &Stream,
        received_before: u64,
    ) -> Result<Joined, Off> {
        let credit = self.credit();
        let flow = self.0.splice.borrow_mut().join(&source.as_fd(), &sink.as_fd(), credit)?;
        let watched = Rc::new(Watched {
            flow,
            seen: Cell::new(0),
            seen_in_round: Cell::new(0),
            look_at: Cell::new(credit / REFRESH_PART),
            is_late: Cell::new(false),
            is_due: Cell::new(false),
            owner: RefCell::default(),
        });
        let key = self.0.flows.borrow_mut().insert(Rc::clone(&watched));
        self.0.joined.set(self.0.joined.get() + 1);
        if !self.0.is_watching.replace(true) {
            tokio::task::spawn_local(watch(Rc::clone(&self.0)));
        }
        Ok(Joined { watched, received_before, key, splicer: self.clone() })
    }

    fn credit(&self) -> u64 {
        let flows = self.0.flows.borrow().len() as u64;
        (CREDIT_OF_ALL / flows.max(1)).clamp(CREDIT_MIN, CREDIT_MAX)
    }
}

impl fmt::Debug for Splicer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Splicer({} flows)", self.0.flows.borrow().len())
    }
}

/// Bytes that have arrived at a socket.
///
/// # Errors
/// It is no TCP socket.
pub(super) fn received(source: &Stream) -> io::Result<u64> {
    Flow::received(&source.as_fd())
}

/// Tells the owners when to look, as long as there are flows.
async fn watch(inner: Rc<Inner>) {
    let mut ticks = 0;
    while !inner.flows.borrow().is_empty() {
        uring::sleep(TICK).await;
        ticks = (ticks + 1) % TICKS_PER_ROUND;
        for (_, watched) in inner.flows.borrow().iter() {
            watched.tick(ticks == 0);
        }
    }
    inner.is_watching.set(false);
}

impl Watched {
    /// Whether anything was forwarded since this was last asked.
    pub(super) fn has_moved(&self) -> bool {
        let forwarded = self.flow.forwarded();
        self.seen.replace(forwarded) != forwarded
    }

    fn tick(&self, is_round: bool) {
        let forwarded = self.flow.forwarded();
        let is_over = self.flow.is_returned() || self.flow.is_broken();
        let is_due = forwarded >= self.look_at.get() || is_over;
        let has_moved = is_round && self.seen_in_round.replace(forwarded) != forwarded;
        if is_due || has_moved || is_round && self.is_late.get() {
            self.is_due.set(true);
            if let Some(owner) = self.owner.take() {
                owner.wake();
            }
        }
    }
}

impl Joined {
    /// For whoever wants to know whether it moves; gone with the flow.
    pub(super) fn watched(&self) -> Weak<Watched> {
        Rc::downgrade(&self.watched)
    }

    /// Whether it is time for a look; if not, the task is woken when it is.
    pub(super) fn poll_due(&self, context: &Context<'_>) -> Poll<()> {
        if self.watched.is_due.take() {
            return Poll::Ready(());
        }
        *self.watched.owner.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }

    /// Bytes that the kernel has taken from the source.
    pub(super) fn forwarded(&self) -> u64 {
        self.watched.flow.forwarded()
    }

    /// Whether the kernel has given the source back.
    pub(super) fn is_returned(&self) -> bool {
        self.watched.flow.is_returned()
    }

    /// Bytes that are in the sink's send queue or further, and whether these are all that were
    /// forwarded. Gives new credit.
    ///
    /// # Errors
    /// As the kernel has them.
    pub(super) fn look(&self, sink: &Stream) -> io::Result<(u64, bool)> {
        let flow = &self.watched.flow;
        let forwarded = flow.forwarded();
        // The end of the stream counts as a byte of the sink's.
        let handed_over = flow.handed_over(&sink.as_fd())?.min(forwarded);
        let credit = self.splicer.credit();
        flow.set_credit(handed_over + credit);
        self.watched.look_at.set(forwarded + credit / REFRESH_PART);
        let is_all = handed_over >= forwarded;
        self.watched.is_late.set(!is_all);
        Ok((handed_over, is_all))
    }

    /// Whether the kernel cannot go on, nor anybody else: something that came is lost.
    pub(super) fn is_broken(&self) -> bool {
        self.watched.flow.is_broken()
    }

    /// Bytes that have arrived at the source since the flow began, at the end of its stream, which
    /// counts as one.
    ///
    /// # Errors
    /// As the kernel has them.
    pub(super) fn arrived(&self, source: &Stream) -> io::Result<u64> {
        Ok(received(source)?.saturating_sub(self.received_before).saturating_sub(1))
    }

    /// Lets the kernel finish with what has arrived at the source: after its end, or once it is
    /// given back, the counters are final.
    ///
    /// # Errors
    /// As the kernel has them.
    pub(super) fn settle(&self, source: &Stream) -> io::Result<()> {
        received(source).map(drop)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.splicer.0.flows.borrow_mut().remove(self.key);
        self.splicer.0.splice.borrow_mut().part(&self.watched.flow);
    }
}
