//! Big bodies, compared by their hash, and back-pressure while nobody reads.

use std::time::Duration;

use crate::harness::deadline::told;
use crate::harness::message::Framing;
use crate::harness::upstream::ok;
use crate::harness::{Config, Gateway, Upstream};
use ring::digest::{Digest, SHA256, digest};

const SIZE: usize = 10 * 1024 * 1024;

/// Bytes without a short period, so that a piece lost or swapped shows.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn hash(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes)
}

#[test]
fn ten_mebibytes_pass_both_ways_by_length() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let body = noise(SIZE);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    client.send(&body);
    let response = client.response();
    assert_eq!(response.framing, Framing::Length(SIZE));
    assert_eq!(hash(&response.body).as_ref(), hash(&body).as_ref());
    assert_eq!(hash(&upstream.request().body).as_ref(), hash(&body).as_ref());
}

#[test]
fn ten_mebibytes_pass_both_ways_by_chunks() {
    let upstream = Upstream::with(|request| {
        let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        response.extend(chunked(&request.body, 70_000));
        response
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let body = noise(SIZE);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(&body, 33_333));
    assert_eq!(hash(&client.response().body).as_ref(), hash(&body).as_ref());
    assert_eq!(client.get("/again").status(), 200, "the connection is where it should be");
}

/// A body as chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / size * 16 + 16);
    for piece in body.chunks(size) {
        bytes.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn many_tiny_chunks_arrive_whole() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let body = noise(50_000);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(&body, 1));
    assert_eq!(hash(&client.response().body).as_ref(), hash(&body).as_ref());
}

#[test]
fn an_upstream_that_does_not_read_holds_the_client_back() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |_, mut peer| {
        let mut request = peer.request_head();
        told(&wait.lock().unwrap());
        peer.body(&mut request);
        peer.send(ok(hash(&request.body).as_ref()));
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let body = noise(64 * 1024 * 1024);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let sent = client.send_some(&body, Duration::from_millis(500));
    // The kernel's socket buffers on both hops and the gateway's own; far below the body.
    assert!(sent < body.len() / 2, "the gateway took {sent} bytes that nobody reads");
    go.send(()).unwrap();
    client.send(&body[sent..]);
    assert_eq!(client.response().body, hash(&body).as_ref());
}

#[test]
fn a_client_that_does_not_read_holds_the_upstream_back() {
    let (tell, sent) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let body = noise(64 * 1024 * 1024);
    let expected = hash(&body);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        let some = peer.send_some(&body, Duration::from_millis(500));
        tell.lock().unwrap().send(some).unwrap();
        peer.send(&body[some..]);
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let some = told(&sent);
    assert!(some < 32 * 1024 * 1024, "the gateway took {some} bytes that nobody reads");
    assert_eq!(hash(&client.response().body).as_ref(), expected.as_ref());
}
