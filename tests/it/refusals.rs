//! Requests that are refused, one fixture each: the right status, a closed connection, and nothing
//! of them at the upstream, least of all what they try to smuggle.

use serde_json::json;

use crate::harness::deadline::wait_until;
use crate::harness::fixture::Fixture;
use crate::harness::upstream::Refusing;
use crate::harness::{Baseline, Config, Gateway, Key, Upstream};

const FIELD: &str = "X-Ringgate-Reason";

#[test]
fn refused_requests_get_their_status_and_never_reach_the_upstream() {
    let upstream = Upstream::saying("reached");
    let gateway = Gateway::start(
        &Config::forwarding_to(&upstream).respond(json!({ "path": "/alive" }), "yes"),
    );
    let before = Baseline::take(&gateway);
    let mut wrong = Vec::new();
    for fixture in Fixture::all("refusals") {
        let mut client = gateway.client();
        client.send(&fixture.bytes);
        match client.try_response("GET") {
            Ok(response) if response.status().to_string() == fixture.expected("status") => {
                assert_eq!(response.field("Connection"), Some("close"), "{}", fixture.name);
                assert!(!response.body.is_empty(), "{}: a refusal says why", fixture.name);
                assert_eq!(response.json()["status"], response.status(), "{}", fixture.name);
                client.wait_for_end();
            }
            got => wrong.push(format!(
                "{}: expected {} ({}), got {:?}",
                fixture.name,
                fixture.expected("status"),
                fixture.expected("why"),
                got.map(|response| (response.start_line.clone(), response.text())),
            )),
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    before.expect_restored(&gateway, "/alive");
    upstream.expect_no_request();
}

#[test]
fn a_refusal_does_not_wait_for_more_bytes() {
    // The request line is wrong already; the rest never comes.
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    client.wait_for_end();
}

#[test]
fn refusals_are_counted_under_a_name_of_their_own() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.response().status(), 400);
    gateway.wait_for_metric(
        "ringgate_refusals_total",
        &["reason=\"framing.te_and_cl\""],
        |count| count == 1.0,
    );
}

#[test]
fn connect_is_refused() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(client.response().status(), 405);
    upstream.expect_no_request();
}

#[test]
fn a_request_after_a_refused_one_is_not_read() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    client.expect_end();
    upstream.expect_no_request();
}

#[test]
fn a_listener_that_is_asked_to_says_the_reason_in_a_field() {
    let gone = Refusing::new();
    let config = Config::protecting(&Upstream::saying("x"), &[&Key::ed25519("k")])
        .endpoints("gone", &[&gone.endpoint()])
        .route(json!({ "match": { "path": "/gone" }, "upstream": "gone" }))
        .respond(json!({ "path": "/here" }), "x");
    let gateway = Gateway::start(&config.clone().set("listeners.0.reason_header", true));
    let bare = "Host: a\r\n\r\n";
    let cases = [
        (format!("GET / HTTP/1.1\r\n{bare}"), 401, Some("auth.missing")),
        (format!("GET /gone HTTP/1.1\r\n{bare}"), 502, Some("upstream.connect_refused")),
        (format!("GET /here HTTP/1.1\r\nA : b\r\n{bare}"), 400, Some("head.space_in_name")),
        (
            format!("GET / HTTP/1.1\r\nContent-Type: application/grpc\r\n{bare}"),
            200,
            Some("auth.missing"),
        ),
        (format!("GET /here HTTP/1.1\r\n{bare}"), 200, None),
    ];
    let seen = |request: &str| gateway.client().send(request).response();
    for (request, status, code) in &cases {
        let response = seen(request);
        assert_eq!((response.status(), response.field(FIELD)), (*status, *code), "{request}");
    }
    // It is a matter of the listener, and of now.
    gateway.reload(&config);
    wait_until("the reload", || seen(&cases[0].0).field(FIELD).is_none().then_some(()));
    for (request, status, _) in &cases {
        let response = seen(request);
        assert_eq!((response.status(), response.field(FIELD)), (*status, None), "{request}");
    }
}
