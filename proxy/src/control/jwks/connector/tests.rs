//! Servers that stall at one stage each, and servers on Unix sockets.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;

use super::super::address_guard::Reach;
use super::super::discovery::from_issuer;
use super::super::fetch::{FetchError, Fetched, Validators, from_url};
use super::super::transport::{Patience, Transport};
use super::*;

const SOON: Duration = Duration::from_millis(200);
/// A stage that this ends is not the one that the test is about.
const LATE: Duration = Duration::from_secs(20);

const GOOD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// To a server on this machine.
fn patient(patience: Patience) -> Transport {
    let reach = Reach { private: false, loopback: true };
    Transport { allow_http: true, reach, patience, ..Transport::default() }
}

/// The stage at which a fetch timed out.
fn stage(transport: &Transport, url: &str) -> String {
    let outcome = from_url(transport, url, &Validators::default());
    let Err(FetchError::TimedOut { stage, .. }) = outcome else { panic!("{outcome:?}") };
    stage
}

/// Reads the request head; gives back its first line.
fn asked(stream: impl Read) -> String {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(lines.any(|line| line.is_empty()));
    first
}

#[test]
fn timeouts_are_three_seconds_a_stage_and_five_in_all() {
    let [three, five] = [3, 5].map(Duration::from_secs);
    assert_eq!(Patience::default(), Patience { connect: three, handshake: three, total: five });
}

#[test]
fn a_host_that_does_not_answer_is_given_up_at_connecting() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // The queue is full with backlog + 1; the kernel drops what comes then.
    let _queued: Vec<_> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let patience = Patience { connect: SOON, handshake: LATE, total: LATE };
    let url = format!("http://{}/", address.as_socket().unwrap());
    assert_eq!(stage(&patient(patience), &url), Timeout::Connect.to_string());
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_the_handshake() {
    // The kernel accepts; nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let patience = Patience { connect: LATE, handshake: SOON, total: LATE };
    assert_eq!(stage(&patient(patience), &url), "TLS handshake");
    let patience = Patience { connect: LATE, handshake: LATE, total: SOON };
    assert_eq!(stage(&patient(patience), &url), "TLS handshake");
}

#[test]
fn a_server_that_stalls_in_head_or_body_is_given_up_in_all() {
    let patience = Patience { connect: LATE, handshake: LATE, total: SOON };
    // The kernel accepts; nobody reads.
    let quiet = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", quiet.local_addr().unwrap());
    assert_eq!(stage(&patient(patience), &url), Timeout::Global.to_string());
    let cut = GOOD.strip_suffix('}').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let held = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let _ = asked(&stream);
        (&stream).write_all(cut.as_bytes()).unwrap();
        stream
    });
    assert_eq!(stage(&patient(patience), &url), Timeout::Global.to_string());
    drop(held.join().unwrap());
}

#[test]
fn the_time_in_all_is_over_metadata_and_keys() {
    let pause = Duration::from_millis(300);
    let patience = Patience { connect: LATE, handshake: LATE, total: pause * 3 / 2 };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let metadata = format!(r#"{{"issuer":"{url}","jwks_uri":"{url}/keys"}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{metadata}", metadata.len());
    let served = std::thread::spawn(move || {
        for answer in [answer, GOOD.to_owned()] {
            let (stream, _) = listener.accept().unwrap();
            let _ = asked(&stream);
            std::thread::sleep(pause);
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    let outcome = from_issuer(&patient(patience), &url, &Validators::default());
    assert!(matches!(outcome, Err(FetchError::TimedOut { .. })), "{outcome:?}");
    // On a slow machine nobody has asked for the keys, and the thread waits for somebody.
    if let Ok(mut late) = TcpStream::connect(address) {
        let _ = late.write_all(b"GET / HTTP/1.1\r\n\r\n");
    }
    served.join().unwrap();
}

#[test]
fn a_unix_socket_is_asked_for_the_path_in_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("keys.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answered = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let line = asked(&stream);
        (&stream).write_all(GOOD.as_bytes()).unwrap();
        line
    });
    let url = format!("unix:{}:/keys?a=b", socket.display());
    // No address is within reach; none is needed.
    let transport = Transport { allow_http: true, ..Transport::default() };
    let outcome = from_url(&transport, &url, &Validators::default()).unwrap();
    assert!(matches!(outcome, Fetched::Text { body, .. } if body == b"{}"));
    assert_eq!(answered.join().unwrap(), "GET /keys?a=b HTTP/1.1");
    std::fs::remove_file(&socket).unwrap();
    let outcome = from_url(&transport, &url, &Validators::default());
    assert!(matches!(outcome, Err(FetchError::Io(_))), "{outcome:?}");
}

#[test]
fn a_unix_socket_that_stalls_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("keys.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let url = format!("unix:{}:/keys", socket.display());
    let patience = Patience { connect: LATE, handshake: LATE, total: SOON };
    assert_eq!(stage(&patient(patience), &url), Timeout::Global.to_string());
    // Longer than the listener's queue takes.
    let queue: Vec<_> = std::iter::repeat_with(|| {
        let one = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        one.set_nonblocking(true).unwrap();
        one.connect(&SockAddr::unix(&socket).unwrap()).map(|()| one)
    })
    .map_while(Result::ok)
    .collect();
    let patience = Patience { connect: SOON, handshake: LATE, total: LATE };
    assert_eq!(stage(&patient(patience), &url), Timeout::Connect.to_string());
    drop((queue, listener));
}
