//! Steering: each policy gives each connection to the worker that it says, with real sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use ringgate::kernel::{Assist, LoadSlot, Policy, Steering};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::{Domain, Socket, Type};

use super::namespace::Namespace;
use super::possible;
use crate::harness::wait_until;

const TEST: &str = "kernel::steering";

/// Listeners on one address, one for each worker, and the program that chooses among them.
struct Group {
    address: SocketAddr,
    listeners: Vec<TcpListener>,
    steering: Steering,
    slots: Vec<LoadSlot>,
}

impl Group {
    fn new(policy: Policy, cpus: &[Option<u32>]) -> Self {
        let mut steering = Steering::load(cpus).unwrap();
        steering.set_policy(policy).unwrap();
        let listeners = listeners(cpus.len());
        steering.add(&listeners).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let slots = steering.load_slots();
        Self { address, listeners, steering, slots }
    }

    fn set_loads(&self, loads: &[u32]) {
        for (slot, load) in self.slots.iter().zip(loads) {
            slot.set_connections(*load);
        }
    }

    /// Connections that each worker gets of so many.
    fn spread(&self, connections: usize) -> Vec<usize> {
        let clients: Vec<TcpStream> =
            (0..connections).map(|_| TcpStream::connect(self.address).unwrap()).collect();
        let mut spread = vec![0; self.listeners.len()];
        // A client may be done a moment before the end of its handshake is in the queue.
        wait_until("every connection to be in a queue", || {
            for (count, listener) in spread.iter_mut().zip(&self.listeners) {
                *count += waiting(listener).len();
            }
            (spread.iter().sum::<usize>() == connections).then_some(())
        });
        drop(clients);
        spread
    }
}

/// Listeners on one address, one for each worker.
fn listeners(workers: usize) -> Vec<TcpListener> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        let listener = TcpListener::from(socket);
        address = listener.local_addr().unwrap();
        listener
    };
    (0..workers).map(listener).collect()
}

/// All connections in the queue of a listener.
fn waiting(listener: &TcpListener) -> Vec<TcpStream> {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok().map(|(stream, _)| stream)).collect()
}

#[test]
fn the_core_that_takes_the_handshake_chooses_the_worker() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let all = sched_getaffinity(None).unwrap();
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).take(2).collect();
    let pinned = |cpus: &[usize]| -> Vec<Option<u32>> {
        cpus.iter().map(|cpu| Some(u32::try_from(*cpu).unwrap())).collect()
    };
    let reversed: Vec<usize> = cpus.iter().rev().copied().collect();
    for order in [&cpus, &reversed] {
        // On a thread of its own, which keeps the CPU it is given. On loopback the sender's core
        // takes the handshake.
        Namespace::new().run(|| {
            let group = Group::new(Policy::Cpu, &pinned(order));
            for (worker, cpu) in order.iter().enumerate() {
                let mut only = CpuSet::new();
                only.set(*cpu);
                sched_setaffinity(None, &only).unwrap();
                let mut expected = vec![0; order.len()];
                expected[worker] = 200;
                assert_eq!(group.spread(200), expected, "from CPU {cpu}");
            }
        });
    }
}

#[test]
fn the_less_loaded_of_two_gets_the_connection() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let group = Group::new(Policy::LeastLoaded, &[None; 2]);
        for (loads, expected) in [([10, 9], [0, 100]), ([9, 10], [100, 0]), ([0, 1], [100, 0])] {
            group.set_loads(&loads);
            assert_eq!(group.spread(100), expected, "{loads:?}");
        }
    });
    Namespace::new().run(|| {
        let group = Group::new(Policy::LeastLoaded, &[None; 4]);
        group.set_loads(&[3, 1, 2, 0]);
        let spread = group.spread(400);
        // Worker 0 loses against each other one; 3 wins against each, and is in half of the pairs.
        assert_eq!(spread[0], 0, "{spread:?}");
        assert!(spread[3] > spread[1] && spread[1] > spread[2], "{spread:?}");
        assert_eq!(spread.iter().sum::<usize>(), 400);
    });
}

#[test]
fn the_hash_gives_each_worker_its_share() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let group = Group::new(Policy::Hash, &[None; 2]);
        let spread = group.spread(400);
        assert_eq!(spread.iter().sum::<usize>(), 400);
        // Six standard deviations of a fair coin.
        assert!(spread.iter().all(|share| (140..=260).contains(share)), "{spread:?}");
    });
}

#[test]
fn a_draining_worker_gets_nothing_while_another_is_open() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    for policy in [Policy::Cpu, Policy::LeastLoaded, Policy::Hash] {
        Namespace::new().run(|| {
            let group = Group::new(policy, &[Some(0), Some(1), None]);
            group.set_loads(&[0, 50, 99]);
            group.slots[0].set_draining(true);
            group.slots[1].set_draining(true);
            assert_eq!(group.spread(100), [0, 0, 100], "{policy:?}");
            group.slots[2].set_draining(true);
            assert_eq!(group.spread(100).iter().sum::<usize>(), 100, "{policy:?}: nobody is open");
            group.slots[0].set_draining(false);
            assert_eq!(group.spread(100), [100, 0, 0], "{policy:?}");
        });
    }
}

#[test]
fn a_worker_without_a_listener_is_passed_over() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    for policy in [Policy::Cpu, Policy::LeastLoaded, Policy::Hash] {
        Namespace::new().run(|| {
            let mut group = Group::new(policy, &[None; 2]);
            group.set_loads(&[0, 9]);
            group.listeners.remove(0);
            assert_eq!(group.spread(100), [100], "{policy:?}");
        });
    }
}

#[test]
fn the_queue_of_a_listener_that_closes_moves_to_an_open_worker() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let mut group = Group::new(Policy::LeastLoaded, &[None; 3]);
        group.set_loads(&[0, 1, 1]);
        group.slots[1].set_draining(true);
        group.slots[2].set_draining(true);
        let mut clients = BTreeMap::new();
        for number in 0..50_u8 {
            let mut client = TcpStream::connect(group.address).unwrap();
            client.write_all(&[number]).unwrap();
            clients.insert(number, client);
        }
        group.slots[0].set_draining(true);
        group.slots[2].set_draining(false);
        drop(group.listeners.remove(0));

        assert_eq!(waiting(&group.listeners[0]).len(), 0, "worker 1 drains");
        let mut moved = waiting(&group.listeners[1]);
        assert_eq!(moved.len(), clients.len(), "none is lost");
        for stream in &mut moved {
            stream.set_nonblocking(false).unwrap();
            let mut number = [0];
            stream.read_exact(&mut number).unwrap();
            stream.write_all(&[number[0] + 100]).unwrap();
        }
        for (number, mut client) in clients {
            let mut answer = [0];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer[0], number + 100);
        }
    });
}

#[test]
fn a_detached_group_goes_by_the_kernel_s_hash() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let group = Group::new(Policy::LeastLoaded, &[None; 2]);
        group.set_loads(&[0, 9]);
        assert_eq!(group.spread(100), [100, 0]);
        Steering::detach(&group.listeners[1]).unwrap();
        let spread = group.spread(400);
        assert!(spread.iter().all(|share| (140..=260).contains(share)), "{spread:?}");
    });
}

#[test]
fn the_policy_changes_between_two_connections() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let mut group = Group::new(Policy::Hash, &[None; 2]);
        group.set_loads(&[9, 0]);
        assert!(group.spread(400).iter().all(|share| (140..=260).contains(share)));
        group.steering.set_policy(Policy::LeastLoaded).unwrap();
        assert_eq!(group.spread(100), [0, 100]);
    });
}

#[test]
fn a_worker_that_has_gone_silent_gets_nothing_while_another_speaks() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    for policy in [Policy::LeastLoaded, Policy::Hash] {
        Namespace::new().run(|| {
            let group = Group::new(policy, &[None; 2]);
            group.set_loads(&[0, 9]);
            group.slots[0].tell_alive();
            wait_until("the first worker to be passed over", || {
                group.slots[1].tell_alive();
                (group.spread(40) == [0, 40]).then_some(())
            });
            // Now both are silent, and nobody is preferred.
            wait_until("the kernel's hash", || {
                group.spread(100).iter().all(|share| *share > 20).then_some(())
            });
            group.slots[0].tell_alive();
            let first = group.spread(1);
            assert_eq!(first, [1, 0], "{policy:?}: it is back");
        });
    }
}

#[test]
fn groups_are_steered_apart_by_one_program_and_a_removed_one_by_the_kernel() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let mut first = Group::new(Policy::LeastLoaded, &[None; 2]);
        let second = listeners(2);
        let group = first.steering.add(&second).unwrap();
        first.set_loads(&[9, 0]);
        assert_eq!(first.spread(100), [0, 100]);
        first.address = second[0].local_addr().unwrap();
        first.listeners = second;
        assert_eq!(first.spread(100), [0, 100], "the other group, by the same loads");
        first.steering.remove(group);
        let spread = first.spread(400);
        assert!(spread.iter().all(|share| (140..=260).contains(share)), "{spread:?}");
    });
}

#[test]
fn two_workers_on_one_core_cannot_be_told_apart_by_it() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let steering = Steering::load(&[Some(3), Some(4), None, Some(4)]).unwrap();
    let error = steering.check_policy(Policy::Cpu).unwrap_err().to_string();
    assert_eq!(error, "more workers than one run on CPU 4; each needs one of its own");
    assert!(steering.check_policy(Policy::Hash).is_ok());
    let apart = Steering::load(&[Some(3), Some(4), None, None]).unwrap();
    assert!(apart.check_policy(Policy::Cpu).is_ok());
}
