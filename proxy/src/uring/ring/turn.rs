//! A turn of the event loop: everything that is ready now, and what is queued for the kernel.

use io_uring::opcode;

use super::submit;

/// Waits for the next turn: until the tasks that are ready have run, what they queued has gone to
/// the kernel, and what completed meanwhile has been seen. A task that only yields would come back
/// without any of that.
pub async fn turn() {
    // It asks nothing of the kernel, so there is nothing that it could answer but 0.
    // SAFETY: the entry points to nothing.
    let _ = unsafe { submit((), opcode::Nop::new().build()) }.await;
}
