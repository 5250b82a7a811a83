//! Splicing: every byte arrives, once and in order, and what the kernel may not move is handed back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use ringgate::kernel::{Assist, Flow, Off, Splice};

use super::namespace::Namespace;
use super::possible;
use super::wire::Wire;
use crate::harness::wait_until;

const TEST: &str = "kernel::splice";
const NO_LIMIT: u64 = u64::MAX;

/// A connection: the end of the peer, and the end of the gateway.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    for stream in [&peer, &ours] {
        stream.set_nodelay(true).unwrap();
    }
    (peer, ours)
}

/// Bytes that differ from place to place, so that a lost, doubled or moved one shows.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}

fn exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn is_handed_over(flow: &Flow, sink: &TcpStream) -> Option<()> {
    (flow.handed_over(sink).unwrap() >= flow.forwarded()).then_some(())
}

#[test]
fn both_directions_of_many_tunnels_at_once_arrive_byte_for_byte() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    const TUNNELS: u64 = 8;
    const BYTES: usize = 4 << 20;
    let mut splice = Splice::load(64).unwrap();
    let mut tunnels = Vec::new();
    for seed in 0..TUNNELS {
        let ((client, front), (server, back)) = (connection(), connection());
        let forth = splice.join(&front, &back, NO_LIMIT).unwrap();
        let back_flow = splice.join(&back, &front, NO_LIMIT).unwrap();
        tunnels.push((seed, client, server, front, back, forth, back_flow));
    }
    thread::scope(|scope| {
        for (seed, client, server, ..) in &tunnels {
            for (from, to, seed) in [(client, server, *seed), (server, client, *seed + 1000)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                scope.spawn(move || from.write_all(&noise(seed, BYTES)).unwrap());
                scope.spawn(move || {
                    assert!(exactly(&mut to, BYTES) == noise(seed, BYTES), "tunnel {seed}");
                });
            }
        }
    });
    for (seed, _, _, _, _, forth, back) in &tunnels {
        assert_eq!((forth.forwarded(), back.forwarded()), (BYTES as u64, BYTES as u64), "{seed}");
        assert!(!forth.is_returned() && !back.is_returned(), "tunnel {seed}");
    }
}

#[test]
fn what_waited_before_the_splice_goes_first() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(2).unwrap();
    for seed in 0..50 {
        let ((mut client, front), (mut server, back)) = (connection(), connection());
        let bytes = noise(seed, 20_000);
        client.write_all(&bytes[..10_000]).unwrap();
        wait_until("bytes in the queue", || (front.peek(&mut [0; 1]).unwrap() == 1).then_some(()));
        let flow = splice.join(&front, &back, NO_LIMIT).unwrap();
        client.write_all(&bytes[10_000..]).unwrap();
        assert!(exactly(&mut server, 20_000) == bytes, "run {seed}");
        splice.part(&flow);
    }
}

#[test]
fn what_was_read_before_the_splice_is_not_sent_on() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(2).unwrap();
    for seed in 0..50 {
        let ((mut client, mut front), (mut server, back)) = (connection(), connection());
        let bytes = noise(seed, 200_000);
        client.write_all(&bytes[..150_000]).unwrap();
        // Up to the middle of a segment, so that the program sees the rest with what came before.
        let read = 1 + usize::try_from(seed).unwrap() * 2999;
        assert!(exactly(&mut front, read) == bytes[..read]);
        let flow = splice.join(&front, &back, NO_LIMIT).unwrap();
        client.write_all(&bytes[150_000..]).unwrap();
        assert!(exactly(&mut server, 200_000 - read) == bytes[read..], "run {seed}");
        assert_eq!(flow.forwarded(), (200_000 - read) as u64);
        splice.part(&flow);
    }
}

#[test]
fn what_comes_again_with_something_new_is_sent_on_once() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    const CREDIT: u64 = 1000;
    // Before it the segment that overlaps, is read, is forwarded, or passes for want of credit.
    for (is_read, credit) in [(true, NO_LIMIT), (false, NO_LIMIT), (false, CREDIT)] {
        // A wire of its own, on which nothing else passes.
        Namespace::new().run(|| overlap(is_read, credit));
    }
}

/// Sends 1000 bytes, and then a segment with 600 of them and 500 new ones.
fn overlap(is_read: bool, credit: u64) {
    let mut splice = Splice::load(1).unwrap();
    let wire = Wire::tap();
    let ((mut client, mut front), (mut server, back)) = (connection(), connection());
    let bytes = noise(1, 1500);
    let flow = if is_read {
        client.write_all(&bytes[..1000]).unwrap();
        assert_eq!(exactly(&mut front, 1000), bytes[..1000]);
        splice.join(&front, &back, credit).unwrap()
    } else {
        let flow = splice.join(&front, &back, credit).unwrap();
        client.write_all(&bytes[..1000]).unwrap();
        assert_eq!(exactly(&mut server, 1000), bytes[..1000]);
        flow
    };
    let before = flow.forwarded();
    // What is there already is other bytes, so that they show.
    let mut again = vec![b'!'; 600];
    again.extend(&bytes[1000..]);
    wire.send(&wire.segment_of(&client, 1000), 400, &again);
    let is_left = before == credit;
    let reader = if is_left { &mut front } else { &mut server };
    assert_eq!(exactly(reader, 500), bytes[1000..]);
    assert_eq!(flow.forwarded(), if is_left { before } else { before + 500 });
    assert!(!flow.is_broken());
    assert_eq!(Flow::received(&front).unwrap(), 1500);
    // The client's TCP knows nothing of these bytes, and would not close in peace.
    rustix::net::connect_unspec(&front).unwrap();
}

#[test]
fn connections_of_both_families_are_spliced() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(1).unwrap();
    // The last one is of IPv4 by a socket of IPv6.
    for (listen, connect) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")] {
        let listener = TcpListener::bind((listen, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect((connect, port)).unwrap();
        let (front, _) = listener.accept().unwrap();
        let (mut server, back) = connection();
        let flow = splice.join(&front, &back, NO_LIMIT).unwrap();
        client.write_all(b"through").unwrap();
        assert_eq!(exactly(&mut server, 7), b"through", "{listen}");
        splice.part(&flow);
    }
}

#[test]
fn one_end_closes_and_the_other_direction_goes_on() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(2).unwrap();
    for seed in 0..20 {
        let ((mut client, mut front), (mut server, back)) = (connection(), connection());
        let forth = splice.join(&front, &back, NO_LIMIT).unwrap();
        let back_flow = splice.join(&back, &front, NO_LIMIT).unwrap();
        let request = noise(seed, 300_000);
        let reader = {
            let mut server = server.try_clone().unwrap();
            thread::spawn(move || {
                let mut all = Vec::new();
                server.read_to_end(&mut all).unwrap();
                all
            })
        };
        client.write_all(&request).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // The end of the stream is the gateway's to see and to pass on.
        assert_eq!(front.read(&mut [0; 64]).unwrap(), 0, "no byte is left to the gateway");
        wait_until("what was forwarded", || is_handed_over(&forth, &back));
        assert_eq!(forth.forwarded(), request.len() as u64);
        assert!(back.take_error().unwrap().is_none(), "an end is no failure of the sink");
        back.shutdown(Shutdown::Write).unwrap();
        assert!(reader.join().unwrap() == request, "run {seed}");

        server.write_all(b"answer").unwrap();
        assert_eq!(exactly(&mut client, 6), b"answer");
        splice.part(&forth);
        splice.part(&back_flow);
    }
}

#[test]
fn a_used_up_credit_hands_the_rest_back_in_order() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    const CREDIT: u64 = 256 << 10;
    const BYTES: usize = 3 << 20;
    let mut splice = Splice::load(1).unwrap();
    let ((mut client, mut front), (mut server, mut back)) = (connection(), connection());
    let flow = splice.join(&front, &back, CREDIT).unwrap();
    let sender = thread::spawn(move || client.write_all(&noise(1, BYTES)).unwrap());
    wait_until("the end of the credit", || flow.is_returned().then_some(()));
    let forwarded = flow.forwarded();
    assert!(forwarded > 0 && forwarded <= CREDIT, "{forwarded}");
    // Sticky: more credit does not bring the flow back, which would reorder the bytes.
    flow.set_credit(NO_LIMIT);
    wait_until("what was forwarded", || is_handed_over(&flow, &back));
    let reader = thread::spawn(move || exactly(&mut server, BYTES));
    let mut rest = BYTES - usize::try_from(forwarded).unwrap();
    let mut buffer = vec![0; 64 << 10];
    while rest > 0 {
        let length = front.read(&mut buffer).unwrap();
        assert!(length > 0, "{rest} bytes are missing");
        back.write_all(&buffer[..length]).unwrap();
        rest -= length;
    }
    assert!(reader.join().unwrap() == noise(1, BYTES));
    sender.join().unwrap();
    assert_eq!(flow.forwarded(), forwarded);
}

#[test]
fn a_parted_flow_is_the_gateway_s_again_and_its_place_is_free() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(1).unwrap();
    let ((mut client, mut front), (mut server, back)) = (connection(), connection());
    let flow = splice.join(&front, &back, NO_LIMIT).unwrap();
    let full = splice.join(&back, &front, NO_LIMIT).unwrap_err();
    assert!(matches!(full, Off::TooMany { count: 2, max: 1, .. }), "{full}");
    client.write_all(b"first").unwrap();
    assert_eq!(exactly(&mut server, 5), b"first");
    splice.part(&flow);
    client.write_all(b"second").unwrap();
    assert_eq!(exactly(&mut front, 6), b"second");
    let flow = splice.join(&back, &front, NO_LIMIT).unwrap();
    server.write_all(b"third").unwrap();
    assert_eq!(exactly(&mut client, 5), b"third");
    assert_eq!(flow.forwarded(), 5, "counted from the new flow's start");
}

#[test]
fn a_socket_that_is_not_established_is_refused_and_takes_no_place() {
    if !possible(TEST, Assist::Splice) {
        return;
    }
    let mut splice = Splice::load(1).unwrap();
    let ((client, mut front), (_server, back)) = (connection(), connection());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(front.read(&mut [0]).unwrap(), 0);
    let refused = splice.join(&front, &back, NO_LIMIT).unwrap_err();
    assert!(matches!(refused, Off::Call { call: "bpf_sk_lookup_tcp", .. }), "{refused}");
    assert!(matches!(splice.join(&back, &front, NO_LIMIT), Err(Off::Map(_))));
    let ((_client, front), (_server, back)) = (connection(), connection());
    assert!(splice.join(&front, &back, NO_LIMIT).is_ok());
}
