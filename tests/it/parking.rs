//! Requests that wait for a key: how long, how many, and what is counted of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};

/// A gateway that refreshes its keys by itself too seldom to matter and has those of the issuer, and
/// a token of a key that the issuer has had since.
fn lacking_a_key(upstream: &Upstream, issuer: &Issuer, wait: &str) -> (Gateway, String) {
    let [old, new] = ["old", "new"].map(Key::p256);
    issuer.serve(&[&old]);
    let config = Config::protecting_with_url(upstream, issuer)
        .set("jwt.providers.tests.jwks.refresh_interval", "1h")
        .set("jwt.providers.tests.unknown_kid_wait", wait)
        .set("workers", 1);
    let gateway = Gateway::start(&config);
    wait_for_200(&gateway, &Token::new().sign(&old));
    issuer.serve(&[&old, &new]);
    (gateway, Token::new().sign(&new))
}

fn wait_for_200(gateway: &Gateway, token: &str) {
    wait_until("200 for a token", || {
        (gateway.client().get_as("/", token).status() == 200).then_some(())
    });
}

fn wait_for_parkings(gateway: &Gateway, outcome: &str, count: usize) {
    let label = format!("outcome=\"{outcome}\"");
    gateway.wait_for_metric("ringgate_parkings_total", &[&label], |found| found == count as f64);
}

#[test]
fn unknown_kid_wait_ends_a_parking_whose_fetch_does_not() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let (gateway, token) = lacking_a_key(&upstream, &issuer, "100ms");
    let held = issuer.hold();
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    wait_for_parkings(&gateway, "timeout", 1);
    gateway.wait_for_metric("ringgate_requests_parked", &[], |parked| parked == 0.0);
    drop(held);
    wait_for_200(&gateway, &token);
}

#[test]
fn parked_requests_are_bounded_in_number() {
    /// Of one worker.
    const PARKED_MAX: usize = 1024;
    // Where the limit on descriptors is the usual 1024, this test needs more.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let (gateway, token) = lacking_a_key(&upstream, &issuer, "10s");
    let held = issuer.hold();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut parked: Vec<_> = (0..PARKED_MAX).map(|_| gateway.client()).collect();
    for client in &mut parked {
        client.send(&request);
    }
    let is_all = |parked: f64| parked == PARKED_MAX as f64;
    gateway.wait_for_metric("ringgate_requests_parked", &[], is_all);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401, "one too many");
    wait_for_parkings(&gateway, "full", 1);
    drop(held);
    for client in &mut parked {
        assert_eq!(client.response().status(), 200);
    }
    wait_for_parkings(&gateway, "found", PARKED_MAX);
}
