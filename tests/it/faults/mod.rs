//! Peers that misbehave in one named way each, as two tables: adding a way is adding a row.
//!
//! Around each row the driver checks that while the fault is on a probe on another connection is
//! answered, by the gateway itself and through the same upstream; that the refusals counted are those
//! of the row; and that connections, requests in flight and parked, buffers and descriptors are back
//! where they were before the first.

mod clients;
mod scene;
mod upstreams;

use std::collections::BTreeSet;

use crate::harness::{Baseline, wait_until};

pub use scene::Scene;

/// Which reasons must have been counted when the fault is over.
pub enum Counted {
    /// None.
    Nothing,
    /// This one and no other.
    Only(&'static str),
    /// Some of these, or none: it is a race what is seen first.
    Any(&'static [&'static str]),
}

/// Runs one row between its checks.
fn check(scene: &Scene, before: Baseline, name: &str, counted: &Counted, run: impl FnOnce()) {
    // A row that fails shows where it came from.
    eprintln!("fault: {name}");
    let reasons = || scene.gateway.metrics().counted("ringgate_refusals_total", "reason");
    let (earlier, probes) = (reasons(), scene.probes());
    run();
    assert!(scene.probes() > probes, "{name}: no probe while the fault was on");
    let new = || -> BTreeSet<String> {
        let more = |(reason, count): &(String, f64)| earlier.get(reason) != Some(count);
        reasons().into_iter().filter(more).map(|(reason, _)| reason).collect()
    };
    if let Counted::Only(reason) = counted {
        wait_until(&format!("{name}: {reason} to be counted, not {:?}", new()), || {
            new().contains(*reason).then_some(())
        });
    }
    before.expect_settled(&scene.gateway);
    let new = new();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    match counted {
        Counted::Nothing => assert_eq!(new, [""; 0], "{name}"),
        Counted::Only(reason) => assert_eq!(new, [*reason], "{name}"),
        Counted::Any(some) => {
            assert!(new.iter().all(|reason| some.contains(reason)), "{name}: {new:?}");
        }
    }
    before.expect_restored(&scene.gateway, "/alive");
}
