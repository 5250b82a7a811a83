//! Every body framing, in both directions (RFC 9112 sections 6 and 7).

use crate::harness::message::Framing;
use crate::harness::upstream::ok;
use crate::harness::{Config, Gateway, Upstream};

/// What the upstream sees of these request bytes, its answer having been received.
fn forwarded(request: &str) -> crate::harness::Message {
    let upstream = Upstream::saying("done");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(request);
    assert_eq!(client.response().text(), "done");
    upstream.request()
}

/// What a client gets of these response bytes, and whether the connection serves on.
fn returned(method: &str, response: &'static str) -> crate::harness::Message {
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send(response);
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.response_to(method)
}

#[test]
fn a_request_without_a_body_has_none_upstream() {
    let request = forwarded("GET /a?b=c HTTP/1.1\r\nHost: test.example\r\n\r\n");
    assert_eq!(request.start_line, "GET /a?b=c HTTP/1.1");
    assert_eq!(request.field("Host"), Some("test.example"));
    assert_eq!((request.framing, request.body.len()), (Framing::None, 0));
}

#[test]
fn a_request_body_of_known_length_keeps_its_length() {
    let request = forwarded("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((request.method(), request.framing), ("PUT", Framing::Length(5)));
    assert_eq!(request.text(), "hello");
}

#[test]
fn a_post_of_length_zero_is_a_post_without_a_body() {
    let request = forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(request.framing, Framing::None | Framing::Length(0)), "{request:?}");
    assert_eq!(request.method(), "POST");
}

#[test]
fn a_chunked_request_body_arrives_whole_with_its_trailers() {
    let request = forwarded(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5;ext=\"v\"\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\n",
    );
    assert_eq!(request.framing, Framing::Chunked);
    assert_eq!(request.text(), "hello world");
    assert_eq!(request.trailers, [("X-Sum".to_owned(), "11".to_owned())]);
}

#[test]
fn a_trailer_cannot_bring_a_field_that_frames_or_authenticates() {
    let request = forwarded(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
         Content-Length: 5\r\nAuthorization: Bearer x\r\nHost: evil\r\nX-Fine: 1\r\n\r\n",
    );
    assert_eq!(request.trailers, [("X-Fine".to_owned(), "1".to_owned())]);
}

#[test]
fn a_chunked_body_split_at_every_byte_arrives_whole() {
    let upstream = Upstream::saying("done");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   A\r\n0123456789\r\n3\r\nabc\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "done");
    assert_eq!(upstream.request().text(), "0123456789abc");
}

#[test]
fn a_get_may_have_a_body() {
    let request = forwarded("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((request.method(), request.text().as_str()), ("GET", "hi"));
}

#[test]
fn a_response_of_known_length_keeps_its_length() {
    let response = returned("GET", "HTTP/1.1 201 Made\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc");
    assert_eq!((response.status(), response.text().as_str()), (201, "abc"));
    assert_eq!(response.framing, Framing::Length(3));
    assert_eq!(response.field("X-A"), Some("b"));
}

#[test]
fn a_chunked_response_arrives_whole_with_its_trailers() {
    let response = returned(
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    );
    assert_eq!(response.framing, Framing::Chunked);
    assert_eq!(response.text(), "abcde");
    assert_eq!(response.trailers, [("X-T".to_owned(), "1".to_owned())]);
}

#[test]
fn a_response_until_close_arrives_whole_and_framed_for_a_client_that_stays() {
    let response = returned("GET", "HTTP/1.1 200 OK\r\n\r\nup to the end");
    assert_eq!(response.text(), "up to the end");
    assert_eq!(response.framing, Framing::Chunked);
    assert_eq!(response.field("Connection"), None);
}

#[test]
fn a_response_of_http_1_0_is_answered_as_http_1_1() {
    let response = returned("GET", "HTTP/1.0 200 OK\r\n\r\nold");
    assert_eq!((response.status(), response.text().as_str()), (200, "old"));
}

#[test]
fn a_response_without_a_reason_is_forwarded() {
    assert_eq!(returned("GET", "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n").status(), 299);
}

#[test]
fn a_head_response_has_no_body_whatever_its_fields_say() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-A: b\r\n\r\n");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response_to("HEAD");
        assert_eq!(response.field("Content-Length"), Some("1000"));
        assert_eq!(response.field("X-A"), Some("b"));
    }
}

#[test]
fn a_head_response_that_would_be_chunked_leaves_the_connection_usable() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to("HEAD").status(), 200);
    }
}

#[test]
fn responses_204_and_304_have_no_body_and_keep_the_connection() {
    let upstream = Upstream::with(|request| match request.target() {
        "/204" => b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n".to_vec(),
        _ => ok("next"),
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    assert_eq!(client.get("/204").field("X-A"), Some("b"));
    let not_modified = client.get("/304");
    assert_eq!((not_modified.status(), not_modified.field("ETag")), (304, Some("\"x\"")));
    assert_eq!(client.get("/other").text(), "next");
    assert_eq!(upstream.connections(), 1, "the upstream connection was kept too");
}

#[test]
fn bodies_of_awkward_sizes_pass_both_ways() {
    // Around one buffer, one chunk header digit more, and several buffers.
    let sizes = [1, 15, 16, 255, 256, 4095, 4096, 16_383, 16_384, 16_385, 65_535, 65_536, 300_001];
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for size in sizes {
        let body: Vec<u8> = (0..size).map(|i: u32| u8::try_from(i % 251).unwrap()).collect();
        let length = body.len();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        client.send(&body);
        assert!(client.response().body == body, "{size} bytes by length");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{length:x}\r\n")).send(&body).send("\r\n0\r\n\r\n");
        assert!(client.response().body == body, "{size} bytes by chunk");
    }
}
