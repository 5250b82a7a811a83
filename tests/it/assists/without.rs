//! Without capabilities: every assist is off and says why, and all that is proxied is proxied.

use std::fs;
use std::process::{Command, Stdio};

use ringgate::kernel::Assist;
use serde_json::json;

use crate::harness::gateway::{BINARY, WITHOUT_CAPABILITIES, without_capabilities};
use crate::harness::{Config, Gateway, tool};

const TEST: &str = "assists::without";
const SETPRIV: &str = "setpriv";

/// Asks for whatever can be asked for without a name, so that it is no error not to have it.
fn asking() -> Config {
    let shield = json!({ "interfaces": ["lo"], "mode": "auto" });
    Config::new()
        .set("workers", 2)
        .set("kernel", json!({ "steering": "auto", "splice": "off", "shield": shield }))
        .respond(json!({}), "here")
}

#[test]
fn each_assist_is_off_for_a_reason_and_requests_are_served() {
    if tool::find(TEST, SETPRIV).is_none() {
        return;
    }
    let gateway = Gateway::start_by(without_capabilities(), &asking());
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000\n"), "{status}");
    let told = gateway.admin("/config").json()["kernel"].take();
    let metrics = gateway.metrics();
    for assist in Assist::ALL {
        let (name, told) = (assist.name(), &told[assist.name()]);
        assert_eq!(told["on"], false, "{name}: {told}");
        let why = told["why"].as_str().unwrap();
        let is_asked_for = [Assist::Steering, Assist::Shield].contains(&assist);
        assert_eq!(why.contains("CAP_BPF"), is_asked_for, "{name}: {why}");
        gateway.wait_for_line(&[&format!("off: {why}"), &format!("assist=\"{name}\"")]);
        let label = format!("assist=\"{name}\"");
        assert_eq!(metrics.sum("ringgate_kernel_assist", &[&label]), 0.0, "{name}");
    }
    assert_eq!(gateway.client().get("/").text(), "here");
}

#[test]
fn what_is_asked_for_by_name_and_cannot_be_had_ends_the_start() {
    if tool::find(TEST, SETPRIV).is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.json");
    fs::write(&file, asking().set("kernel.splice", "on").to_string()).unwrap();
    let command = [without_capabilities(), &[BINARY, "run"]].concat();
    let output = Command::new(command[0]).args(&command[1..]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let why = "kernel.splice: needs CAP_BPF and CAP_NET_ADMIN, which this process does not have";
    assert!(stderr.contains(why), "{stderr}");
}

/// This binary once more, with gateways that have no capability.
#[test]
fn all_of_the_proxying_tests_pass() {
    if tool::find(TEST, SETPRIV).is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("proxying::")
        .env(WITHOUT_CAPABILITIES, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let passed = text.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next());
    let passed: usize = passed.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!(passed >= 40, "{passed} tests of proxying");
}
