//! Whatever the kernel helps with, the same requests bring the same bytes to both sides.
//!
//! One corpus of requests runs against a gateway with each combination of assists that this machine
//! allows, and with none; what clients and the upstream received then is what they receive now.

mod bytes;
mod corpus;
mod scene;
mod upstream;
mod without;

use std::collections::BTreeSet;

use ringgate::kernel::Assist;
use serde_json::{Value, json};

use crate::harness::Config;
use crate::harness::wire::lossy;
use crate::kernel::possible;
use scene::{Scene, Transcript};

const TEST: &str = "assists";
/// The first of the ports that are led to the listener.
const LED_PORT: u16 = 8000;

/// Values of `kernel.steering`, `kernel.shield.mode` and `kernel.splice`.
const STEERING: &[&str] = &["off", "cpu", "least_loaded", "hash"];
const SHIELD: &[Option<&str>] = &[None, Some("generic"), Some("native")];
const SPLICE: &[&str] = &["off", "on"];
const LOOKUP: &[bool] = &[false, true];

/// Which assists are asked for.
#[derive(Debug, Clone, Copy)]
struct Combination {
    steering: &'static str,
    shield: Option<&'static str>,
    splice: &'static str,
    lookup: bool,
}

impl Combination {
    const NONE: Self = Self { steering: "off", shield: None, splice: "off", lookup: false };

    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &steering in STEERING {
            for &shield in SHIELD {
                for &splice in SPLICE {
                    for &lookup in LOOKUP {
                        all.push(Self { steering, shield, splice, lookup });
                    }
                }
            }
        }
        all
    }

    fn ask(self, config: Config) -> Config {
        let mut kernel = json!({ "steering": self.steering, "splice": self.splice });
        if let Some(mode) = self.shield {
            let deny = ["203.0.113.0/24", "2001:db8::/32"];
            kernel["shield"] = json!({ "interfaces": ["rg0"], "mode": mode, "deny": deny });
        }
        let config = config.set("kernel", kernel);
        if !self.lookup {
            return config;
        }
        let led = format!("10.77.0.0/16:{LED_PORT}-{}", LED_PORT + 255);
        config.set("listeners.0.addresses", json!([led]))
    }

    /// Which assists are to be on, as `/config` names them.
    fn asked(self) -> [(Assist, bool); 4] {
        [
            (Assist::Steering, self.steering != "off"),
            (Assist::Shield, self.shield.is_some()),
            (Assist::Splice, self.splice == "on"),
            (Assist::Lookup, self.lookup),
        ]
    }
}

#[test]
fn all_combinations_of_assists_leave_every_byte_as_it_is() {
    if !Assist::ALL.into_iter().all(|assist| possible(TEST, assist)) {
        return;
    }
    let scene = Scene::new();
    let plain = scene.play(&Combination::NONE);
    expect_variety(&plain);
    for combination in Combination::all() {
        let transcript = scene.play(&combination);
        for (assist, asked) in combination.asked() {
            let on = &transcript.assists[assist.name()]["on"];
            assert_eq!(*on, Value::Bool(asked), "{combination:?}: {}", transcript.assists);
        }
        expect_equal(combination, &transcript, &plain);
    }
}

#[track_caller]
fn expect_equal(combination: Combination, one: &Transcript, other: &Transcript) {
    for ((name, one), (_, other)) in one.by_case.iter().zip(&other.by_case) {
        let text = |bytes: &[Vec<u8>]| bytes.iter().map(|one| lossy(one)).collect::<Vec<_>>();
        assert!(
            one.0 == other.0,
            "{combination:?}: {name}: the client received\n{}\ninstead of\n{}",
            lossy(&one.0),
            lossy(&other.0)
        );
        assert!(
            one.1 == other.1,
            "{combination:?}: {name}: the upstream received\n{:#?}\ninstead of\n{:#?}",
            text(&one.1),
            text(&other.1)
        );
    }
}

/// The corpus reaches what it is about: statuses of all kinds, and tunnels in both directions.
fn expect_variety(transcript: &Transcript) {
    let statuses: BTreeSet<&str> = transcript
        .by_case
        .values()
        .filter_map(|(seen, _)| std::str::from_utf8(seen.get(9..12)?).ok())
        .collect();
    let wanted = [
        "100", "101", "103", "200", "201", "204", "302", "304", "400", "401", "403", "404", "405",
        "413", "414", "417", "431", "500", "502",
    ];
    let missing: Vec<_> = wanted.iter().filter(|status| !statuses.contains(**status)).collect();
    assert!(missing.is_empty(), "no answer with {missing:?}; there are {statuses:?}");
    let (seen, received) = &transcript.by_case["websocket, much"];
    assert!(
        seen.len() > 200_000 && received[0].len() > 200_000,
        "{} {}",
        seen.len(),
        received[0].len()
    );
    assert!(transcript.by_case.len() >= 60, "{} cases", transcript.by_case.len());
}
