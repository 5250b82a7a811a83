//! Addresses and ports that a configuration leads to a listener, in a gateway that runs.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use ringgate::kernel::Assist;
use serde_json::{Value, json};

use super::lookup::many_addresses;
use super::possible;
use super::workers::{batch, cpus, on_cpu};
use crate::harness::message::read_response;
use crate::harness::wire::Wire;
use crate::harness::{Client, Config, Gateway, WireError, wait_until};

const TEST: &str = "kernel::led";

/// Two workers, and these listeners, each of which answers with its name.
fn answering_names(listeners: &Value) -> Config {
    let config = Config::new().set("workers", 2).set("listeners", listeners.clone());
    let names = listeners.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap());
    names
        .fold(config, |config, name| config.respond(json!({ "path": "/", "listener": name }), name))
}

/// The name of the listener that a connection to this address reaches.
fn reached(to: SocketAddr) -> Option<String> {
    try_to_reach(to).unwrap_or_else(|error| panic!("no answer from {to}: {error:?}"))
}

/// As [`reached`]; a connection that its listener had when a reload took it out is closed.
fn try_to_reach(to: SocketAddr) -> Result<Option<String>, WireError> {
    let stream = match TcpStream::connect(to) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) => panic!("{to}: {error}"),
    };
    let mut wire = Wire::tcp(stream);
    wire.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    read_response(&mut wire, "GET").map(|response| Some(response.text()))
}

fn v4(last: [u8; 2], port: u16) -> SocketAddr {
    (Ipv4Addr::new(10, 77, last[0], last[1]), port).into()
}

fn v6(last: u16, port: u16) -> SocketAddr {
    (Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, last), port).into()
}

#[test]
fn a_hundred_addresses_with_ten_ports_each_reach_their_listener() {
    if !possible(TEST, Assist::Lookup) {
        return;
    }
    many_addresses().run(|| {
        let gateway = Gateway::start(&answering_names(&json!([
            { "name": "four", "address": "127.0.0.1:0",
              "addresses": ["10.77.0.0/16:2000-2009", "10.77.9.9:80"] },
            { "name": "narrow", "address": "127.0.0.2:0", "addresses": ["10.77.5.0/24:2005"] },
            { "name": "six", "address": "[::1]:0", "addresses": ["[fd77:1::/32]:2000-2009"] },
        ])));
        for host in 1..=100 {
            for port in 2000..2010 {
                assert_eq!(reached(v4([1, host], port)).as_deref(), Some("four"), "{host} {port}");
                let host = u16::from(host);
                assert_eq!(reached(v6(host, port)).as_deref(), Some("six"), "{host} {port}");
            }
        }
        for (to, expected) in [
            (v4([9, 9], 80), Some("four")),
            (v4([9, 8], 80), None),
            (v4([1, 1], 1999), None),
            (v4([1, 1], 2010), None),
            (v4([5, 1], 2005), Some("narrow")),
            (v4([5, 1], 2006), Some("four")),
            (v6(1, 2010), None),
            (gateway.listener("four"), Some("four")),
            (gateway.listener("six"), Some("six")),
        ] {
            assert_eq!(reached(to).as_deref(), expected, "{to}");
        }
        let told = gateway.admin("/config").json();
        assert_eq!(
            told["listeners"][0]["led"],
            json!(["10.77.0.0/16:2000-2009", "10.77.9.9/32:80"])
        );
        assert_eq!(told["kernel"]["lookup"]["how"], "ranges: 4, listeners: 3");
    });
}

#[test]
fn ranges_follow_a_reload_and_connections_of_former_ones_stay() {
    if !possible(TEST, Assist::Lookup) {
        return;
    }
    many_addresses().run(|| {
        let led = |a: Value, b: Value| {
            answering_names(&json!([
                { "name": "a", "address": "127.0.0.1:0", "addresses": a },
                { "name": "b", "address": "127.0.0.2:0", "addresses": b },
            ]))
        };
        // Nobody asked for it at first.
        let gateway = Gateway::start(&led(json!([]), json!([])));
        assert_eq!(reached(v4([1, 1], 2000)), None);
        let led_to = |port: u16, name: &str| {
            wait_until(&format!("{port} to lead to {name}"), || {
                (reached(v4([1, 1], port)).as_deref() == Some(name)).then_some(())
            });
        };
        let led_on_to = |port: u16, name: &str| {
            wait_until(&format!("{port} to lead on to {name}"), || {
                let reached = try_to_reach(v4([1, 1], port)).ok()?;
                (reached.as_deref() == Some(name)).then_some(())
            });
        };
        gateway.reload(led(json!(["10.77.0.0/16:2000"]), json!([])));
        led_to(2000, "a");
        let mut kept = Client::connect(v4([1, 1], 2000));
        assert_eq!(kept.get("/").text(), "a");
        gateway.reload(led(json!(["10.77.0.0/16:3000"]), json!(["10.77.0.0/16:2000"])));
        led_to(2000, "b");
        led_to(3000, "a");
        // The listener that is led to goes, and another one comes.
        gateway.reload(answering_names(&json!([
            { "name": "a", "address": "127.0.0.1:0" },
            { "name": "c", "address": "127.0.0.3:0", "addresses": ["10.77.0.0/16:2000-3000"] },
        ])));
        led_on_to(2000, "c");
        led_to(3000, "c");
        assert_eq!(kept.get("/").text(), "a", "a connection keeps its listener");
        gateway.reload(led(json!([]), json!([])));
        wait_until("lookup to be off", || {
            let told = &gateway.admin("/config").json()["kernel"]["lookup"];
            (told == &json!({ "on": false, "why": "no listener has addresses" })).then_some(())
        });
        assert_eq!(reached(v4([1, 1], 2000)), None);
    });
}

#[test]
fn the_steering_of_a_listener_holds_for_what_is_led_to_it() {
    if !possible(TEST, Assist::Steering) {
        return;
    }
    let Some([first, second]) = cpus(TEST) else { return };
    many_addresses().run(|| {
        let listeners = json!([
            { "name": "a", "address": "127.0.0.1:0", "addresses": ["10.77.0.0/16:2000"] },
        ]);
        let gateway = Gateway::start(&answering_names(&listeners).set("kernel.steering", "cpu"));
        on_cpu(first, || batch(&gateway, v4([1, 1], 2000), [0, 0], [40, 0]));
        on_cpu(second, || batch(&gateway, v4([1, 2], 2000), [0, 0], [0, 40]));
    });
}
