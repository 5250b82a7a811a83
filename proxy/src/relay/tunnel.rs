//! A tunnel: bytes both ways between two connections until both sides are done.
//!
//! Half-closing is passed on: the end of one direction shuts down the other side's sending and
//! leaves the other direction open. An idle tunnel holds no buffer.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Pools;
use crate::uring::Stream;

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides said that they were done.
    Closed,
    /// Nothing moved for the idle time.
    Idle,
    /// One side failed.
    Failed,
}

/// Copies both ways until both sides are done, one fails, or nothing moves for `idle`. `to_left`
/// and `to_right` count the bytes.
pub async fn tunnel(
    left: &Stream,
    right: &Stream,
    pools: Pools<'_>,
    idle: Duration,
    to_left: &Cell<u64>,
    to_right: &Cell<u64>,
) -> TunnelEnd {
    let moved = Cell::new(Instant::now());
    let mut rightward = pin!(one_way(left, right, pools, idle, &moved, to_right));
    let mut leftward = pin!(one_way(right, left, pools, idle, &moved, to_left));
    let mut quiet = pin!(quiet_for(idle, &moved));
    let (mut rightward_end, mut leftward_end) = (None, None);
    let mut cut = None;
    poll_fn(|context| {
        if rightward_end.is_none()
            && let Poll::Ready(end) = rightward.as_mut().poll(context)
        {
            rightward_end = Some(end);
        }
        if leftward_end.is_none()
            && let Poll::Ready(end) = leftward.as_mut().poll(context)
        {
            leftward_end = Some(end);
        }
        if cut.is_none() {
            let failed = [rightward_end, leftward_end].contains(&Some(TunnelEnd::Failed));
            cut = if failed {
                Some(TunnelEnd::Failed)
            } else {
                quiet.as_mut().poll(context).is_ready().then_some(TunnelEnd::Idle)
            };
            if cut.is_some() {
                // Whatever a direction does or does next, ends at once.
                left.shutdown();
                right.shutdown();
            }
        }
        match (rightward_end, leftward_end) {
            (Some(_), Some(_)) => Poll::Ready(cut.unwrap_or(TunnelEnd::Closed)),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Ends once nothing has moved for `idle`.
async fn quiet_for(idle: Duration, moved: &Cell<Instant>) {
    loop {
        let Some(left) = idle.checked_sub(moved.get().elapsed()).filter(|left| !left.is_zero())
        else {
            return;
        };
        tokio::time::sleep(left).await;
    }
}

/// One direction until its end of stream, which it passes on.
async fn one_way(
    from: &Stream,
    to: &Stream,
    pools: Pools<'_>,
    idle: Duration,
    moved: &Cell<Instant>,
    bytes: &Cell<u64>,
) -> TunnelEnd {
    let mut full = false;
    loop {
        if !full && from.readable().await.is_err() {
            return TunnelEnd::Failed;
        }
        let buffer = pools.take(full);
        let room = buffer.receivable();
        let (result, buffer) = from.recv(buffer).await;
        let received = match result {
            Ok(0) => {
                to.shutdown_write();
                return TunnelEnd::Closed;
            }
            Ok(received) => received,
            Err(_) => return TunnelEnd::Failed,
        };
        full = received == room;
        moved.set(Instant::now());
        if to.send_all(buffer, idle).await.0.is_err() {
            return TunnelEnd::Failed;
        }
        bytes.set(bytes.get() + received as u64);
        moved.set(Instant::now());
    }
}
