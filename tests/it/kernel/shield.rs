//! The shield on an interface: what it lets through, while it is changed, and what it leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use ringgate::kernel::{Assist, Off, Protection, Shield, Verdict, XdpChoice, XdpMode};

use super::namespace::{Namespace, Pair};
use super::possible;
use crate::harness::wait_until;

const TEST: &str = "kernel::shield";
/// Longer than a handshake over a cable in memory takes, and shorter than its second try.
const TRY: Duration = Duration::from_millis(400);

fn attached(interface: &Namespace, choice: XdpChoice) -> Shield {
    interface.run(|| {
        let mut shield = Shield::load().unwrap();
        let attached = shield.attach("rg0", choice).unwrap();
        if let XdpChoice::Only(mode) = choice {
            assert_eq!(attached.mode, mode);
        }
        shield
    })
}

/// A listener in the namespace of the server, whose connections the kernel keeps.
fn listener(pair: &Pair, address: &str) -> TcpListener {
    pair.server.run(|| TcpListener::bind((address, 0)).unwrap())
}

fn connects(pair: &Pair, to: SocketAddr) -> bool {
    pair.client.run(|| TcpStream::connect_timeout(&to, TRY).is_ok())
}

#[test]
fn lists_change_under_traffic_in_both_modes() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    for mode in [XdpMode::Native, XdpMode::Generic] {
        let pair = Pair::new();
        for (address, denied) in [("10.88.0.1", "10.88.0.2/32"), ("fd88::1", "fd88::/64")] {
            let listener = listener(&pair, address);
            let to = listener.local_addr().unwrap();
            let mut shield = attached(&pair.server, XdpChoice::Only(mode));
            let protection = Protection { listeners: [to].into(), ..Protection::default() };
            let denied = vec![denied.parse().unwrap()];

            shield.protect(&protection).unwrap();
            let mut stream = pair.client.run(|| TcpStream::connect(to).unwrap());
            let (mut accepted, _) = listener.accept().unwrap();
            stream.write_all(b"before").unwrap();
            accepted.read_exact(&mut [0; 6]).unwrap();

            shield.protect(&Protection { deny: denied.clone(), ..protection.clone() }).unwrap();
            assert!(!connects(&pair, to), "{mode:?} {to}: denied");
            stream.write_all(b"while").unwrap();
            wait_until("a dropped segment of the connection", || {
                (shield.counters().unwrap().of(Verdict::DroppedDenied) > 1).then_some(())
            });

            shield
                .protect(&Protection { allow: denied.clone(), deny: denied, ..protection })
                .unwrap();
            assert!(connects(&pair, to), "{mode:?} {to}: allowed");
            accepted.read_exact(&mut [0; 5]).unwrap();
        }
    }
}

#[test]
fn another_port_of_the_host_is_no_concern_of_the_shield_s() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let pair = Pair::new();
    let (ours, other) = (listener(&pair, "10.88.0.1"), listener(&pair, "10.88.0.1"));
    let mut shield = attached(&pair.server, XdpChoice::Auto);
    let deny = vec!["10.88.0.0/24".parse().unwrap()];
    let listeners = [ours.local_addr().unwrap()].into();
    shield.protect(&Protection { listeners, deny, ..Protection::default() }).unwrap();
    assert!(!connects(&pair, ours.local_addr().unwrap()));
    assert!(connects(&pair, other.local_addr().unwrap()));
}

#[test]
fn auto_falls_back_to_generic_with_the_reason_and_a_mode_by_name_does_not() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    // Loopback takes no native program.
    Namespace::new().run(|| {
        let mut shield = Shield::load().unwrap();
        let error = shield.attach("lo", XdpChoice::Only(XdpMode::Native)).unwrap_err();
        let expected = "cannot attach to `lo` in native mode: `bpf_link_create` failed: Operation \
                        not supported (os error 95)";
        assert_eq!(error.to_string(), expected);
        let attached = shield.attach("lo", XdpChoice::Auto).unwrap();
        assert_eq!(attached.mode, XdpMode::Generic);
        assert_eq!(attached.fallback.map(|off| off.to_string()), Some(expected.to_owned()));
        assert_eq!(shield.interfaces().collect::<Vec<_>>(), ["lo"]);
        let missing = shield.attach("rg9", XdpChoice::Auto).unwrap_err();
        assert!(matches!(&missing, Off::NoInterface(name) if name == "rg9"), "{missing}");
    });
}

/// Whether an XDP program sits on the interface.
pub fn is_shielded(namespace: &Namespace, interface: &str) -> bool {
    namespace.ip(&format!("link show dev {interface}")).contains("prog/xdp")
}

#[test]
fn a_dropped_shield_leaves_the_interface() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let pair = Pair::new();
    let mut shield = attached(&pair.server, XdpChoice::Auto);
    assert!(is_shielded(&pair.server, "rg0"));
    assert!(shield.detach("rg0"));
    assert!(!is_shielded(&pair.server, "rg0"));
    assert!(!shield.detach("rg0"));
    let shield = attached(&pair.server, XdpChoice::Auto);
    assert!(is_shielded(&pair.server, "rg0"));
    drop(shield);
    assert!(!is_shielded(&pair.server, "rg0"));
}

/// In the process that is killed, which this test starts: attaches to loopback, says so, and waits.
const KILLED: &str = "RINGGATE_TEST_SHIELD_TO_KILL";

#[test]
fn a_killed_process_leaves_no_program() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    if std::env::var_os(KILLED).is_some() {
        let mut shield = Shield::load().unwrap();
        shield.attach("lo", XdpChoice::Auto).unwrap();
        writeln!(std::io::stderr(), "attached").unwrap();
        std::io::stdin().read_exact(&mut [0]).unwrap();
        return;
    }
    let namespace = Namespace::new();
    let mut child = namespace.run(|| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kernel::shield::a_killed_process_leaves_no_program"])
            .env(KILLED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "attached");
    assert!(is_shielded(&namespace, "lo"));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the interface without a program", || {
        (!is_shielded(&namespace, "lo")).then_some(())
    });
}
