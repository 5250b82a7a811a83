//! Routes that ask for headers and parameters of the query: which of them a request takes.

use serde_json::{Value, json};

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Key};

/// A gateway whose routes answer with their own name.
fn naming(routes: &[(&str, Value)]) -> Gateway {
    let config = routes
        .iter()
        .fold(Config::new(), |config, (name, matching)| config.respond(matching.clone(), name));
    Gateway::start(&config)
}

/// The name of the route that a request takes, or its status where it took none; `/explain` agrees.
fn route(gateway: &Gateway, target: &str, fields: &[(&str, &str)]) -> String {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let response = gateway.client().get_with(target, &lines);
    let mut headers = vec![json!(["host", "a"])];
    headers.extend(fields.iter().map(|(name, value)| json!([name, value])));
    let described = json!({ "listener": "public", "target": target, "headers": headers });
    let told = gateway.admin_post("/explain", &described.to_string()).json();
    assert_eq!(told["status"], response.status(), "{target} {fields:?}: {told:#}");
    if response.status() == 200 { response.text() } else { response.status().to_string() }
}

#[test]
fn a_header_is_compared_with_case_and_in_every_spelling_of_its_name() {
    let beta = json!({ "headers": [{ "name": "X-Channel", "value": "beta" }] });
    let gateway = naming(&[("all", json!({})), ("beta", beta)]);
    let take = |fields: &[(&str, &str)]| route(&gateway, "/", fields);
    assert_eq!(take(&[]), "all");
    assert_eq!(take(&[("X-Channel", "beta")]), "beta");
    assert_eq!(take(&[("x_channel", "beta")]), "beta", "the upstream may take it for the same");
    assert_eq!(take(&[("X.CHANNEL", " beta ")]), "beta");
    assert_eq!(take(&[("X-Channel", "Beta")]), "all");
    assert_eq!(take(&[("X-Channel", "beta, beta")]), "all");
    assert_eq!(take(&[("X-Channels", "beta")]), "all");
}

#[test]
fn what_has_several_values_where_one_is_asked_for_has_no_route() {
    let gateway = naming(&[
        ("all", json!({})),
        ("inner", json!({ "headers": [{ "name": "X-Zone", "value": "inner" }] })),
        ("traced", json!({ "path": "/t", "headers": [{ "name": "X-Zone", "present": true }] })),
        ("untraced", json!({ "path": "/t", "headers": [{ "name": "X-Zone", "present": false }] })),
        ("shop", json!({ "path": "/q", "query": [{ "name": "shop", "value": "1" }] })),
        ("none", json!({ "path": "/q" })),
    ]);
    // An upstream may read either of them.
    let both = [("X-Zone", "outer"), ("X_Zone", "inner")];
    assert_eq!(route(&gateway, "/", &both), "404");
    assert_eq!(route(&gateway, "/", &[("X-Zone", "inner"), ("X-Zone", "inner")]), "404");
    assert_eq!(route(&gateway, "/t", &both), "traced");
    assert_eq!(route(&gateway, "/t", &[]), "untraced");
    assert_eq!(route(&gateway, "/q?shop=1", &[]), "shop");
    assert_eq!(route(&gateway, "/q?a=b&%73hop=%31", &[]), "shop");
    assert_eq!(route(&gateway, "/q?shop=2", &both), "none");
    assert_eq!(route(&gateway, "/q?shop=1&shop=2", &[]), "404");
    assert_eq!(route(&gateway, "/q?a=1;shop=1", &[]), "404", "some split at a semicolon");
    assert_eq!(route(&gateway, "/q?a=1;b=1", &[]), "none");
    assert_eq!(gateway.metrics().sum("ringgate_refusals_total", &["reason=\"route.none\""]), 4.0);
    let described =
        json!({ "target": "/", "headers": [["host", "a"], ["x-zone", "1"], ["x-zone", "2"]] });
    let told = gateway.admin_post("/explain", &described.to_string()).json();
    assert!(told["detail"].as_str().unwrap().ends_with("has several"), "{told:#}");
}

#[test]
fn more_conditions_come_before_fewer_and_none_leads_to_a_broader_path() {
    let asks = |path: &str, headers: Value| json!({ "path_prefix": path, "headers": headers });
    let a = json!({ "name": "X-A", "value": "1" });
    let b = json!({ "name": "X-B", "present": true });
    let gateway = naming(&[
        ("broad", json!({})),
        ("a", asks("/p", json!([a]))),
        ("b", asks("/p", json!([b]))),
        ("both", asks("/p", json!([b, a]))),
        ("post", json!({ "path_prefix": "/p", "methods": ["POST"] })),
    ]);
    assert_eq!(route(&gateway, "/p", &[("X-A", "1")]), "a");
    assert_eq!(route(&gateway, "/p", &[("X-B", "1")]), "b");
    assert_eq!(route(&gateway, "/p", &[("X-B", "1"), ("X-A", "1")]), "both");
    assert_eq!(route(&gateway, "/p", &[("X-B", "1"), ("X-A", "2")]), "b");
    assert_eq!(route(&gateway, "/p", &[]), "404", "the broader route may ask for less");
    assert_eq!(route(&gateway, "/z", &[("X-A", "1")]), "broad");
}

#[test]
fn the_route_that_is_taken_says_what_is_asked_of_the_token() {
    let guarded = json!({
        "match": { "headers": [{ "name": "X-Zone", "value": "inner" }] },
        "jwt": { "providers": ["tests"] },
        "respond": { "status": 200, "body": "inner" },
    });
    let config = Config::new()
        .provider("tests", ISSUER, json!({ "inline": jwks(&[&Key::p256("k")]) }))
        .route(guarded)
        .respond(json!({}), "outer");
    let gateway = Gateway::start(&config);
    assert_eq!(route(&gateway, "/", &[]), "outer");
    assert_eq!(route(&gateway, "/", &[("x_zone", "inner")]), "401");
}
