//! A flood of SYNs from one source, while another opens connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ringgate::kernel::Assist;
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Pair;
use super::possible;
use crate::harness::deadline::{pace, wait};
use crate::harness::{Config, Gateway};

/// Nobody has this address: half-open connections to it stay until the kernel gives them up.
const FLOODER: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 66);
/// SYNs in a millisecond: enough to take every place in the queue of handshakes that becomes free,
/// and far from filling the kernel's queue of packets, where those of the good source would be lost
/// before any program sees them.
const BURST: u16 = 10;
/// SYNs that are dropped, by the listener or by the shield, before the first good connection: then the
/// queue is full, or the flooder's share is used up.
const FLOOD: f64 = 2_000.0;
/// Of `tcp_max_syn_backlog`; the kernel leaves the last quarter to peers that it knows. The SYNs of so
/// many half-open connections are answered again at one time, which with more of them overruns the
/// kernel's queue of packets, and what is not answered makes room for a good one.
const BACKLOG: &str = "512";
/// A quarter more than the good source needs. What the flooder has of it in the time of the test,
/// some 150, takes two fifths of the places.
const SYN_RATE: u32 = 25;
const GOOD: usize = 100;
const GOOD_EVERY: Duration = Duration::from_millis(50);
/// Enough for SYNs that are sent again after 1 s and 3 s.
const CONNECT_IN: Duration = Duration::from_secs(5);

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
fn flood(to: SocketAddr, stop: &AtomicBool) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
    socket.set_header_included_v4(true).unwrap();
    for port in (1024..u16::MAX).cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // The cable's queue may be full.
        let _ = socket.send_to(&syn(port, to), &to.into());
        if port % BURST == 0 {
            pace(Duration::from_millis(1));
        }
    }
}

/// Whether a request is answered on a new connection.
fn is_served(to: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&to, CONNECT_IN) else { return false };
    stream.set_read_timeout(Some(CONNECT_IN)).unwrap();
    let mut answer = [0; 12];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"HTTP/1.1 200"
}

/// SYNs for which the listeners of this namespace had no room.
fn dropped_by_listeners() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let [names, values] = [(); 2].map(|()| lines.next().unwrap().split(' '));
    let (_, value) = names.zip(values).find(|(name, _)| *name == "ListenDrops").unwrap();
    value.parse().unwrap()
}

/// How many of the good connections succeed while the flood goes on, and the frames that were
/// dropped as too many.
fn good_connections(shield: &Value) -> (usize, f64) {
    let pair = Pair::new();
    // What answers the flooder's SYNs leaves for nowhere. Without a neighbour of that address it would
    // fail now and then, and its half-open connection be given up at once.
    pair.server.ip(&format!("neigh add {FLOODER} lladdr 02:00:00:00:00:66 dev rg0 nud permanent"));
    let gateway = pair.server.run(|| {
        let settings = [
            ("tcp_syncookies", "0"),
            ("tcp_max_syn_backlog", BACKLOG),
            // A source that has once connected stays as unknown as the flooder.
            ("tcp_no_metrics_save", "1"),
        ];
        for (name, value) in settings {
            std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
        }
        let config = Config::new()
            .set("listeners.0.address", "10.88.0.1:0")
            .respond(json!({}), "hello")
            .set("kernel", json!({ "shield": shield }));
        Gateway::start(&config)
    });
    let to = gateway.address();
    let stop = AtomicBool::new(false);
    let dropped_by_shield = || {
        let metrics = pair.server.run(|| gateway.metrics());
        metrics.sum("ringgate_shield_frames_total", &["verdict=\"dropped_syn_rate\""])
    };
    let (flooded, good) = pair.client.run(|| {
        thread::scope(|scope| {
            scope.spawn(|| flood(to, &stop));
            let dropped = || pair.server.run(dropped_by_listeners) + dropped_by_shield();
            let flooded = wait(|| (dropped() > FLOOD).then_some(())).is_some();
            let requests: Vec<_> = (0..GOOD)
                .map(|_| {
                    pace(GOOD_EVERY);
                    scope.spawn(move || is_served(to))
                })
                .collect();
            let good = requests.into_iter().filter_map(|request| request.join().ok());
            let good = good.filter(|served| *served).count();
            stop.store(true, Ordering::Relaxed);
            (flooded, good)
        })
    });
    assert!(flooded, "too few SYNs arrive");
    (good, dropped_by_shield())
}

#[test]
fn good_sources_are_served_during_a_flood_with_the_shield_and_not_without() {
    if !possible("kernel::flood", Assist::Shield) {
        return;
    }
    let (without, _) = good_connections(&json!({}));
    assert!(without * 10 <= GOOD, "{without} of {GOOD} are served without the shield: no flood");
    let shield =
        json!({ "interfaces": ["rg0"], "mode": "generic", "syn_rate_per_source": SYN_RATE });
    let (with, dropped) = good_connections(&shield);
    assert!(with * 100 >= GOOD * 98, "{with} of {GOOD} are served, {dropped} SYNs dropped");
    assert!(dropped > FLOOD, "{dropped} SYNs dropped");
}
