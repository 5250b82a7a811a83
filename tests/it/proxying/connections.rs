//! Keep-alive on both sides, pipelining, HTTP/1.0 clients, and upstreams on Unix sockets.

use crate::harness::upstream::ok;
use crate::harness::{Config, Gateway, Upstream, wait_until};
use serde_json::json;

#[test]
fn both_sides_keep_their_connection() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).text(), path);
    }
    assert_eq!(upstream.connections(), 1);
    assert!(client.is_silent(), "open, and nothing but the responses was sent");
}

#[test]
fn clients_share_pooled_upstream_connections() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    for _ in 0..5 {
        assert_eq!(gateway.client().get("/").status(), 200);
        gateway.wait_for_metric("ringgate_upstream_connections_idle", &[], |idle| idle == 1.0);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let gateway = Gateway::start(
        &Config::forwarding_to(&upstream).respond(json!({ "path": "/here" }), "/here"),
    );
    let mut client = gateway.client();
    let paths = ["/a", "/here", "/b", "/here", "/c"];
    let requests = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.send(requests.concat());
    for path in paths {
        assert_eq!(client.response().text(), path);
    }
}

#[test]
fn pipelined_requests_with_bodies_are_kept_apart() {
    let upstream = Upstream::with(|request| ok(&request.body));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET / HTTP/1.1\r\nHost: a\r\n\r\n\
         POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET /last HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let bodies: Vec<String> = (0..4).map(|_| client.response().text()).collect();
    assert_eq!(bodies, ["one", "", "two", ""]);
    let targets: Vec<String> = (0..4).map(|_| upstream.request().target().to_owned()).collect();
    assert_eq!(targets, ["/", "/", "/", "/last"]);
}

#[test]
fn an_empty_line_before_a_request_is_skipped() {
    // RFC 9112 section 2.2.
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn connection_close_from_the_client_closes_after_the_answer() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    let response = client.get_with("/", "Connection: close\r\n");
    assert_eq!((response.status(), response.field("Connection")), (200, Some("close")));
    client.expect_end();
    assert_eq!(upstream.request().field("Connection"), None, "it is for the gateway alone");
}

#[test]
fn connection_close_from_the_upstream_does_not_close_the_client() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for _ in 0..3 {
        let response = client.get("/");
        assert_eq!((response.status(), response.field("Connection")), (200, None));
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_client_of_http_1_0_gets_a_plain_body_and_a_closed_connection() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: old.example\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "abcde");
    // RFC 9112 section 6.1: a transfer coding is never sent to it.
    assert_eq!(response.field("Transfer-Encoding"), None);
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(upstream.request().start_line, "GET / HTTP/1.1");
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        let kept = response.field("Connection").map(str::to_ascii_lowercase);
        assert_eq!((response.text().as_str(), kept.as_deref()), ("x", Some("keep-alive")));
    }
}

#[test]
fn a_client_of_http_1_0_may_leave_out_the_host() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    // RFC 9112 section 3.2: HTTP/1.1 has a Host, if an empty one.
    assert_eq!(upstream.request().all("Host").len(), 1);
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.finish_sending();
    assert_eq!(client.response().text(), "x");
    client.expect_end();
}

#[test]
fn an_absolute_target_is_forwarded_in_origin_form_with_its_host() {
    // RFC 9112 section 3.2.2. One that contradicts Host is refused, see the fixtures.
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("GET http://real.example/p?q=1 HTTP/1.1\r\nHost: real.example\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let request = upstream.request();
    assert_eq!(request.target(), "/p?q=1");
    assert_eq!(request.field("Host"), Some("real.example"));
}

#[test]
fn options_of_the_whole_server_keeps_its_asterisk() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.request().target(), "*");
}

#[test]
fn an_upstream_may_be_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted_unix(&directory.path().join("up.sock"), |_, mut peer| {
        peer.answer_all(|request| ok(&request.body));
    });
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    for body in ["one", "two"] {
        let length = body.len();
        client
            .send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(client.response().text(), body);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn round_robin_uses_every_endpoint() {
    let (one, two) = (Upstream::saying("one"), Upstream::saying("two"));
    let config = Config::forwarding_to(&one).set(
        "upstreams.main",
        json!({ "endpoints": [one.endpoint(), two.endpoint()], "balance": "round_robin" }),
    );
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    let mut answers: Vec<String> = (0..4).map(|_| client.get("/").text()).collect();
    answers.sort();
    assert_eq!(answers, ["one", "one", "two", "two"]);
}

#[test]
fn power_of_two_avoids_an_endpoint_with_requests_in_flight() {
    let (quick, slow) = (
        Upstream::saying("quick"),
        Upstream::scripted(|_, mut peer| {
            peer.request();
            peer.wait_for_end();
        }),
    );
    let config = Config::forwarding_to(&quick).set(
        "upstreams.main",
        json!({ "endpoints": [quick.endpoint(), slow.endpoint()], "balance": "power_of_two" }),
    );
    let gateway = Gateway::start(&config);
    let in_flight = |count: f64| {
        let name = "ringgate_upstream_requests_in_flight";
        gateway.wait_for_metric(name, &[], |now| now == count);
    };
    // Idle endpoints are alike, so either may get a request; until one is stuck.
    let mut client = gateway.client();
    wait_until("a request at the slow endpoint", || {
        in_flight(0.0);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let stuck = wait_until("either endpoint to get it", || {
            let stuck = slow.connections() == 1;
            (stuck || !client.is_silent()).then_some(stuck)
        });
        if !stuck {
            assert_eq!(client.response().text(), "quick");
        }
        stuck.then_some(())
    });
    for _ in 0..10 {
        in_flight(1.0);
        assert_eq!(gateway.client().get("/").text(), "quick");
    }
}

#[test]
fn several_workers_serve_many_clients() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream).set("workers", 2));
    let mut clients: Vec<_> = (0..64).map(|_| gateway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
}
