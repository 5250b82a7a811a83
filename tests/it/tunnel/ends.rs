//! How tunnels end: half-closed, reset, killed, idle, cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ringgate::relay::TunnelEnd;
use tokio::sync::oneshot;

use super::{Limits, Noise, Outcome, Rig, Way};
use crate::harness::wait_until;

const BYTES: usize = 300_000;

/// Sends so many bytes of a stream through.
#[track_caller]
fn send(mut from: &TcpStream, mut to: &TcpStream, seed: u64, length: usize) {
    let (mut sent, mut received) = (Noise::new(seed), Noise::new(seed));
    sent.write(&mut from, length).unwrap();
    received.expect(&mut to, length);
}

#[track_caller]
fn expect_end(mut stream: &TcpStream) {
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0, "the end of the stream");
}

#[track_caller]
fn expect_reset(mut stream: &TcpStream) {
    let error = stream.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_half_closed_tunnel_goes_on_the_other_way() {
    for way in Way::all("tunnel::ends::half_closed") {
        let rig = Rig::start(way);
        for seed in 0..10 {
            let pair = rig.open(Limits::default());
            let (mut first, mut second) = (&pair.client, &pair.server);
            if seed % 2 == 1 {
                (first, second) = (second, first);
            }
            // More than the tunnel has read when the end is there.
            let mut sent = Noise::new(seed);
            sent.write(&mut first, BYTES).unwrap();
            first.shutdown(Shutdown::Write).unwrap();
            Noise::new(seed).expect(&mut second, BYTES);
            expect_end(second);
            for round in 0..3 {
                send(second, first, seed + 100 + round, 1000);
            }
            send(second, first, seed, BYTES);
            second.shutdown(Shutdown::Write).unwrap();
            expect_end(first);
            let (up, down) = (BYTES as u64, BYTES as u64 + 3000);
            let (to_upstream, to_client) = if seed % 2 == 1 { (down, up) } else { (up, down) };
            let expected = Outcome { end: TunnelEnd::Closed, to_client, to_upstream };
            assert_eq!(pair.outcome(), expected, "{way:?}");
        }
        rig.finish();
    }
}

#[test]
fn a_reset_is_passed_on() {
    for way in Way::all("tunnel::ends::reset") {
        let rig = Rig::start(way);
        for seed in 0..20 {
            let pair = rig.open(Limits::default());
            let (mut first, mut second) = (&pair.client, &pair.server);
            if seed % 2 == 1 {
                (first, second) = (second, first);
            }
            send(first, second, seed, 5000);
            send(second, first, seed, 5000);
            let is_half_closed = seed % 4 >= 2;
            if is_half_closed {
                // Nobody receives from it any more when it is reset.
                first.shutdown(Shutdown::Write).unwrap();
                expect_end(second);
                send(second, first, seed, 100);
            }
            rustix::net::connect_unspec(first).unwrap();
            if is_half_closed || seed % 8 >= 4 {
                // One who only sends sees it too.
                while second.write(&[0; 1000]).is_ok() {}
            } else {
                expect_reset(second);
            }
            assert_eq!(pair.outcome().end, TunnelEnd::Failed, "{way:?} {seed}");
        }
        rig.finish();
    }
}

#[test]
fn one_who_is_gone_with_bytes_unread_ends_the_tunnel() {
    for way in Way::all("tunnel::ends::killed") {
        let rig = Rig::start(way);
        for seed in 0..10 {
            let pair = rig.open(Limits::default());
            send(&pair.client, &pair.server, seed, 5000);
            let super::Pair { client, server, .. } = &pair;
            let (survivor, mut other) =
                if seed % 2 == 0 { (client, server) } else { (server, client) };
            let mut noise = Noise::new(seed);
            noise.write(&mut other, 100).unwrap();
            wait_until("bytes", || (survivor.peek(&mut [0; 1]).ok()? == 1).then_some(()));
            // As the kernel does for a process that is killed.
            other.shutdown(Shutdown::Both).unwrap();
            Noise::new(seed).expect(&mut &*survivor, 100);
            let mut writing = survivor;
            while writing.write(&[0; 1000]).is_ok() {}
            assert_eq!(pair.outcome().end, TunnelEnd::Failed, "{way:?} {seed}");
        }
        rig.finish();
    }
}

#[test]
fn an_idle_tunnel_ends_and_one_that_is_not_lasts() {
    const IDLE: Duration = Duration::from_millis(300);
    for way in Way::all("tunnel::ends::idle") {
        let rig = Rig::start(way);
        let pair = rig.open(Limits { idle: IDLE, cut: None });
        let began = Instant::now();
        let mut last = began;
        let mut sent = 0;
        while began.elapsed() < IDLE * 3 {
            // Before the tunnel sees it: this thread may be late with seeing it arrive.
            last = Instant::now();
            send(&pair.client, &pair.server, 1, 10);
            sent += 10;
            std::thread::sleep(IDLE / 10);
        }
        expect_end(&pair.server);
        expect_end(&pair.client);
        assert!(last.elapsed() >= IDLE, "{way:?}: idle for {:?} only", last.elapsed());
        let expected = Outcome { end: TunnelEnd::Idle, to_client: 0, to_upstream: sent };
        assert_eq!(pair.outcome(), expected, "{way:?}");
        rig.finish();
    }
}

#[test]
fn a_tunnel_is_cut_while_it_is_quiet_and_while_it_is_not() {
    for way in Way::all("tunnel::ends::cut") {
        let rig = Rig::start(way);
        for busy in [false, true] {
            let (cut, is_cut) = oneshot::channel();
            let pair = rig.open(Limits { cut: Some(is_cut), ..Limits::default() });
            send(&pair.client, &pair.server, 1, 10_000);
            send(&pair.server, &pair.client, 1, 10_000);
            std::thread::scope(|scope| {
                let writing = scope.spawn(|| {
                    let mut noise = Noise::new(2);
                    while busy && noise.write(&mut &pair.client, 10_000).is_ok() {}
                });
                if busy {
                    Noise::new(2).expect(&mut &pair.server, 100_000);
                }
                cut.send(()).unwrap();
                let outcome = pair.outcome();
                assert_eq!(outcome.end, TunnelEnd::Cut, "{way:?}");
                assert_eq!(outcome.to_client, 10_000);
                writing.join().unwrap();
            });
            if !busy {
                expect_end(&pair.server);
                expect_end(&pair.client);
            }
        }
        rig.finish();
    }
}

#[test]
fn a_tunnel_whose_ends_are_gone_before_it_begins_passes_all_on() {
    for way in Way::all("tunnel::ends::gone_before") {
        let rig = Rig::start(way);
        let ((client, front), (server, back)) =
            (super::rig::connection(), super::rig::connection());
        Noise::new(1).write(&mut &client, 1000).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        Noise::new(2).write(&mut &server, 1000).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        for stream in [&front, &back] {
            wait_until("the end", || {
                let mut bytes = [0; 1001];
                (stream.peek(&mut bytes).unwrap() == 1000).then_some(())
            });
        }
        let pair = rig.lead(client, front, server, back, Limits::default());
        Noise::new(1).expect(&mut &pair.server, 1000);
        Noise::new(2).expect(&mut &pair.client, 1000);
        expect_end(&pair.server);
        expect_end(&pair.client);
        let expected = Outcome { end: TunnelEnd::Closed, to_client: 1000, to_upstream: 1000 };
        assert_eq!(pair.outcome(), expected, "{way:?}");
        rig.finish();
    }
}
