//! Verifications that take as long as the test says, beside turns of a real event loop.

use super::*;
use crate::uring::block_on;

/// What happened, in order.
type Log = Rc<RefCell<Vec<String>>>;

struct Worker {
    pacing: Rc<Pacing>,
    log: Log,
}

impl Worker {
    /// Inside the runtime, as its turns begin there.
    fn new() -> Self {
        let cells = PacingCounters::verifications(&mut Registry::default()).unwrap();
        let pacing = Pacing::new(Arc::new(CounterBlock::new()), cells);
        tokio::task::spawn_local(Rc::clone(&pacing).run());
        Self { pacing, log: Log::default() }
    }

    /// A request with a token that is in no cache, as a connection has it judged.
    fn request(&self, name: impl Into<String>, standing: Standing, took: Duration) {
        let (pacing, log, name) = (Rc::clone(&self.pacing), Rc::clone(&self.log), name.into());
        tokio::task::spawn_local(async move {
            let turn = match pacing.begin(None) {
                Ok(_) => None,
                Err(Closed) => Some(pacing.turn(standing).await),
            };
            assert!(pacing.begin(turn.as_ref()).is_ok());
            log.borrow_mut().push(name);
            pacing.verified(took);
        });
    }

    /// Writes down the turns of the event loop until so much else stands in the log.
    async fn watch(&self, entries: usize) -> Vec<String> {
        let others = || self.log.borrow().iter().filter(|entry| *entry != "turn").count();
        while others() < entries {
            uring::turn().await;
            self.log.borrow_mut().push("turn".into());
        }
        self.log.take()
    }
}

#[test]
fn one_turn_has_no_more_verifications_than_its_budget() {
    for (took, most) in [(BUDGET * 3, 1), (BUDGET, 1), (BUDGET / 4, 4)] {
        let log = block_on(async {
            let worker = Worker::new();
            (0..40).for_each(|_| worker.request("verified", Standing::Clean, took));
            worker.watch(40).await
        });
        let turns = log.unwrap().iter().filter(|entry| *entry == "turn").count();
        // The first is the one that everything began in.
        assert!(turns + 1 >= 40 / most, "{turns} turns for 40 of {took:?}");
    }
}

#[test]
fn suspects_wait_behind_others_but_not_for_ever() {
    let log = block_on(async {
        let worker = Worker::new();
        worker.request("first", Standing::Clean, BUDGET);
        (1..=3).for_each(|n| worker.request(format!("bad {n}"), Standing::Suspect, BUDGET));
        (1..=4).for_each(|n| worker.request(format!("good {n}"), Standing::Clean, BUDGET));
        worker.watch(8).await
    });
    let order: Vec<_> = log.unwrap().into_iter().filter(|entry| entry != "turn").collect();
    let expected = ["first", "good 1", "good 2", "good 3", "bad 1", "good 4", "bad 2", "bad 3"];
    assert_eq!(order, expected);
}

#[test]
fn whoever_does_not_wait_any_more_costs_no_turn() {
    let log = block_on(async {
        let worker = Worker::new();
        worker.request("first", Standing::Clean, BUDGET);
        tokio::task::yield_now().await;
        let left = tokio::task::spawn_local({
            let pacing = Rc::clone(&worker.pacing);
            async move { drop(pacing.turn(Standing::Clean).await) }
        });
        tokio::task::yield_now().await;
        left.abort();
        worker.request("second", Standing::Clean, BUDGET);
        let log = worker.watch(2).await;
        uring::turn().await;
        assert!(worker.pacing.begin(None).is_ok(), "open again");
        log
    });
    assert_eq!(log.unwrap().iter().filter(|entry| *entry != "turn").count(), 2);
}
