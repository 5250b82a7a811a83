//! A tunnel: bytes both ways between two connections until both sides are done.
//!
//! Half-closing is passed on: the end of one direction shuts down the other side's sending and
//! leaves the other direction open. An idle tunnel holds no buffer.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Pools;
use crate::uring::{Buffer, Stream};

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

/// Bytes moved each way.
#[derive(Debug, Default)]
struct Activity {
    last: Cell<Option<Instant>>,
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
    let activity = Activity::default();
    activity.last.set(Some(Instant::now()));
    let mut rightward = pin!(one_way(left, right, pools, idle, &activity, to_right));
    let mut leftward = pin!(one_way(right, left, pools, idle, &activity, to_left));
    let mut ends: [Option<TunnelEnd>; 2] = [None, None];
    poll_fn(|context| {
        for index in 0..2 {
            if ends[index].is_some() {
                continue;
            }
            let polled = if index == 0 {
                rightward.as_mut().poll(context)
            } else {
                leftward.as_mut().poll(context)
            };
            let Poll::Ready(end) = polled else { continue };
            ends[index] = Some(end);
            if end != TunnelEnd::Closed && ends[1 - index].is_none() {
                // The other direction has no future: whatever it does next ends at once.
                left.shutdown();
                right.shutdown();
            }
        }
        match ends {
            [Some(TunnelEnd::Closed), Some(end)] | [Some(end), Some(_)] => Poll::Ready(end),
            _ => Poll::Pending,
        }
    })
    .await
}

/// One direction until its end of stream, which it passes on.
async fn one_way(
    from: &Stream,
    to: &Stream,
    pools: Pools<'_>,
    idle: Duration,
    activity: &Activity,
    bytes: &Cell<u64>,
) -> TunnelEnd {
    let mut full = false;
    loop {
        if !full && let Err(end) = wait_readable(from, idle, activity).await {
            return end;
        }
        let buffer = pools.take(full);
        let room = buffer.receivable();
        let (result, buffer): (io::Result<usize>, Buffer) = from.recv(buffer).await;
        match result {
            Ok(0) => {
                to.shutdown_write();
                return TunnelEnd::Closed;
            }
            Ok(received) => {
                full = received == room;
                activity.last.set(Some(Instant::now()));
                if to.send_all(buffer, idle).await.0.is_err() {
                    return TunnelEnd::Failed;
                }
                bytes.set(bytes.get() + received as u64);
                activity.last.set(Some(Instant::now()));
            }
            // The idle time was over just as the bytes came or did not: look again.
            Err(_) if from.expired() => full = false,
            Err(_) => return TunnelEnd::Failed,
        }
    }
}

/// Waits until `from` has something; the deadline starts anew while the other direction moves.
async fn wait_readable(
    from: &Stream,
    idle: Duration,
    activity: &Activity,
) -> Result<(), TunnelEnd> {
    loop {
        let quiet = activity.last.get().map_or(Duration::ZERO, |last| last.elapsed());
        let Some(left) = idle.checked_sub(quiet).filter(|left| !left.is_zero()) else {
            return Err(TunnelEnd::Idle);
        };
        from.arm(left);
        match from.readable().await {
            Ok(()) => return Ok(()),
            Err(_) if from.expired() => {}
            Err(_) => return Err(TunnelEnd::Failed),
        }
    }
}
