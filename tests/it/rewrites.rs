//! The path that an upstream is asked for in place of the client's.

use serde_json::{Value, json};

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Key, Token, Upstream, wait_until};

/// A gateway with one route, to this upstream.
fn gateway(upstream: &Upstream, matching: Value, rewrite: Value) -> Gateway {
    Gateway::start(&config(upstream, matching, rewrite))
}

#[allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]
fn config(upstream: &Upstream, matching: Value, rewrite: Value) -> Config {
    Config::new()
        .set("listeners.0.reason_header", true)
        .endpoints("main", &[upstream.endpoint()])
        .route(json!({ "match": matching, "rewrite": rewrite, "upstream": "main" }))
}

/// What the upstream is asked for, or why nothing is; `/explain` agrees.
fn asked(gateway: &Gateway, upstream: &Upstream, target: &str) -> String {
    let response = gateway.client().get(target);
    let described = json!({ "target": target, "headers": { "host": "a" } });
    let told = gateway.admin_post("/explain", &described.to_string()).json();
    if response.status() == 200 {
        let asked = upstream.request().target().to_owned();
        assert_eq!(told["upstream_path"], asked.split('?').next().unwrap(), "{told:#}");
        return asked;
    }
    let reason = response.field("X-Ringgate-Reason").unwrap().to_owned();
    assert_eq!((&told["reason"], &told["status"]), (&json!(reason), &json!(response.status())));
    format!("{} {reason}", response.status())
}

#[test]
fn a_prefix_takes_the_place_of_the_routes() {
    let upstream = Upstream::saying("x");
    for (route, to, target, expected) in [
        ("/orders", "/v2", "/orders", "/v2"),
        ("/orders", "/v2", "/orders/1?a=/orders&b", "/v2/1?a=/orders&b"),
        ("/orders/", "/", "/orders/", "/"),
        ("/orders/", "/", "/orders//x/./y?", "/x/y?"),
        ("/orders", "/v2/", "/%6frders/1", "/v2/1"),
        ("/", "/v2", "/orders/a%2fb", "/v2/orders/a%2Fb"),
        ("/a/b", "/", "/a/b/../b/c", "/c"),
    ] {
        let matching = json!({ "path_prefix": route });
        let gateway = gateway(&upstream, matching, json!({ "prefix": to }));
        assert_eq!(asked(&gateway, &upstream, target), expected, "{route} {to} {target}");
    }
}

#[test]
fn a_pattern_makes_a_whole_path_of_groups() {
    let upstream = Upstream::saying("x");
    let rewrite = json!({ "pattern": "/users/(?<id>\\d+)(/.*)?", "to": "/u/${id}$2" });
    let gateway = gateway(&upstream, json!({}), rewrite);
    assert_eq!(asked(&gateway, &upstream, "/users/17"), "/u/17");
    assert_eq!(asked(&gateway, &upstream, "/users/17/orders?x=1"), "/u/17/orders?x=1");
    assert_eq!(asked(&gateway, &upstream, "/users/%31/"), "/u/1/");
    let none = "404 route.rewrite_unmatched";
    assert_eq!(asked(&gateway, &upstream, "/users/bob"), none);
    assert_eq!(asked(&gateway, &upstream, "/x/users/17"), none);
    upstream.expect_no_request();
}

#[test]
fn what_a_pattern_makes_is_not_sent_where_it_is_no_normal_path() {
    let upstream = Upstream::saying("x");
    let invalid = "500 route.rewrite_invalid";
    for (pattern, to, target) in [
        ("/x/(.*)", "/$1/$1", "/x/"),
        ("/x/(.)(.*)", "/$1/$2", "/x/a.."),
        ("/x/(.)(.*)", "$1$2", "/x/a/b"),
        ("/x/(.*)20(.*)", "/${1}2e$2", "/x/%20."),
        ("/x/(.*)", "$1", "/x/evil.example"),
    ] {
        let gateway = gateway(&upstream, json!({}), json!({ "pattern": pattern, "to": to }));
        assert_eq!(asked(&gateway, &upstream, target), invalid, "{pattern} {to} {target}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn routes_tokens_and_the_log_go_by_the_path_that_was_asked_for() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let config = config(&upstream, json!({ "path_prefix": "/in" }), json!({ "prefix": "/out" }))
        .set("routes.0.jwt", json!({ "providers": ["tests"] }))
        .provider("tests", ISSUER, json!({ "inline": jwks(&[&key]) }))
        .respond(json!({ "path_prefix": "/out" }), "never");
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().get("/in/x").status(), 401);
    let token = Token::new().sign(&key);
    assert_eq!(gateway.client().get_as("/in/x", &token).status(), 200);
    assert_eq!(upstream.request().target(), "/out/x");
    assert_eq!(gateway.client().get("/out/x").text(), "never");
    let path = wait_until("the line of the request", || {
        let forwarded = |line: &Value| line["status"] == 200 && line["upstream"] == "main";
        gateway.access_log().into_iter().find(forwarded).map(|line| line["path"].clone())
    });
    assert_eq!(path, "/in/x");
}
