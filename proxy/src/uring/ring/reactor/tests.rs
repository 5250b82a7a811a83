//! The life of operations on real rings, of both kinds and with queues that are too small.

use std::cell::RefCell;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{spawn_local, yield_now};

use super::super::operation::{Operation, submit};
use super::super::runtime::{block_on, run};
use super::super::setup::{Queues, cooperating, deferring};
use super::super::timers::sleep;
use super::super::{Listener, Recv, SharedFd};
use super::*;
use crate::uring::BufferPool;
use crate::uring::operation::Arrival;
use crate::uring::wheel::TICK;

const SMALL: Queues = Queues { submission: 4, completion: 8 };
const PATIENCE: Duration = Duration::from_secs(60);

fn nop() -> Operation<()> {
    // SAFETY: the entry points to nothing.
    unsafe { submit((), opcode::Nop::new().build()) }
}

/// On a small ring of each kind that the kernel has.
fn on_both<F: Future>(test: impl Fn() -> F) {
    run(cooperating(SMALL).unwrap(), test()).unwrap();
    match deferring(SMALL) {
        Ok(ring) => drop(run(ring, test()).unwrap()),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL)),
    }
}

/// What is in flight, once the event loop itself has begun.
async fn at_rest() -> usize {
    nop().await.0.unwrap();
    in_flight()
}

fn in_flight() -> usize {
    Reactor::current().in_flight.get()
}

#[test]
fn an_operation_completes_and_its_slot_is_free() {
    on_both(|| async {
        let before = at_rest().await;
        let operation = nop();
        assert_eq!(in_flight(), before + 1);
        assert_eq!(operation.await.0.unwrap(), 0);
        assert_eq!(in_flight(), before);
    });
}

#[test]
fn more_operations_than_either_queue_holds_all_complete() {
    on_both(|| async {
        let operations: Vec<_> = (0..1000).map(|_| nop()).collect();
        for operation in operations {
            assert_eq!(operation.await.0.unwrap(), 0);
        }
    });
}

#[test]
fn what_finds_no_room_is_handed_over_later_and_in_order() {
    on_both(|| async {
        let reactor = Reactor::current();
        // As if the kernel had had no memory for it.
        reactor.backlog.borrow_mut().push_back(opcode::Nop::new().build().user_data(UNWATCHED));
        let finished = Rc::new(RefCell::new(Vec::new()));
        let operations = (0..20).map(|number| (number, nop()));
        let tasks: Vec<_> = operations
            .map(|(number, operation)| {
                let finished = Rc::clone(&finished);
                spawn_local(async move {
                    operation.await.0.unwrap();
                    finished.borrow_mut().push(number);
                })
            })
            .collect();
        assert_eq!(reactor.backlog.borrow().len(), 21);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(reactor.backlog.borrow().is_empty());
        assert_eq!(*finished.borrow(), Vec::from_iter(0..20));
    });
}

#[test]
fn an_operation_that_is_dropped_is_cancelled_and_its_buffer_lives_until_then() {
    let pool = BufferPool::new(64, 4);
    on_both(|| async {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let fd = SharedFd::from(OwnedFd::from(socket));
        let before = at_rest().await;
        let receiving: Vec<_> =
            (0..3).map(|_| Recv::submit(&fd, pool.take(), usize::MAX, Arrival::Any)).collect();
        sleep(TICK).await;
        drop(receiving);
        assert_eq!((pool.in_use(), in_flight()), (3, before + 3));
        sleep(TICK).await;
        assert_eq!((pool.in_use(), in_flight()), (0, before));
    });
}

#[test]
fn an_operation_that_is_dropped_after_its_completion_frees_its_slot() {
    on_both(|| async {
        let operation = nop();
        nop().await.0.unwrap();
        let slots = || Reactor::current().slots.borrow().len();
        let before = slots();
        drop(operation);
        assert_eq!(slots(), before - 1);
        assert!(Reactor::current().backlog.borrow().is_empty());
    });
}

#[test]
fn a_connection_that_nobody_asks_for_any_more_is_closed() {
    on_both(|| async {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(socket.into());
        for asks_late in [false, true] {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut accepting = Box::pin(listener.accept());
            let first = accepting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(first.is_pending());
            if asks_late {
                // Accepted by now.
                sleep(TICK).await;
            }
            drop(accepting);
            sleep(TICK).await;
            if !asks_late {
                // Accepted or not: that is between the kernel and the cancellation.
                while listener.accept_waiting().unwrap().is_some() {}
            }
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
    });
}

#[test]
fn what_is_in_flight_at_the_end_is_given_back() {
    let pool = BufferPool::new(64, 4);
    let kept = RefCell::new(None);
    on_both(|| async {
        let (socket, peer) = UnixStream::pair().unwrap();
        let fd = SharedFd::from(OwnedFd::from(socket));
        for _ in 0..2000 {
            let receiving = Recv::submit(&fd, pool.take(), usize::MAX, Arrival::Any);
            spawn_local(async move { drop(receiving.await) });
        }
        // One whose future outlives the ring.
        let late = Recv::submit(&fd, pool.take(), usize::MAX, Arrival::Any);
        *kept.borrow_mut() = Some((late, peer));
        yield_now().await;
    });
    assert_eq!(pool.in_use(), 1);
    let (mut late, _peer) = kept.into_inner().unwrap();
    match Pin::new(&mut late).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready((Err(error), _)) => assert_eq!(error.raw_os_error(), Some(libc::ECANCELED)),
        outcome => panic!("neither done nor cancelled: {}", outcome.is_ready()),
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn sleepers_wake_in_time_and_in_order_whoever_came_first() {
    on_both(|| async {
        let began = Instant::now();
        let woken = Rc::new(RefCell::new(Vec::new()));
        let hour = spawn_local(sleep(Duration::from_secs(3600)));
        let tasks: Vec<_> = [30, 10, 20, 0, 10]
            .map(|milliseconds| {
                let woken = Rc::clone(&woken);
                spawn_local(async move {
                    let time = Duration::from_millis(milliseconds);
                    sleep(time).await;
                    assert!(began.elapsed() >= time, "never early");
                    woken.borrow_mut().push(milliseconds);
                })
            })
            .into();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*woken.borrow(), [0, 10, 10, 20, 30]);
        // What is not waited for any more is forgotten, and what is too far away is no error.
        drop(sleep(TICK));
        hour.abort();
        let far = spawn_local(sleep(Duration::MAX));
        yield_now().await;
        far.abort();
        assert!(began.elapsed() < PATIENCE);
    });
}

#[test]
fn a_timeout_for_a_short_sleep_does_not_set_that_of_a_longer_one_again() {
    on_both(|| async {
        let hour = spawn_local(sleep(Duration::from_secs(3600)));
        sleep(Duration::from_millis(1)).await;
        let before = in_flight();
        for _ in 0..10 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(in_flight(), before);
        hour.abort();
    });
}

#[test]
fn a_task_that_never_waits_starves_nobody() {
    on_both(|| async {
        let busy = spawn_local(async {
            loop {
                yield_now().await;
            }
        });
        sleep(TICK).await;
        nop().await.0.unwrap();
        busy.abort();
    });
}

#[test]
fn another_thread_wakes_a_task() {
    on_both(|| async {
        for _ in 0..10 {
            let (sender, receiver) = oneshot::channel();
            let other = thread::spawn(move || {
                thread::sleep(Duration::from_millis(2));
                sender.send(()).unwrap();
            });
            let began = Instant::now();
            receiver.await.unwrap();
            assert!(began.elapsed() < PATIENCE);
            other.join().unwrap();
        }
    });
}

#[test]
fn a_task_that_panics_takes_no_other_along() {
    let ended = block_on(async {
        let panicking = spawn_local(async {
            nop().await.0.unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        let is_panic = panicking.await.is_err_and(|error| error.is_panic());
        nop().await.0.unwrap();
        is_panic
    });
    assert!(ended.unwrap());
}
