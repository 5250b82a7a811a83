//! The shield's verdict on single frames, in the kernel and by the parser built for this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use ringgate::kernel::{Assist, BanMode, Protection, Shield, Source, SynRate, Verdict};
use ringgate_packet::{Opaque, Parsed, Shape, parse};

use super::frames::{self, Case, corpus};
use super::possible;
use crate::harness::wait_until;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// What BPF_PROG_TEST_RUN takes at least: an Ethernet header.
const FRAME_BYTES_MIN: usize = 14;

fn protection() -> Protection {
    let net = |text: &str| text.parse().unwrap();
    Protection {
        listeners: frames::listeners().map(SocketAddr::from).into(),
        deny: vec![net("203.0.113.0/24"), net("2001:db8:0:9::/64")],
        allow: vec![net("203.0.113.128/25")],
        trusted: vec![net("198.51.100.69/32")],
        syn_rate: None,
    }
}

fn loaded() -> Shield {
    let mut shield = Shield::load().unwrap();
    shield.protect(&protection()).unwrap();
    let hour = Duration::from_secs(3600);
    let mut ban = |source, lifetime, mode| shield.ban(source, lifetime, mode).unwrap();
    ban(Source::v4(frames::BANNED_V4), hour, BanMode::Enforced);
    ban(Source::v6(frames::BANNED_V6), hour, BanMode::Enforced);
    ban(Source::v4(frames::SHADOWED_V4), hour, BanMode::Shadow);
    ban(Source::v4(frames::EXPIRED_V4), Duration::ZERO, BanMode::Enforced);
    ban(Source::v4(frames::TRUSTED_V4), hour, BanMode::Enforced);
    shield
}

/// Runs the program on a frame: what it says, and the one counter that moved.
fn run(shield: &mut Shield, frame: &[u8]) -> (u32, Verdict) {
    let before = shield.counters().unwrap();
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
    let action = shield.program().unwrap().test_run(options).unwrap().return_value;
    let after = shield.counters().unwrap();
    let moved: Vec<Verdict> =
        Verdict::ALL.into_iter().filter(|v| after.of(*v) != before.of(*v)).collect();
    assert_eq!(moved.len(), 1, "one verdict a frame");
    assert_eq!(after.of(moved[0]), before.of(moved[0]) + 1, "counted once");
    (action, moved[0])
}

#[test]
fn each_kind_of_frame_meets_its_verdict_in_the_kernel() {
    if !possible("kernel::verdicts", Assist::Shield) {
        return;
    }
    let mut shield = loaded();
    for Case { name, frame, verdict } in corpus() {
        assert!(frame.len() >= FRAME_BYTES_MIN, "{name}: too short for the kernel");
        let action = if verdict.is_drop() { XDP_DROP } else { XDP_PASS };
        assert_eq!(run(&mut shield, &frame), (action, verdict), "{name}");
    }
}

/// What the parser has to find for the program to come to a verdict; none where any segment will
/// do.
fn parsed_for(verdict: Verdict) -> Option<Result<Shape, Opaque>> {
    match verdict {
        Verdict::PassedNotTcp => Some(Err(Opaque::NotTcp)),
        Verdict::PassedOptions => Some(Err(Opaque::Options)),
        Verdict::PassedFragment => Some(Err(Opaque::Fragment)),
        Verdict::PassedExtension => Some(Err(Opaque::Extension)),
        Verdict::PassedUnreadable => Some(Err(Opaque::Unreadable)),
        Verdict::DroppedLength => Some(Ok(Shape::BadLength)),
        Verdict::DroppedFlags => Some(Ok(Shape::BadFlags)),
        Verdict::DroppedPort => Some(Ok(Shape::ZeroPort)),
        Verdict::DroppedSynRate => Some(Ok(Shape::Syn)),
        Verdict::PassedNotOurs
        | Verdict::PassedAllowed
        | Verdict::Passed
        | Verdict::PassedShadowBan
        | Verdict::DroppedDenied
        | Verdict::DroppedBanned => None,
    }
}

#[test]
fn the_parser_sees_the_same_on_this_machine() {
    let mut kinds = 0;
    for Case { name, frame, verdict } in corpus() {
        kinds += 1;
        let found = match parse(&frame.as_slice()) {
            Parsed::Segment(segment) => Ok(segment.shape),
            Parsed::Opaque(why) => Err(why),
        };
        match parsed_for(verdict) {
            Some(expected) => assert_eq!(found, expected, "{name}"),
            None => assert!(found.is_ok(), "{name}: {found:?}"),
        }
    }
    assert!(kinds >= 40, "{kinds} kinds of frames");
}

#[test]
fn handshakes_of_a_source_are_rationed_and_other_sources_are_not_concerned() {
    if !possible("kernel::verdicts", Assist::Shield) {
        return;
    }
    let mut shield = Shield::load().unwrap();
    // So long that no token comes back while the test runs.
    let interval = Duration::from_secs(3600);
    let syn_rate = Some(SynRate { interval, burst: NonZeroU32::new(3).unwrap() });
    shield.protect(&Protection { syn_rate, ..protection() }).unwrap();
    let mut verdict = |source: &str| {
        let source: IpAddr = source.parse().unwrap();
        run(&mut shield, &frames::syn_from(source)).1
    };
    let (passed, dropped) = (Verdict::Passed, Verdict::DroppedSynRate);
    let mut four = |source| [(); 4].map(|()| verdict(source));
    assert_eq!(four("198.51.100.1"), [passed, passed, passed, dropped]);
    assert_eq!(four("198.51.100.2"), [passed, passed, passed, dropped], "another address");
    assert_eq!(four("2001:db8:1::1"), [passed, passed, passed, dropped]);
    assert_eq!(verdict("2001:db8:1::2"), dropped, "the same /64");
    assert_eq!(verdict("2001:db8:1:1::1"), passed, "another /64");
    assert_eq!(verdict("203.0.113.200"), Verdict::PassedAllowed, "allowed sources have no limit");
}

#[test]
fn a_change_of_the_lists_holds_from_the_next_frame_on() {
    if !possible("kernel::verdicts", Assist::Shield) {
        return;
    }
    let mut shield = loaded();
    let denied = frames::syn_from(frames::DENIED_V4.into());
    let stranger = frames::syn_from(frames::STRANGER_V4.into());
    assert_eq!(run(&mut shield, &denied).1, Verdict::DroppedDenied);
    let deny = vec!["198.51.100.0/24".parse().unwrap()];
    shield.protect(&Protection { deny, ..protection() }).unwrap();
    assert_eq!(run(&mut shield, &denied).1, Verdict::Passed);
    assert_eq!(run(&mut shield, &stranger).1, Verdict::DroppedDenied);
    let listeners = [SocketAddr::from((frames::LISTENER_V4, frames::PORT + 9))].into();
    shield.protect(&Protection { listeners, ..protection() }).unwrap();
    assert_eq!(run(&mut shield, &stranger).1, Verdict::PassedNotOurs);
}

#[test]
fn a_full_list_gives_way_to_another_full_list() {
    if !possible("kernel::verdicts", Assist::Shield) {
        return;
    }
    // Two places are taken by loopback.
    const LISTED_MAX: u32 = 16_384 - 2;
    let addresses = |network: u32, count: u32| -> Protection {
        let nets = (0..count).map(|at| IpAddr::from(Ipv4Addr::from_bits(network + at)).into());
        Protection { deny: nets.collect(), allow: vec![], trusted: vec![], ..protection() }
    };
    let (ten, eleven) = (0x0a00_0000, 0x0b00_0000);
    let mut shield = Shield::load().unwrap();
    shield.protect(&addresses(ten, LISTED_MAX)).unwrap();
    shield.protect(&addresses(eleven, LISTED_MAX)).unwrap();
    let last = |network| Ipv4Addr::from_bits(network + LISTED_MAX - 1).into();
    assert_eq!(run(&mut shield, &frames::syn_from(last(ten))).1, Verdict::Passed);
    assert_eq!(run(&mut shield, &frames::syn_from(last(eleven))).1, Verdict::DroppedDenied);
    let refusal = shield.protect(&addresses(ten, LISTED_MAX + 1)).unwrap_err().to_string();
    assert_eq!(refusal, "16385 prefixes; 16384 at most");
    assert_eq!(run(&mut shield, &frames::syn_from(last(eleven))).1, Verdict::DroppedDenied);
}

#[test]
fn a_ban_ends_by_itself_and_by_hand() {
    if !possible("kernel::verdicts", Assist::Shield) {
        return;
    }
    let mut shield = loaded();
    let (source, frame) =
        (Source::v4(frames::BANNED_V4), frames::syn_from(frames::BANNED_V4.into()));
    let is_listed =
        |shield: &mut Shield| shield.bans().unwrap().into_iter().find(|ban| ban.source == source);
    let ban = is_listed(&mut shield).expect("a ban that holds");
    assert_eq!(ban.mode, BanMode::Enforced);
    assert!(ban.remaining <= Duration::from_secs(3600), "{:?}", ban.remaining);
    assert!(shield.lift(source));
    assert!(!shield.lift(source), "it is gone");
    assert_eq!(run(&mut shield, &frame).1, Verdict::Passed);

    shield.ban(source, Duration::from_millis(300), BanMode::Enforced).unwrap();
    assert_eq!(run(&mut shield, &frame).1, Verdict::DroppedBanned);
    wait_until("the end of the ban", || {
        (run(&mut shield, &frame).1 == Verdict::Passed).then_some(())
    });
    assert_eq!(is_listed(&mut shield), None);
}
