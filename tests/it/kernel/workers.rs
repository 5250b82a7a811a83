//! Which worker of a gateway has which connections.

use std::net::SocketAddr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::harness::{Client, Gateway, tool, wait_until};

/// The CPUs of the first two workers.
pub fn cpus(test: &str) -> Option<[usize; 2]> {
    let all = sched_getaffinity(None).unwrap();
    let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
    let two = usable.next().zip(usable.next()).map(<[usize; 2]>::from);
    if two.is_none() {
        tool::skipped(test, "needs two CPUs");
    }
    two
}

/// Runs something on one CPU. On loopback the sender's core takes the handshake.
pub fn on_cpu<T>(cpu: usize, function: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).unwrap();
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).unwrap();
    let result = function();
    sched_setaffinity(None, &before).unwrap();
    result
}

/// A connection that a worker has, for it has answered on it.
pub fn open(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").status(), 200);
    client
}

/// Open connections of each of two workers.
pub fn spread(gateway: &Gateway) -> [usize; 2] {
    let metrics = gateway.metrics();
    ["worker=\"0\"", "worker=\"1\""].map(|worker| {
        let open = metrics.sum("ringgate_worker_connections", &[worker]);
        // A small whole number.
        open as usize
    })
}

/// Waits until new connections at once, beside those that are kept, go to the workers as expected. A
/// try can go wrong on a machine so busy that a worker does not run for a while: it is passed over.
pub fn batch(gateway: &Gateway, address: SocketAddr, kept: [usize; 2], expected: [usize; 2]) {
    wait_until(&format!("new connections of the workers to be {expected:?}"), || {
        wait_until("the kept ones alone", || (spread(gateway) == kept).then_some(()));
        let count = expected[0] + expected[1];
        let _clients: Vec<Client> = (0..count).map(|_| open(address)).collect();
        let reached = spread(gateway);
        (reached == [kept[0] + expected[0], kept[1] + expected[1]]).then_some(())
    });
}
