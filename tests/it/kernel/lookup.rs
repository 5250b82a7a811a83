//! Lookup: addresses and ports that nobody bound reach a listener, which sees where they went.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use ringgate::kernel::{Assist, Lookup, Range, Ranges};

use super::namespace::Namespace;
use super::possible;
use crate::harness::wait_until;

const TEST: &str = "kernel::lookup";

/// A namespace in which all of 10.77.0.0/16 and fd77::/16 is this host.
pub fn many_addresses() -> Namespace {
    let namespace = Namespace::new();
    namespace.ip("route add local 10.77.0.0/16 dev lo");
    namespace.ip("-6 route add local fd77::/16 dev lo");
    namespace
}

fn range(addresses: &str, ports: std::ops::RangeInclusive<u16>, listener: u32) -> Range {
    Range { addresses: addresses.parse().unwrap(), ports, listener }
}

/// Where a connection to this address ends up: at which listener, as which local address.
fn reached(to: &str, listeners: &[&TcpListener]) -> Option<(usize, SocketAddr)> {
    let to: SocketAddr = to.parse().unwrap();
    match TcpStream::connect(to) {
        Ok(client) => {
            // The client may be done a moment before the end of the handshake is in the queue.
            Some(wait_until("a listener to have the connection", || {
                listeners.iter().enumerate().find_map(|(number, listener)| {
                    let (stream, from) = listener.accept().ok()?;
                    assert_eq!(from, client.local_addr().unwrap());
                    Some((number, stream.local_addr().unwrap()))
                })
            }))
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{to}");
            None
        }
    }
}

fn listener(address: &str) -> TcpListener {
    let address: IpAddr = address.parse().unwrap();
    let listener = TcpListener::bind((address, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

#[test]
fn ranges_lead_to_their_listeners_and_keep_the_destination() {
    if !possible(TEST, Assist::Lookup) {
        return;
    }
    many_addresses().run(|| {
        let (first, second) = (listener("127.0.0.1"), listener("127.0.0.1"));
        let third = listener("::1");
        let listeners = [&first, &second, &third];
        let mut lookup = Lookup::load().unwrap();
        for (place, listener) in (0..).zip(listeners) {
            lookup.set_listener(place, listener).unwrap();
        }
        lookup.attach().unwrap();
        assert_eq!(reached("10.77.1.5:2000", &listeners), None, "no ranges yet");

        let ranges = [
            range("10.77.0.0/16", 2000..=2099, 0),
            range("10.77.2.0/24", 2050..=2050, 1),
            range("fd77:1::/48", 2000..=2000, 2),
        ];
        lookup.lead(&Ranges::new(&ranges).unwrap()).unwrap();
        let cases = [
            ("10.77.1.5:2000", Some(0)),
            ("10.77.255.254:2099", Some(0)),
            ("10.77.1.5:1999", None),
            ("10.77.1.5:2100", None),
            ("10.77.2.9:2050", Some(1)),
            ("10.77.2.9:2051", Some(0)),
            ("10.77.3.9:2050", Some(0)),
            ("[fd77:1::5]:2000", Some(2)),
            ("[fd77:1::5]:2001", None),
            ("[fd77:2::5]:2000", None),
        ];
        for (to, number) in cases {
            let expected = number.map(|number| (number, to.parse().unwrap()));
            assert_eq!(reached(to, &listeners), expected, "{to}");
        }

        lookup.lead(&Ranges::new(&ranges[1..2]).unwrap()).unwrap();
        assert_eq!(reached("10.77.1.5:2000", &listeners), None, "taken out");
        assert!(reached("10.77.2.9:2050", &listeners).is_some(), "still there");
        drop(lookup);
        assert_eq!(reached("10.77.2.9:2050", &listeners), None, "detached");
    });
}

#[test]
fn a_listener_that_is_gone_or_of_the_other_family_leaves_the_port_closed() {
    if !possible(TEST, Assist::Lookup) {
        return;
    }
    many_addresses().run(|| {
        let (closing, v4) = (listener("127.0.0.1"), listener("127.0.0.1"));
        let mut lookup = Lookup::load().unwrap();
        lookup.set_listener(0, &closing).unwrap();
        lookup.set_listener(1, &v4).unwrap();
        let ranges = [range("10.77.0.0/16", 1..=65535, 0), range("fd77::/16", 1..=65535, 1)];
        lookup.lead(&Ranges::new(&ranges).unwrap()).unwrap();
        lookup.attach().unwrap();
        assert!(reached("10.77.1.5:2000", &[&closing]).is_some());
        drop(closing);
        assert_eq!(reached("10.77.1.5:2000", &[]), None);
        assert_eq!(reached("[fd77::5]:2000", &[&v4]), None);
    });
}
