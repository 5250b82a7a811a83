//! The event loop of one thread: tasks, and the ring between them.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use io_uring::IoUring;
use tokio::task::LocalSet;

use super::reactor::Installed;
use super::setup::{self, Queues, StartError};
use super::waker::Woken;
use super::{Event, event};

/// Runs `future` to its end on a new ring of this thread, and beside it the tasks that it or they
/// spawn with [`tokio::task::spawn_local`]. Those that are left then are dropped.
///
/// No runtime of tokio is there: its tasks and its channels work, its I/O and its time do not.
///
/// # Errors
/// When the kernel gives no ring; `future` has not run then.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, StartError> {
    run(setup::ring(Queues::WORKER)?, future)
}

/// As [`block_on`], on this ring.
pub(super) fn run<F: Future>(ring: IoUring, future: F) -> Result<F::Output, StartError> {
    // The first to be made and the last to go: what the tasks have in flight ends with it.
    let installed = Installed::new(ring);
    let (bell, rung) = event()?;
    let woken = Woken::new(bell);
    let waker = Waker::from(woken.clone());
    let tasks = LocalSet::new();
    // The bell itself does nothing but end a wait in the kernel.
    tasks.spawn_local(async move {
        let event = Event::new(rung);
        while event.wait().await.is_ok() {}
    });
    let mut running = pin!(tasks.run_until(future));
    loop {
        woken.clear();
        // A bounded number of tasks: some that are ready may be left.
        if let Poll::Ready(output) = running.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        // Also while tasks are ready: what they queue is not to wait for the last of them, nor what
        // has completed meanwhile.
        installed.reactor().turn(!woken.is_set());
    }
}
