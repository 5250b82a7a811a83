//! `path_normalization`: the path that is matched is the path that an upstream is sent.

use serde_json::json;

use crate::harness::upstream::ok;
use crate::harness::{Config, Gateway, Upstream};

/// A gateway in front of an upstream that answers with the target it was asked for.
fn gateway(upstream: &Upstream, normalization: &str) -> Gateway {
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .set("path_normalization", json!(normalization))
        .set("listeners.0.reason_header", json!(true))
        .route(json!({ "match": { "path_prefix": "/open/" }, "upstream": "main" }))
        .respond(json!({ "path_prefix": "/closed" }), "closed");
    Gateway::start(&config)
}

/// The target that the upstream saw, or why it saw none.
fn seen(gateway: &Gateway, target: &str) -> String {
    let response = gateway.client().get(target);
    match response.field("X-Ringgate-Reason") {
        Some(reason) => reason.to_owned(),
        None => response.text(),
    }
}

fn check(normalization: &str, cases: &[(&str, &str)]) {
    let upstream = Upstream::with(|request| ok(request.target()));
    let gateway = gateway(&upstream, normalization);
    for (target, expected) in cases {
        assert_eq!(seen(&gateway, target), *expected, "{target}");
    }
}

#[test]
fn on_matches_and_forwards_the_normal_form() {
    check(
        "on",
        &[
            ("/open/a/../b?q=/../%61", "/open/b?q=/../%61"),
            ("//open/./%7ea//", "/open/~a/"),
            ("/open/a%2fb%5c", "/open/a%2Fb%5C"),
            ("/open/../closed", "closed"),
            ("/open/%2e%2e/closed/x", "closed"),
            ("/closed/../open/x", "/open/x"),
            ("/open/..%2fclosed", "target.dot_segment"),
            ("/open/../../closed", "target.dot_segment"),
            ("/open%2fx", "route.none"),
            ("/open/..;/closed", "route.none"),
        ],
    );
}

#[test]
fn encoded_slashes_are_refused_where_that_is_asked() {
    check(
        "reject_encoded_slash",
        &[
            ("/open/a%2fb", "target.encoded_slash"),
            ("/open/a%5Cb", "target.encoded_slash"),
            ("/open/a%252fb", "/open/a%252fb"),
            ("/open/./%61?%2f", "/open/a?%2f"),
        ],
    );
}

#[test]
fn off_forwards_the_path_as_it_was_sent() {
    check(
        "off",
        &[
            ("//open/%7ea//b%2fc", "//open/%7ea//b%2fc"),
            ("/open/a/../b", "target.dot_segment"),
            ("/open/%2e/b", "target.dot_segment"),
            ("/%63losed", "closed"),
        ],
    );
}
