//! The one place where a test waits: for a condition with a deadline, or to be a slow peer.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: it is reached by failures only.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks at a condition until it gives a value.
///
/// # Panics
/// When it has not within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait(condition).unwrap_or_else(|| panic!("gave up after {PATIENCE:?} waiting for {what}"))
}

/// As [`wait_until`], for a caller that has more to say about a failure.
pub fn wait<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What another thread of the test tells, before the test gives up.
#[track_caller]
pub fn told<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("word from the other side")
}

/// Lets time pass: for a peer whose slowness is what the test is about, never to wait for the
/// gateway.
pub fn pace(pause: Duration) {
    std::thread::sleep(pause);
}
