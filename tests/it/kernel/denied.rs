//! The gateway and its shield: deny and allow lists in the kernel and at the accept, followed on a
//! reload, and what is left behind.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use ringgate::kernel::Assist;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::guarded::{FIRST, FIRST_V6, Fate, Guarded, OTHER_V6, SECOND, config, pair};
use super::possible;
use super::shield::is_shielded;
use crate::harness::deadline::PATIENCE;
use crate::harness::gateway::BINARY;
use crate::harness::{Key, wait_until};

const TEST: &str = "kernel::denied";

fn barred(guarded: &Guarded, by: &str) -> f64 {
    guarded.metric("ringgate_connections_barred_total", &[&format!("by=\"{by}\"")])
}

#[test]
fn lists_are_followed_on_a_reload_and_give_the_same_verdicts_everywhere() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    for (interfaces, refused) in [(json!(["rg0"]), Fate::Dropped), (json!([]), Fate::Closed)] {
        let shield = |deny: Value, allow: Value| {
            let ban = json!({ "mode": "off" });
            json!({ "interfaces": interfaces, "deny": deny, "allow": allow, "ban": ban })
        };
        let guarded = Guarded::new(shield(json!(["10.88.0.0/24", "fd88::/64"]), json!([])));
        let fates = || [FIRST, SECOND, FIRST_V6, OTHER_V6].map(|source| guarded.fate(source));
        assert_eq!(fates(), [refused, refused, refused, Fate::Served]);

        guarded.reload(shield(json!(["10.88.0.0/24"]), json!([FIRST])));
        assert_eq!(fates(), [Fate::Served, refused, Fate::Served, Fate::Served]);

        let mut idle = guarded.client(FIRST);
        assert_eq!(idle.get_as("/", &guarded.good_token()).status(), 200);
        guarded.reload(shield(json!([FIRST, OTHER_V6]), json!([])));
        assert_eq!(fates(), [refused, Fate::Served, Fate::Served, refused]);
        if refused == Fate::Closed {
            idle.expect_end();
            assert_eq!(barred(&guarded, "deny"), 3.0 + 1.0 + 2.0);
        } else {
            let frames = "ringgate_shield_frames_total";
            assert!(guarded.metric(frames, &["verdict=\"dropped_denied\""]) > 0.0);
            assert_eq!(barred(&guarded, "deny"), 0.0);
        }
    }
}

#[test]
fn without_the_program_the_same_lists_close_connections() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "interfaces": ["rg9"], "deny": [FIRST] }));
    assert_eq!([guarded.fate(FIRST), guarded.fate(SECOND)], [Fate::Closed, Fate::Served]);
    let kernel = guarded.admin("GET", "/config").json()["kernel"]["shield"].clone();
    assert_eq!(kernel, json!({ "on": false, "why": "there is no interface `rg9`" }));
    assert_eq!(guarded.metric("ringgate_kernel_assist", &["assist=\"shield\""]), 0.0);
    guarded.gateway.wait_for_line(&["WARN", "there is no interface `rg9`"]);

    // One of two is enough to be on, and the other is told of.
    guarded.reload(json!({ "interfaces": ["rg9", "rg0"], "deny": [FIRST] }));
    let kernel = guarded.admin("GET", "/config").json()["kernel"]["shield"].clone();
    assert_eq!(kernel["how"], "native on rg0");
    guarded.gateway.wait_for_line(&["INFO", "on: native on rg0"]);
    assert_eq!(kernel["without"], json!(["rg9: there is no interface `rg9`"]));
    assert_eq!(guarded.metric("ringgate_kernel_assist", &["assist=\"shield\""]), 1.0);
    assert_eq!([guarded.fate(FIRST), guarded.fate(SECOND)], [Fate::Dropped, Fate::Served]);
}

/// In which mode the program sits on `rg0`.
fn mode(guarded: &Guarded) -> Option<&'static str> {
    let link = guarded.pair.server.ip("link show dev rg0");
    let generic = link.contains("xdpgeneric");
    link.contains("prog/xdp").then_some(if generic { "generic" } else { "native" })
}

#[test]
fn a_reload_moves_the_program_and_one_that_cannot_changes_nothing() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "interfaces": ["rg0"], "deny": [FIRST] }));
    assert_eq!(mode(&guarded), Some("native"));
    guarded.reload(json!({ "interfaces": ["rg0"], "mode": "generic", "deny": [FIRST] }));
    assert_eq!(mode(&guarded), Some("generic"));
    guarded.reload(json!({ "interfaces": ["rg0", "lo"], "deny": [FIRST] }));
    assert_eq!(mode(&guarded), Some("generic"), "auto leaves what works");
    assert!(is_shielded(&guarded.pair.server, "lo"));
    guarded.reload(json!({ "interfaces": ["rg0"], "deny": [FIRST] }));
    assert!(!is_shielded(&guarded.pair.server, "lo"));

    // Loopback takes no native program, and `rg0` would change its mode.
    let native = json!({ "interfaces": ["rg0", "lo"], "mode": "native", "deny": [SECOND] });
    let why = guarded.reload_refused(native);
    let expected = "kernel.shield.mode: cannot attach to `lo` in native mode: ";
    assert!(why.starts_with(expected), "{why}");
    let absent = json!({ "interfaces": ["rg0", "rg9"], "mode": "generic", "deny": [SECOND] });
    let why = guarded.reload_refused(absent);
    assert_eq!(why, "kernel.shield.interfaces: there is no interface `rg9`");
    assert_eq!(mode(&guarded), Some("generic"));
    assert!(!is_shielded(&guarded.pair.server, "lo"));
    assert_eq!([guarded.fate(FIRST), guarded.fate(SECOND)], [Fate::Dropped, Fate::Served]);

    guarded.reload(json!({ "deny": [SECOND] }));
    assert_eq!(mode(&guarded), None);
    assert_eq!([guarded.fate(FIRST), guarded.fate(SECOND)], [Fate::Served, Fate::Closed]);
}

#[test]
fn a_reload_finds_an_interface_that_was_made_anew() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "interfaces": ["rg0"] }));
    let Guarded { pair, .. } = &guarded;
    pair.server.ip("link del rg0");
    pair.server.connect("rg0", "rg1", &pair.client);
    assert_eq!(mode(&guarded), None);
    guarded.reload(json!({ "interfaces": ["rg0"] }));
    assert_eq!(mode(&guarded), Some("native"));
}

#[test]
fn the_listeners_are_protected_and_nothing_else_is() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let guarded = Guarded::new(json!({ "interfaces": ["rg0"] }));
    let frames = |verdict: &str| {
        let label = format!("verdict=\"{verdict}\"");
        guarded.metric("ringgate_shield_frames_total", &[&label])
    };
    assert_eq!(guarded.fate(FIRST), Fate::Served);
    assert!(frames("passed") > 0.0);
    // The port of nobody is no concern of the shield's.
    let before = frames("passed_not_ours");
    let closed = SocketAddr::from(([10, 88, 0, 1], 9));
    let refused = guarded.pair.client.run(|| TcpStream::connect(closed).is_err());
    assert!(refused && frames("passed_not_ours") > before);

    let late = json!({ "name": "late", "address": "10.88.0.1:8081" });
    let with_late = |shield: Value| {
        let config = guarded.config(shield);
        config.set("listeners.1", late.clone())
    };
    guarded.reload_config(&with_late(json!({ "interfaces": ["rg0"] })));
    let late_at = SocketAddr::from(([10, 88, 0, 1], 8081));
    let before = frames("passed");
    guarded.pair.client.run(|| TcpStream::connect_timeout(&late_at, PATIENCE).unwrap());
    assert!(frames("passed") > before);
}

#[test]
fn what_is_asked_for_by_name_and_impossible_ends_the_start() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let pair = pair();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.json");
    for (shield, expected) in [
        (
            json!({ "interfaces": ["lo"], "mode": "native" }),
            "kernel.shield.mode: cannot attach to `lo` in native mode: ",
        ),
        (
            json!({ "interfaces": ["rg0", "rg9"], "mode": "generic" }),
            "kernel.shield.interfaces: there is no interface `rg9`",
        ),
    ] {
        std::fs::write(&file, config(&Key::ed25519("k"), shield).to_string()).unwrap();
        let output =
            pair.server.run(|| Command::new(BINARY).arg("run").arg(&file).output().unwrap());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(!is_shielded(&pair.server, "rg0"));
    }
}

#[test]
fn a_gateway_that_ends_or_is_killed_leaves_nothing() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let mut guarded = Guarded::new(json!({ "interfaces": ["rg0"], "deny": [FIRST] }));
        assert!(is_shielded(&guarded.pair.server, "rg0"));
        guarded.gateway.signal(signal);
        guarded.gateway.wait_for_exit();
        wait_until("the interface without a program", || {
            (!is_shielded(&guarded.pair.server, "rg0")).then_some(())
        });
    }
}
