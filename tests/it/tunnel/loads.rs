//! Much at once: many bytes, many tunnels, readers that sleep.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use ringgate::relay::TunnelEnd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Limits, Noise, Outcome, Rig, Way};

#[test]
fn much_both_ways_arrives_byte_for_byte() {
    const BYTES: usize = 64 << 20;
    for way in Way::all("tunnel::loads::much") {
        let rig = Rig::start(way);
        let pair = rig.open(Limits::default());
        rig.wait_for_flows(2);
        let (client, server) = (&pair.client, &pair.server);
        thread::scope(|scope| {
            for (seed, from, to) in [(1, client, server), (2, server, client)] {
                scope.spawn(move || {
                    Noise::new(seed).write(&mut &*from, BYTES).unwrap();
                    from.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || {
                    Noise::new(seed).expect(&mut &*to, BYTES);
                    let behind = (&*to).read(&mut [0; 64]).unwrap();
                    assert_eq!(behind, 0, "{way:?}: more comes than was sent");
                });
            }
        });
        let bytes = BYTES as u64;
        let expected = Outcome { end: TunnelEnd::Closed, to_client: bytes, to_upstream: bytes };
        assert_eq!(pair.outcome(), expected, "{way:?}");
        let used = rig.finish();
        assert_eq!(used.through_pipes > 0, way == Way::Pipe, "{way:?}: {used:?}");
        assert_eq!(used.flows, if way == Way::Kernel { 2 } else { 0 });
    }
}

#[test]
fn five_hundred_tunnels_at_once() {
    const TUNNELS: u64 = 500;
    const BYTES: usize = 16 << 10;
    const ROUNDS: usize = 4;
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    for way in Way::all("tunnel::loads::five_hundred") {
        let rig = Rig::start(way);
        let open = |seed| (rig.open(Limits::default()), Noise::new(seed), Noise::new(seed));
        let mut tunnels: Vec<_> = (0..TUNNELS).map(open).collect();
        rig.wait_for_flows(2 * TUNNELS);
        for _ in 0..ROUNDS {
            for (pair, sent, _) in &mut tunnels {
                sent.clone().write(&mut &pair.client, BYTES).unwrap();
                sent.write(&mut &pair.server, BYTES).unwrap();
            }
            for (pair, _, received) in &mut tunnels {
                received.clone().expect(&mut &pair.server, BYTES);
                received.expect(&mut &pair.client, BYTES);
            }
        }
        for (pair, ..) in &tunnels {
            pair.client.shutdown(Shutdown::Write).unwrap();
            pair.server.shutdown(Shutdown::Write).unwrap();
        }
        let bytes = (ROUNDS * BYTES) as u64;
        let expected = Outcome { end: TunnelEnd::Closed, to_client: bytes, to_upstream: bytes };
        for (pair, ..) in &tunnels {
            assert_eq!(pair.outcome(), expected, "{way:?}");
        }
        let used = rig.finish();
        assert_eq!(used.flows, if way == Way::Kernel { 2 * TUNNELS } else { 0 });
    }
}

#[test]
fn a_reader_that_sleeps_stops_the_writer() {
    /// Four socket buffers, as large as they grow by default, a buffer of the gateway's, and the
    /// credit; without that the kernel takes gigabytes.
    const HELD_MAX: usize = 48 << 20;
    for way in Way::all("tunnel::loads::sleeping_reader") {
        let rig = Rig::start(way);
        let pair = rig.open(Limits::default());
        rig.wait_for_flows(2);
        pair.client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut noise, mut held) = (Noise::new(1), 0);
        let stuck = loop {
            match noise.write(&mut &pair.client, 1 << 20) {
                Ok(()) => held += 1 << 20,
                Err((taken, error)) => {
                    held += taken;
                    break error;
                }
            }
            assert!(held <= HELD_MAX, "{way:?}: {held} bytes are held for a reader that sleeps");
        };
        assert!(matches!(stuck.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stuck}");
        // The other direction goes on meanwhile.
        (&pair.server).write_all(b"still here").unwrap();
        let mut answer = [0; 10];
        (&pair.client).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"still here");
        // Awake again, it gets all of it, and what comes then.
        pair.client.set_write_timeout(Some(crate::harness::deadline::PATIENCE)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| Noise::new(1).expect(&mut &pair.server, held + (8 << 20)));
            noise.write(&mut &pair.client, 8 << 20).unwrap();
        });
        pair.client.shutdown(Shutdown::Write).unwrap();
        pair.server.shutdown(Shutdown::Write).unwrap();
        let to_upstream = (held + (8 << 20)) as u64;
        let expected = Outcome { end: TunnelEnd::Closed, to_client: 10, to_upstream };
        assert_eq!(pair.outcome(), expected, "{way:?}");
        rig.finish();
    }
}
