//! What becomes of assists that cannot be had, are not needed, or whose gateway is killed.

use std::fs;
use std::process::{Command, Stdio};

use aya::programs::loaded_programs;
use ringgate::kernel::Assist;
use rustix::process::Signal;
use serde_json::json;

use super::namespace::Namespace;
use super::possible;
use super::steered::steered;
use crate::harness::gateway::BINARY;
use crate::harness::{Config, Gateway, wait_until};

const TEST: &str = "kernel::had";

/// Runs it without any right.
const POWERLESS: [&str; 3] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];

const STEERING_NEEDS: &str =
    "needs CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON, which this process does not have";
const LOOKUP_NEEDS: &str = "needs CAP_BPF and CAP_NET_ADMIN, which this process does not have";

fn led(policy: &str) -> Config {
    steered(policy).set("listeners.0.addresses", json!(["127.77.0.0/16:2000-2009"]))
}

/// Runs a gateway that does not start: what it exits with and says.
fn failure(launcher: &[&str], config: &Config) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.json");
    fs::write(&file, config.to_string()).unwrap();
    let command: Vec<&str> = launcher.iter().copied().chain([BINARY, "run"]).collect();
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Reloads with what cannot be had: refused for this reason.
fn refused(gateway: &Gateway, config: &Config, why: &str) {
    gateway.reload(config);
    wait_until(&format!("a reload refused since it {why}"), || {
        let reloads = &gateway.admin("/config").json()["reloads"];
        (reloads["last_error"] == why).then_some(())
    });
    assert_eq!(gateway.client().get("/").text(), "here", "nothing changed");
}

#[test]
fn without_rights_auto_leaves_it_and_what_is_asked_for_by_name_is_an_error() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let gateway = Gateway::start_by(&POWERLESS, &steered("auto"));
    assert_eq!(gateway.client().get("/").text(), "here");
    let line = gateway.wait_for_line(&["INFO", "steering", "off: needs"]);
    assert!(line.contains(STEERING_NEEDS), "{line}");
    let told = &gateway.admin("/config").json()["kernel"]["steering"];
    assert_eq!(told, &json!({ "on": false, "why": STEERING_NEEDS }));
    assert_eq!(gateway.metrics().sum("ringgate_kernel_assist", &["steering"]), 0.0);

    let by_name = format!("kernel.steering: {STEERING_NEEDS}");
    let addresses = format!("listeners[].addresses: {LOOKUP_NEEDS}");
    refused(&gateway, &steered("hash"), &by_name);
    refused(&gateway, &led("auto"), &addresses);
    for (config, why) in [(steered("cpu"), by_name), (led("auto"), addresses)] {
        let (code, text) = failure(&POWERLESS, &config);
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(text.lines().last(), Some(&*why), "{text}");
    }
}

#[test]
fn a_core_for_each_worker_is_a_condition_of_the_policy_cpu() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let cpus = thread_count();
    let crowded = |policy: &str| steered(policy).set("workers", cpus + 1);
    let (code, text) = failure(&["env"], &crowded("cpu"));
    let why = text.lines().last().unwrap();
    assert!(why.starts_with("kernel.steering: more workers than one run on CPU "), "{text}");
    assert_eq!(code, Some(1));
    let gateway = Gateway::start(&crowded("least_loaded"));
    refused(&gateway, &crowded("cpu"), why);
    let told = &gateway.admin("/config").json()["kernel"]["steering"]["how"];
    assert_eq!(told, &json!(format!("least_loaded; workers: {}, listeners: 1", cpus + 1)));
}

fn thread_count() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn one_worker_is_not_steered_to() {
    for policy in ["auto", "hash"] {
        let gateway = Gateway::start(&steered(policy).set("workers", 1));
        let told = &gateway.admin("/config").json()["kernel"]["steering"];
        assert_eq!(told, &json!({ "on": false, "why": "there is one worker" }));
        assert_eq!(programs(gateway.pid()), Vec::<u32>::new());
    }
}

/// Programs that a process has a descriptor of.
fn programs(pid: u32) -> Vec<u32> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    // One may be closed meanwhile.
    let infos = descriptors.filter_map(|fd| fs::read_to_string(fd.unwrap().path()).ok());
    let id = |info: String| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
    };
    infos.filter_map(id).collect()
}

#[test]
fn a_killed_gateway_leaves_no_program() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    Namespace::new().run(|| {
        let mut gateway = Gateway::start(&led("auto"));
        let programs = programs(gateway.pid());
        assert!(programs.len() >= 2, "steering and lookup: {programs:?}");
        let loaded = || -> Vec<u32> {
            let all = loaded_programs().map(|program| program.unwrap().id());
            all.filter(|id| programs.contains(id)).collect()
        };
        assert!(!loaded().is_empty(), "{programs:?}");
        gateway.signal(Signal::KILL);
        gateway.wait_for_exit();
        wait_until("its programs to be gone", || loaded().is_empty().then_some(()));
    });
}
