//! Steering in a gateway that runs: each policy, a worker that hangs, and reloads under load.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ringgate::kernel::Assist;
use serde_json::json;

use super::namespace::Namespace;
use super::possible;
use super::stopped::Stopped;
use super::workers::{batch, cpus, on_cpu, open, spread};
use crate::harness::{Client, Config, Gateway, WireError, tool, wait_until};

const TEST: &str = "kernel::steered";

/// Two workers, and this policy.
pub fn steered(policy: &str) -> Config {
    Config::new()
        .set("workers", 2)
        .set("kernel.steering", policy)
        .respond(json!({ "path": "/" }), "here")
}

/// What `/config` says of steering.
fn steering(gateway: &Gateway) -> String {
    gateway.admin("/config").json()["kernel"]["steering"].to_string()
}

/// Reloads, and waits until so many reloads have been applied.
fn reload(gateway: &Gateway, config: &Config, applied: u32) {
    gateway.reload(config);
    gateway.wait_for_metric("ringgate_config_reloads_total", &["result=\"applied\""], |count| {
        count >= f64::from(applied)
    });
}

#[test]
fn the_worker_on_the_core_of_the_handshake_serves_and_a_reload_changes_that() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let Some([first, second]) = cpus(TEST) else { return };
    Namespace::new().run(|| {
        let gateway = Gateway::start(&steered("cpu"));
        for (worker, cpu) in [first, second].into_iter().enumerate() {
            let mut expected = [0, 0];
            expected[worker] = 40;
            on_cpu(cpu, || batch(&gateway, gateway.address(), [0, 0], expected));
        }
        // From the first core everything went to the first worker; by a hash it cannot.
        for (number, policy, told) in [(1, "off", "kernel.steering is off"), (2, "hash", "hash;")] {
            reload(&gateway, &steered(policy), number);
            gateway.wait_for_line(&["steering", told]);
            wait_until(&format!("steering to be {policy}"), || {
                (steering(&gateway).contains(told) && spread(&gateway) == [0, 0]).then_some(())
            });
            on_cpu(first, || {
                let _clients: Vec<Client> = (0..100).map(|_| open(gateway.address())).collect();
                let spread = spread(&gateway);
                assert!(spread.iter().all(|share| *share >= 20), "{policy}: {spread:?}");
            });
        }
        reload(&gateway, &steered("cpu"), 3);
        wait_until("steering to be on", || {
            steering(&gateway).contains("cpu; workers: 2, listeners: 1").then_some(())
        });
        on_cpu(second, || batch(&gateway, gateway.address(), [0, 0], [0, 40]));
    });
}

#[test]
fn long_connections_go_to_the_worker_that_has_fewer() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        // By default.
        let gateway = Gateway::start(&steered("auto"));
        let mut clients: [Vec<Client>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..60 {
            let before = spread(&gateway);
            let client = open(gateway.address());
            let after = spread(&gateway);
            clients[usize::from(after[1] > before[1])].push(client);
        }
        assert!(clients[0].len().abs_diff(clients[1].len()) <= 6, "{:?}", spread(&gateway));
        // A worker that lost its connections gets all new ones.
        clients[0].clear();
        let kept = clients[1].len();
        batch(&gateway, gateway.address(), [0, kept], [20, 0]);
    });
}

#[test]
fn a_worker_that_hangs_gets_no_new_connection_until_it_is_back() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let Some(python) = tool::find(TEST, "python3") else { return };
    for policy in ["least_loaded", "hash", "cpu"] {
        Namespace::new().run(|| {
            let gateway = Gateway::start(&steered(policy));
            let stopped = Stopped::thread(&python, gateway.pid(), "worker-0");
            // One that was given to it before it counts as stuck is not answered, and tried again.
            wait_until(&format!("{policy}: the other worker to serve all"), || {
                (0..20).all(|_| is_answered(gateway.address())).then_some(())
            });
            drop(stopped);
            wait_until(&format!("{policy}: the worker to serve again"), || {
                let clients: Vec<Client> = (0..20).map(|_| open(gateway.address())).collect();
                let shares = spread(&gateway);
                drop(clients);
                // By CPU, all come from where this test happens to run.
                (policy == "cpu" || shares[0] > 0).then_some(())
            });
        });
    }
}

/// Whether a new connection is answered within half a second.
fn is_answered(address: SocketAddr) -> bool {
    let mut client = Client::connect(address);
    client.set_patience(Duration::from_millis(500));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_response("GET").is_ok()
}

#[test]
fn no_connection_is_lost_over_reloads_of_listeners_and_policies() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let with = |policy: &str, more: bool| {
            let mut listeners = vec![json!({ "name": "public", "address": "127.0.0.1:0" })];
            if more {
                listeners.push(json!({ "name": "more", "address": "127.0.0.2:0" }));
            }
            steered(policy).set("listeners", listeners)
        };
        let gateway = Gateway::start(&with("auto", false));
        let (served, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failures = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        match visit(gateway.address()) {
                            Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => failures.lock().unwrap().push(error),
                        }
                    }
                });
            }
            let policies = ["cpu", "off", "least_loaded", "hash", "off", "auto"];
            for (number, policy) in (1..=12).zip(policies.iter().cycle()) {
                reload(&gateway, &with(policy, number % 2 == 1), number);
            }
            wait_until("some thousand connections", || {
                (served.load(Ordering::Relaxed) >= 3000).then_some(())
            });
            over.store(true, Ordering::Relaxed);
        });
        let failures = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} of them: {:?}", failures.len(), failures.first());
    });
}

/// A connection of its own for one request.
fn visit(address: SocketAddr) -> Result<(), WireError> {
    let mut client = Client::connect(address);
    client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    client.try_response("GET").map(drop)
}
