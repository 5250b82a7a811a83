//! A flood of SYNs from one source, while another opens connections.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringgate::kernel::{Assist, Protection, Shield, SynRate, Verdict, XdpChoice, XdpMode};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::namespace::Pair;
use super::possible;
use crate::harness::deadline::{pace, wait};

/// SYNs in a millisecond: many times what fills the queue of handshakes, and no more than the
/// queue of packets takes, which would lose those of the good source before any program sees them.
const BURST: u16 = 128;
const FLOODER: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 66);
/// SYNs before the first good connection.
const FLOOD: u64 = 10_000;
const GOOD: usize = 100;
const GOOD_EVERY: Duration = Duration::from_millis(50);
/// Enough for a SYN that is lost once.
const CONNECT_IN: Duration = Duration::from_millis(2500);

/// A SYN from a port of the flooder's, with its IPv4 header; the kernel sums the header, and the
/// sum over the segment is right.
fn syn(port: u16, to: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(to) = to else { panic!("the flood is IPv4") };
    let mut packet = vec![0; 40];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&40_u16.to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&FLOODER.octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[32] = 5 << 4;
    packet[33] = 2;
    packet[34..36].copy_from_slice(&1024_u16.to_be_bytes());
    // Over the addresses, the protocol, the length and the segment (RFC 9293, section 3.1).
    let words =
        packet[12..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum::<u32>() + 6 + 20;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[36..38].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    packet
}

/// Sends SYNs from the client's side until told to stop.
fn flood(to: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    socket.set_header_included_v4(true).unwrap();
    for port in (1024..u16::MAX).cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // The cable's queue may be full.
        if socket.send_to(&syn(port, to), &to.into()).is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        if port % BURST == 0 {
            pace(Duration::from_millis(1));
        }
    }
}

/// How many of the good connections succeed while the flood goes on.
fn good_connections(pair: &Pair, listener: &TcpListener) -> usize {
    let to = listener.local_addr().unwrap();
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let (flooded, good) = pair.client.run(|| {
        thread::scope(|scope| {
            // They are accepted, so that only the queue of handshakes can be full.
            scope.spawn(|| while listener.accept().is_ok() {});
            scope.spawn(|| flood(to, &stop, &sent));
            let flooded = wait(|| (sent.load(Ordering::Relaxed) > FLOOD).then_some(())).is_some();
            let connects: Vec<_> = (0..GOOD)
                .map(|_| {
                    pace(GOOD_EVERY);
                    scope.spawn(move || TcpStream::connect_timeout(&to, CONNECT_IN).is_ok())
                })
                .collect();
            let good = connects.into_iter().filter_map(|connect| connect.join().ok());
            let good = good.filter(|success| *success).count();
            stop.store(true, Ordering::Relaxed);
            SockRef::from(listener).shutdown(Shutdown::Both).unwrap();
            (flooded, good)
        })
    });
    assert!(flooded, "{sent:?} SYNs sent");
    good
}

#[test]
fn good_sources_connect_during_a_flood_with_the_shield_and_not_without() {
    if !possible("kernel::flood", Assist::Shield) {
        return;
    }
    let pair = Pair::new();
    // A listener each: the handshakes of a flood stay in its queue for a while.
    let (unprotected, protected) = pair.server.run(|| {
        let sysctl = |name: &str, value: &str| {
            std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
        };
        sysctl("tcp_syncookies", "0");
        sysctl("tcp_max_syn_backlog", "1024");
        let bind = || TcpListener::bind((Ipv4Addr::new(10, 88, 0, 1), 0)).unwrap();
        (bind(), bind())
    });
    let without = good_connections(&pair, &unprotected);
    assert!(without * 10 <= GOOD, "{without} of {GOOD} connect without the shield: no flood");

    let mut shield = pair.server.run(|| {
        let mut shield = Shield::load().unwrap();
        shield.attach("rg0", XdpChoice::Only(XdpMode::Generic)).unwrap();
        shield
    });
    // A quarter more than the good ones need; the flooder's share fills no queue.
    let syn_rate =
        SynRate { interval: Duration::from_millis(40), burst: NonZeroU32::new(25).unwrap() };
    let listeners = [protected.local_addr().unwrap()].into();
    let protection = Protection { listeners, syn_rate: Some(syn_rate), ..Protection::default() };
    shield.protect(&protection).unwrap();
    let with = good_connections(&pair, &protected);
    let dropped = shield.counters().unwrap().of(Verdict::DroppedSynRate);
    assert!(with * 100 >= GOOD * 98, "{with} of {GOOD} connect, {dropped} SYNs dropped");
    assert!(dropped > FLOOD / 2, "{dropped} SYNs dropped");
}
