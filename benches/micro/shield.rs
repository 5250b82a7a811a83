//! What the shield's program costs a frame, in the kernel and on no interface: `BPF_PROG_TEST_RUN`
//! gives it the same frame a million times and says how long one took.
//!
//! As root. The lists hold 1,000 prefixes each, 1,000 sources are banned, and no limit is reached.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports")]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use ipnet::IpNet;
use ringgate::kernel::{BanMode, Off, Protection, Shield, Source, SynRate, Verdict};

/// Frames in a run, and runs: the median is told.
const REPEAT: u32 = 1_000_000;
const RUNS: usize = 9;
const LISTED: u32 = 1_000;

const LISTENER: [u8; 4] = [192, 0, 2, 1];
const PORT: u16 = 8080;
const STRANGER: [u8; 4] = [198, 51, 100, 7];
const ALLOWED: u32 = 0x0a00_0000;
const DENIED: u32 = 0x0b00_0000;
const BANNED: u32 = 0x0c00_0000;

const SYN: u8 = 2;
const ACK: u8 = 16;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Off> {
    let mut shield = protecting()?;
    let last = |first: u32| (first + LISTED - 1).to_be_bytes();
    let to_listener = |source, flags| frame(source, PORT, flags);
    println!("| frame | verdict | ns |\n|---|---|---|");
    for (name, frame, verdict) in [
        ("for another port", frame(STRANGER, 22, ACK), Verdict::PassedNotOurs),
        ("of an open connection", to_listener(STRANGER, ACK), Verdict::Passed),
        ("the first of a connection", to_listener(STRANGER, SYN), Verdict::Passed),
        ("of an allowed source", to_listener(last(ALLOWED), ACK), Verdict::PassedAllowed),
        ("of a denied source", to_listener(last(DENIED), SYN), Verdict::DroppedDenied),
        ("of a banned source", to_listener(last(BANNED), ACK), Verdict::DroppedBanned),
        ("SYN and FIN", to_listener(STRANGER, SYN | 1), Verdict::DroppedFlags),
    ] {
        let mut runs = [0; RUNS];
        let before = shield.counters()?.of(verdict);
        for run in &mut runs {
            let options =
                TestRunOptions { data_in: Some(&frame), repeat: REPEAT, ..TestRunOptions::new() };
            *run = shield.program()?.test_run(options)?.duration.as_nanos();
        }
        let met = shield.counters()?.of(verdict) - before;
        assert_eq!(met, RUNS as u64 * u64::from(REPEAT), "{name}: {}", verdict.name());
        runs.sort_unstable();
        println!("| {name} | `{}` | {} |", verdict.name(), runs[RUNS / 2]);
    }
    Ok(())
}

fn protecting() -> Result<Shield, Off> {
    let listed = |first: u32| -> Vec<IpNet> {
        let addresses = (first..first + LISTED).map(Ipv4Addr::from_bits);
        addresses.map(|address| IpAddr::from(address).into()).collect()
    };
    let mut shield = Shield::load()?;
    shield.protect(&Protection {
        listeners: [(LISTENER, PORT).into()].into(),
        allow: listed(ALLOWED),
        deny: listed(DENIED),
        trusted: Vec::new(),
        // None is ever above it.
        syn_rate: Some(SynRate { interval: Duration::from_nanos(1), burst: NonZeroU32::MAX }),
    })?;
    for address in BANNED..BANNED + LISTED {
        let source = Source::v4(address.to_be_bytes());
        shield.ban(source, Duration::from_secs(3600), BanMode::Enforced)?;
    }
    Ok(shield)
}

/// The smallest Ethernet frame with a TCP segment.
fn frame(source: [u8; 4], port: u16, flags: u8) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source);
    frame.extend(LISTENER);
    frame.extend(40_000_u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0; 8]);
    frame.extend([5 << 4, flags, 0, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}
