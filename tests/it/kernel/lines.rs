//! What the shield says of segments that it drops: who, for whom and why, and not too often.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aya::programs::{TestRun, TestRunOptions};
use ringgate::kernel::{Assist, Protection, Shield};
use ringgate_ebpf_abi::shield::line;
use serde_json::json;
use tracing::Level;

use super::frames;
use super::namespace::Pair;
use super::possible;
use crate::harness::{Config, Gateway};

const TEST: &str = "kernel::lines";
/// Longer than a handshake over a cable in memory takes.
const TRY: Duration = Duration::from_millis(400);

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a log of this level has after the function.
fn logged(level: Level, function: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, function);
    let bytes = std::mem::take(&mut *kept.0.lock().unwrap());
    String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

fn loaded() -> Shield {
    let mut shield = Shield::load().unwrap();
    let deny = ["203.0.113.0/24", "2001:db8:0:9::/64"].map(|net| net.parse().unwrap()).into();
    let listeners = frames::listeners().map(SocketAddr::from).into();
    shield.protect(&Protection { listeners, deny, ..Protection::default() }).unwrap();
    shield
}

fn send(shield: &mut Shield, frame: &[u8]) {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
    shield.program().unwrap().test_run(options).unwrap();
}

#[test]
fn a_dropped_segment_is_told_with_its_source_and_the_reason() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let lines = logged(Level::DEBUG, || {
        let mut shield = loaded();
        for source in
            [frames::DENIED_V4.into(), frames::DENIED_V6.into(), frames::STRANGER_V4.into()]
        {
            send(&mut shield, &frames::syn_from(source));
        }
        send(&mut shield, &frames::malformed_from(frames::STRANGER_V6));
        shield.log_drops().unwrap();
        shield.log_drops().unwrap();
    });
    assert_eq!(
        lines,
        [
            "DEBUG 203.0.113.9 for 192.0.2.1 port 8080: dropped_denied program=\"shield\"",
            "DEBUG 2001:db8:0:9::9 for 2001:db8:0:1::1 port 8080: dropped_denied program=\"shield\"",
            "DEBUG 2001:db8:0:7::7 for 2001:db8:0:1::1 port 8080: dropped_flags program=\"shield\"",
        ]
    );
}

#[test]
fn a_flood_has_a_bounded_number_of_lines_and_the_number_of_the_others() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    const FRAMES: u64 = 500;
    let mut most = 0;
    let lines = logged(Level::DEBUG, || {
        let mut shield = loaded();
        let frame = frames::syn_from(frames::DENIED_V4.into());
        let start = Instant::now();
        for sent in 1..=FRAMES {
            send(&mut shield, &frame);
            if sent % 100 == 0 {
                shield.log_drops().unwrap();
            }
        }
        let intervals = start.elapsed().as_nanos() / u128::from(line::INTERVAL_NS);
        most = line::BURST + u64::try_from(intervals).unwrap() + 1;
    });
    let unsaid = |line: &String| -> Option<u64> {
        line.strip_prefix("DEBUG dropped without a line of their own frames=")?.parse().ok()
    };
    let others: u64 = lines.iter().filter_map(unsaid).sum();
    let own = lines.iter().filter(|line| line.contains("203.0.113.9")).count() as u64;
    assert_eq!(own + others, FRAMES, "{lines:?}");
    assert!((line::BURST..=most).contains(&own), "{own} lines, {most} at most");
}

#[test]
fn a_log_without_debug_lines_hears_nothing() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let lines = logged(Level::INFO, || {
        let mut shield = loaded();
        send(&mut shield, &frames::syn_from(frames::DENIED_V4.into()));
        // As if the level had changed since: the program was loaded without lines.
        let later = logged(Level::DEBUG, || shield.log_drops().unwrap());
        assert_eq!(later, [""; 0]);
    });
    assert_eq!(lines, [""; 0]);
}

/// The verifier takes out what is not wanted, and so sees the lines only here.
#[test]
fn lines_take_no_other_rights_than_the_shield() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all,+bpf,+net_admin,+perfmon", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .arg("kernel::lines::a_dropped_segment")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(stdout.contains("test result: ok. 1 passed"), "{stdout}{stderr}");
    assert!(!stderr.contains("SKIPPED"), "{stderr}");
}

#[test]
fn a_gateway_that_logs_at_debug_tells_whom_it_drops() {
    if !possible(TEST, Assist::Shield) {
        return;
    }
    let pair = Pair::new();
    let shield = json!({ "interfaces": ["rg0"], "mode": "auto", "deny": ["10.88.0.2"] });
    let config = Config::new()
        .set("listeners.0.address", "10.88.0.1:0")
        .set("kernel.shield", shield)
        .set("log.level", "debug")
        .respond(json!({}), "here");
    let gateway = pair.server.run(|| Gateway::start(&config));
    let port = gateway.address().port();
    assert!(pair.client.run(|| TcpStream::connect_timeout(&gateway.address(), TRY).is_err()));
    let line = format!("10.88.0.2 for 10.88.0.1 port {port}: dropped_denied");
    gateway.wait_for_line(&["DEBUG", &line, "program=\"shield\""]);
}
