//! Responses before the response: 1xx, and `Expect: 100-continue` (RFC 9110 sections 10.1.1, 15.2).

use crate::harness::{Config, Gateway, Upstream};

#[test]
fn interim_responses_come_through_before_the_final_one() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let hints = client.get("/");
    assert_eq!((hints.status(), hints.field("Link")), (103, Some("</a.css>")));
    assert_eq!(client.response().text(), "x");
}

#[test]
fn interim_responses_are_kept_from_a_client_of_http_1_0() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_client_that_expects_100_gets_it_and_its_body_arrives() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let mut request = peer.request_head();
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(&mut request);
        assert_eq!(request.text(), "hello");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status(), 100);
    client.send("hello");
    assert_eq!(client.response().text(), "ok", "one 100 and then the answer");
}

#[test]
fn a_refusal_spares_a_client_that_expects_100_its_body() {
    let upstream = Upstream::saying("x");
    let key = crate::harness::Key::p256("k");
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status(), 401, "no 100 before it");
    upstream.expect_no_request();
}

#[test]
fn an_answer_instead_of_100_ends_the_exchange() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request_head();
        peer.send(
            "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
        peer.wait_for_end();
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    // The gateway may have asked for the body itself before it knew.
    let mut response = client.response();
    if response.status() == 100 {
        response = client.response();
    }
    assert_eq!(response.status(), 417);
}

#[test]
fn an_expectation_that_is_not_known_is_refused() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let response = gateway.client().get_with("/", "Expect: the-impossible\r\n");
    // RFC 9110 section 10.1.1 allows 417 or to ignore it.
    assert_eq!(response.status(), 417);
}
