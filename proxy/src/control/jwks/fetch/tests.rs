//! Fetches against a server that speaks raw bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::super::address_guard::Reach;
use super::*;

/// Answers one connection for each of `answers`; gives back the request heads.
fn server(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let heads = std::thread::spawn(move || {
        answers.into_iter().map(|answer| answer_one(&listener, &answer)).collect()
    });
    (url, heads)
}

fn answer_one(listener: &TcpListener, answer: &[u8]) -> String {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0);
    }
    // The client may stop reading what it does not want.
    let _ = (&stream).write_all(answer);
    head.to_ascii_lowercase()
}

fn ok(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// To a server on this machine without TLS.
fn plain() -> Transport {
    let reach = Reach { private: false, loopback: true };
    Transport { allow_http: true, reach, ..Transport::default() }
}

fn fetch_one(answer: Vec<u8>) -> Result<Fetched, FetchError> {
    let (url, heads) = server(vec![answer]);
    let outcome = from_url(&plain(), &url, &Validators::default());
    heads.join().unwrap();
    outcome
}

#[test]
fn a_good_answer_carries_text_validators_and_life() {
    let fields = "Content-Type: application/jwk-set+json; charset=utf-8\r\nETag: \"v1\"\r\n\
                  Cache-Control: max-age=900\r\n";
    let validators = Validators::for_test("\"v1\"");
    let life = Duration::from_secs(900);
    assert_eq!(
        fetch_one(ok(fields, "{}")).unwrap(),
        Fetched::Text { body: b"{}".to_vec(), validators, life }
    );
}

#[test]
fn the_next_fetch_is_conditional() {
    let first = "Content-Type: application/json\r\nETag: W/\"7\"\r\n\
                 Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let second = b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=120\r\n\r\n";
    let (url, heads) = server(vec![ok(first, "{}"), second.to_vec()]);
    let agent = plain();
    let Fetched::Text { validators, .. } = from_url(&agent, &url, &Validators::default()).unwrap()
    else {
        panic!("no text");
    };
    let again = from_url(&agent, &url, &validators).unwrap();
    assert_eq!(again, Fetched::NotModified { life: Duration::from_secs(120) });
    let heads = heads.join().unwrap();
    assert!(!heads[0].contains("if-none-match"), "{}", heads[0]);
    assert!(heads[0].contains("accept: application/jwk-set+json, application/json"));
    assert!(heads[1].contains("if-none-match: w/\"7\"\r\n"), "{}", heads[1]);
    assert!(heads[1].contains("if-modified-since: sun, 06 nov 1994 08:49:37 gmt\r\n"));
}

#[test]
fn a_304_that_nobody_asked_for_is_a_failure() {
    let outcome = fetch_one(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec());
    assert!(matches!(outcome, Err(FetchError::Status { status: 304 })), "{outcome:?}");
}

#[test]
fn redirects_are_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let outcome = fetch_one(answer.into());
    assert!(
        matches!(outcome, Err(FetchError::Redirected { status: 302, allowed: 0 })),
        "{outcome:?}"
    );
}

#[test]
fn other_statuses_are_failures() {
    let outcome = fetch_one(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert!(matches!(outcome, Err(FetchError::Status { status: 503 })), "{outcome:?}");
}

#[test]
fn an_html_page_is_named_as_such() {
    let outcome = fetch_one(ok("Content-Type: text/html; charset=utf-8\r\n", "<html>secret"));
    let error = outcome.unwrap_err();
    assert!(error.to_string().starts_with("content type \"text/html\""), "{error}");
    assert!(!error.to_string().contains("secret"));
    let missing = fetch_one(ok("", "{}"));
    assert!(matches!(missing, Err(FetchError::ContentType { .. })), "{missing:?}");
}

#[test]
fn the_size_limit_holds_to_the_byte() {
    let json = "Content-Type: application/json\r\n";
    let Fetched::Text { body, .. } = fetch_one(ok(json, &"x".repeat(BODY_BYTES_MAX))).unwrap()
    else {
        panic!("no text");
    };
    assert_eq!(body.len(), BODY_BYTES_MAX);
    let over = fetch_one(ok(json, &"x".repeat(BODY_BYTES_MAX + 1)));
    assert!(matches!(over, Err(FetchError::TooLong)), "{over:?}");
}

#[test]
fn a_cut_body_is_a_failure() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}";
    assert!(matches!(fetch_one(answer.into()), Err(FetchError::Io(_) | FetchError::Protocol(_))));
}

#[test]
fn plain_http_needs_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let outcome =
        from_url(&Transport { allow_http: false, ..plain() }, &url, &Validators::default());
    assert!(matches!(outcome, Err(FetchError::Protocol(_))), "{outcome:?}");
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_closed_port_is_an_io_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let outcome = from_url(&plain(), &url, &Validators::default());
    let Err(FetchError::Io(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn files_have_the_same_size_limit() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b' '; BODY_BYTES_MAX]).unwrap();
    assert_eq!(from_file(file.path()).unwrap().len(), BODY_BYTES_MAX);
    std::fs::write(file.path(), vec![b' '; BODY_BYTES_MAX + 1]).unwrap();
    assert!(matches!(from_file(file.path()), Err(FetchError::TooLong)));
    assert!(matches!(from_file(Path::new("/nonexistent")), Err(FetchError::Io(_))));
}

#[test]
fn a_loopback_address_needs_leave_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = Transport { allow_http: true, ..Transport::default() };
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/");
        let outcome = from_url(&transport, &url, &Validators::default());
        assert!(matches!(outcome, Err(FetchError::OutOfReach(_))), "{host}: {outcome:?}");
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn configured_fields_are_sent() {
    let (url, heads) = server(vec![ok("Content-Type: application/json\r\n", "{}")]);
    let mut transport = plain();
    transport.headers.insert("x-api-key", "s3cret".parse().unwrap());
    from_url(&transport, &url, &Validators::default()).unwrap();
    assert!(heads.join().unwrap()[0].contains("\r\nx-api-key: s3cret\r\n"));
}

/// The fixtures are spaces: `python3 -c "import gzip, sys;
/// sys.stdout.buffer.write(gzip.compress(b' ' * N, mtime=0))"`.
#[test]
fn a_compressed_body_is_limited_by_what_it_decodes_to() {
    let answer = |body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let fits = fetch_one(answer(include_bytes!("../../../../../tests/fixtures/gzip/512KiB.gz")));
    let Ok(Fetched::Text { body, .. }) = fits else { panic!("no text") };
    assert_eq!(body.len(), BODY_BYTES_MAX);
    let over = fetch_one(answer(include_bytes!("../../../../../tests/fixtures/gzip/64MiB.gz")));
    assert!(matches!(over, Err(FetchError::TooLong)), "{over:?}");
}
