//! Lines are valid JSON whatever they hold; batches circulate; what does not fit is counted.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn entry<'a>(path: &'a str, kid: Option<&'a str>) -> AccessEntry<'a> {
    AccessEntry {
        tls: None,
        time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        duration: Duration::from_micros(1500),
        peer: SocketAddr::from(([203, 0, 113, 9], 4711)),
        told_client: None,
        listener: "public",
        subject: Subject::Request(RequestEntry {
            method: "GET",
            host: "api.example.com",
            path,
            id: None,
            route: Some("orders"),
            status: 401,
            verdict: Some("refuse"),
            provider: None,
            kid,
        }),
        reason: Some("auth.expired"),
        upstream: None,
        endpoint: None,
        received_bytes: 0,
        sent_bytes: 37,
    }
}

fn parsed(entry: &AccessEntry<'_>) -> Value {
    let mut line = Vec::new();
    line::append(&mut line, entry);
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(!line.contains(&b'\n'));
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn a_line_says_what_the_entry_says() {
    let line = parsed(&entry("/orders/\"7\"\u{1b}[2J", Some("k\\1")));
    assert_eq!(
        line,
        serde_json::json!({
            "time": "2023-11-14T22:13:20.123Z",
            "duration_us": 1500,
            "client": "203.0.113.9:4711",
            "listener": "public",
            "method": "GET",
            "host": "api.example.com",
            "path": "/orders/\"7\"\u{1b}[2J",
            "route": "orders",
            "status": 401,
            "verdict": "refuse",
            "reason": "auth.expired",
            "kid": "k\\1",
            "received_bytes": 0,
            "sent_bytes": 37,
        })
    );
}

#[test]
fn a_connection_says_how_it_ended_and_nothing_of_requests() {
    let connection = AccessEntry {
        subject: Subject::Connection(TcpEnd::Refused),
        reason: Some("upstream.connect_refused"),
        upstream: Some("database"),
        ..entry("/", None)
    };
    assert_eq!(
        parsed(&connection),
        serde_json::json!({
            "time": "2023-11-14T22:13:20.123Z",
            "duration_us": 1500,
            "client": "203.0.113.9:4711",
            "listener": "public",
            "ended": "refused",
            "reason": "upstream.connect_refused",
            "upstream": "database",
            "received_bytes": 0,
            "sent_bytes": 37,
        })
    );
}

#[test]
fn terminal_commands_are_escaped() {
    let mut line = Vec::new();
    line::append(&mut line, &entry("\u{1b}\u{7f}\0é\u{9b}", None));
    assert!(String::from_utf8(line).unwrap().contains("\\u001b\\u007f\\u0000é\\u009b"));
}

#[test]
fn a_time_before_the_epoch_is_null() {
    let odd = AccessEntry { time: UNIX_EPOCH - Duration::from_secs(1), ..entry("/", None) };
    assert_eq!(parsed(&odd)["time"], Value::Null);
}

#[test]
fn the_longest_line_fits_its_bound() {
    let controls = "\u{1}".repeat(10_000);
    let longest = AccessEntry {
        listener: &controls,
        subject: Subject::Request(RequestEntry {
            method: &controls,
            host: &controls,
            path: &controls,
            id: None,
            route: Some(&controls),
            status: u16::MAX,
            verdict: Some(&controls),
            provider: Some(&controls),
            kid: Some(&controls),
        }),
        reason: Some(&controls),
        upstream: Some(&controls),
        endpoint: Some(&controls),
        received_bytes: u64::MAX,
        sent_bytes: u64::MAX,
        duration: Duration::MAX,
        told_client: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".parse().ok(),
        peer: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap(),
        ..entry("", None)
    };
    let mut line = Vec::new();
    line::append(&mut line, &longest);
    assert!(line.len() <= line::BYTES_MAX, "{}", line.len());
    assert!(serde_json::from_slice::<Value>(&line).is_ok());
}

proptest! {
    #[test]
    fn any_strings_give_one_valid_line(path in any::<String>(), host in ".*", kid in "\\PC*|[\\x00-\\x7f]*") {
        let mut entry = entry(&path, Some(&kid));
        let Subject::Request(request) = &mut entry.subject else { panic!("{entry:?}") };
        request.host = &host;
        let line = parsed(&entry);
        for (field, sent) in [("path", &path), ("host", &host), ("kid", &kid)] {
            let logged = line[field].as_str().unwrap();
            match logged.strip_suffix('…') {
                Some(cut) if logged != sent.as_str() => prop_assert!(sent.starts_with(cut)),
                _ => prop_assert_eq!(logged, sent.as_str()),
            }
        }
    }
}

#[test]
fn everything_recorded_is_written_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let (log, mut writers) = AccessLog::start(&Target::File(path.clone()), 1).unwrap();
    let mut writer = writers.remove(0);
    for number in 0..100 {
        writer.record(&entry(&format!("/{number}"), None));
    }
    writer.flush();
    drop(writer);
    log.finish(Duration::from_secs(60));
    let paths: Vec<String> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().into())
        .collect();
    assert_eq!(paths, (0..100).map(|number| format!("/{number}")).collect::<Vec<_>>());
}

#[test]
fn a_rotated_file_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let (log, mut writers) = AccessLog::start(&Target::File(path.clone()), 1).unwrap();
    let mut writer = writers.remove(0);
    writer.record(&entry("/before", None));
    writer.flush();
    std::fs::rename(&path, &rotated).unwrap();
    log.reopen();
    writer.record(&entry("/after", None));
    drop(writer);
    log.finish(Duration::from_secs(60));
    assert!(std::fs::read_to_string(rotated).unwrap().contains("\"/before\""));
    assert!(std::fs::read_to_string(path).unwrap().contains("\"/after\""));
}

/// A writer whose thread never gives a batch back.
fn stuck_writer() -> (AccessLogWriter, Receiver<Message>) {
    let (full, batches) = sync_channel(BATCHES_PER_WRITER + CONTROL_MESSAGES);
    let (home, empty) = sync_channel(BATCHES_PER_WRITER);
    for _ in 1..BATCHES_PER_WRITER {
        home.try_send(new_batch()).unwrap();
    }
    let drops = DropCounts::new(1);
    (AccessLogWriter { index: 0, batch: new_batch(), full, empty, drops }, batches)
}

#[test]
fn what_does_not_fit_is_counted() {
    let (mut writer, batches) = stuck_writer();
    let mut recorded = 0_u64;
    while writer.drops.overflowed() < 3 {
        writer.record(&entry("/", None));
        recorded += 1;
    }
    let mut kept = writer.batch.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(writer.batch.capacity(), BATCH_BYTES + line::BYTES_MAX, "a batch has grown");
    while let Ok(Message::Batch(batch, 0)) = batches.try_recv() {
        kept += batch.split(|byte| *byte == b'\n').count() - 1;
    }
    assert_eq!(recorded, kept as u64 + 3);
}

#[test]
fn a_failing_target_loses_lines_and_says_how_many() {
    let (log, mut writers) = AccessLog::start(&Target::File("/dev/full".into()), 1).unwrap();
    let drops = log.drops();
    let mut writer = writers.remove(0);
    writer.record(&entry("/", None));
    writer.record(&entry("/", None));
    drop(writer);
    log.finish(Duration::from_secs(60));
    assert_eq!(drops.failed(), 2);
}
