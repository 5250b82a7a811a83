//! The harness against itself: what reads the gateway's bytes must not be lenient.

use crate::harness::message::Framing;
use crate::harness::upstream::ok;
use crate::harness::{Client, Upstream, WireError};

/// A client connected straight to an upstream.
fn straight_to(upstream: &Upstream) -> Client {
    Client::connect(upstream.endpoint().parse().unwrap())
}

/// What a client makes of these bytes and the end of the stream.
fn read(bytes: &'static str) -> Result<String, WireError> {
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send(bytes);
    });
    let mut client = straight_to(&upstream);
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.try_response("GET").map(|response| response.text())
}

#[test]
fn messages_pass_between_client_and_upstream() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let mut client = straight_to(&upstream);
    client
        .send("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: v\r\n\r\n");
    assert_eq!(client.response().text(), "ab");
    let request = upstream.request();
    assert_eq!((request.method(), request.target()), ("POST", "/a"));
    assert_eq!(request.framing, Framing::Chunked);
    assert_eq!(request.trailers, [("T".to_owned(), "v".to_owned())]);
    upstream.expect_no_request();
}

#[test]
fn the_reader_takes_each_framing() {
    assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap(), "ab");
    assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nab").unwrap(), "ab");
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
    assert_eq!(read(chunked).unwrap(), "ab");
}

#[test]
fn the_reader_refuses_what_is_not_exact() {
    for malformed in [
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ] {
        let got = read(malformed);
        assert!(matches!(got, Err(WireError::Malformed(_))), "{malformed:?} gave {got:?}");
    }
}

#[test]
fn the_reader_tells_a_cut_message_from_a_whole_one() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n",
    ] {
        let got = read(cut);
        assert!(matches!(got, Err(WireError::Truncated(_))), "{cut:?} gave {got:?}");
    }
    assert_eq!(read(""), Err(WireError::Ended));
}
