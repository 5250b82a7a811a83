//! Which route a request takes, and the answers that the gateway gives itself.

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

/// The name of the route that a request takes, or its status where it took none.
fn route(gateway: &Gateway, method: &str, host: &str, target: &str) -> String {
    let mut client = gateway.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let response = client.response_to(method);
    if response.status() == 200 { response.text() } else { response.status().to_string() }
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let routes = [
        ("any", json!({})),
        ("exact", json!({ "path": "/a/b" })),
        ("long", json!({ "path_prefix": "/a/b/" })),
        ("short", json!({ "path_prefix": "/a/" })),
    ];
    let mut reversed = routes.clone();
    reversed.reverse();
    for routes in [routes, reversed] {
        let gateway = naming(&routes);
        let take = |target: &str| route(&gateway, "GET", "h.example", target);
        assert_eq!(take("/a/b"), "exact");
        assert_eq!(take("/a/b?query=/a/b/c"), "exact");
        assert_eq!(take("/a/b/c"), "long");
        assert_eq!(take("/a/x"), "short");
        assert_eq!(take("/z"), "any");
    }
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let gateway = naming(&[("orders", json!({ "path_prefix": "/orders" }))]);
    let take = |target: &str| route(&gateway, "GET", "h.example", target);
    assert_eq!(take("/orders"), "orders");
    assert_eq!(take("/orders/"), "orders");
    assert_eq!(take("/orders/1"), "orders");
    assert_eq!(take("/ordersx"), "404");
    assert_eq!(take("/order"), "404");
}

#[test]
fn the_most_specific_host_wins() {
    let gateway = naming(&[
        ("any", json!({})),
        ("wildcard", json!({ "host": "*.example.com" })),
        ("exact", json!({ "host": "api.example.com" })),
    ]);
    let take = |host: &str| route(&gateway, "GET", host, "/");
    assert_eq!(take("api.example.com"), "exact");
    assert_eq!(take("API.Example.COM"), "exact", "a host has no case");
    assert_eq!(take("api.example.com:8080"), "exact", "the port is not part of it");
    assert_eq!(take("other.example.com"), "wildcard");
    assert_eq!(take("example.com"), "any", "a wildcard stands for at least one label");
    assert_eq!(take("example.org"), "any");
}

#[test]
fn methods_restrict_a_route() {
    let gateway = naming(&[
        ("read", json!({ "path": "/x", "methods": ["GET", "HEAD"] })),
        ("write", json!({ "path": "/x", "methods": ["POST"] })),
    ]);
    assert_eq!(route(&gateway, "GET", "a", "/x"), "read");
    assert_eq!(route(&gateway, "POST", "a", "/x"), "write");
    assert_eq!(route(&gateway, "DELETE", "a", "/x"), "404");
    assert_eq!(route(&gateway, "get", "a", "/x"), "404", "a method has case");
}

#[test]
fn a_listener_restricts_a_route() {
    let config = Config::new()
        .set(
            "listeners",
            json!([
                { "name": "public", "address": "127.0.0.1:0" },
                { "name": "inner", "address": "127.0.0.2:0" },
            ]),
        )
        .respond(json!({ "listener": "inner", "path": "/secret" }), "inside");
    let gateway = Gateway::start(&config);
    let ask = |name: &str| {
        crate::harness::Client::connect(gateway.listener(name)).get("/secret").status()
    };
    assert_eq!(ask("inner"), 200);
    assert_eq!(ask("public"), 404);
}

#[test]
fn a_path_that_is_another_spelling_takes_no_way_round_a_route() {
    // Whatever the gateway does with such a path, it must not serve it by the open route while an
    // upstream may read it as the guarded one.
    let gateway = naming(&[
        ("open", json!({ "path_prefix": "/open/" })),
        ("guarded", json!({ "path_prefix": "/guarded/" })),
    ]);
    for target in [
        "/open/../guarded/x",
        "/open/%2e%2e/guarded/x",
        "/open/.%2E/guarded/x",
        "/open/..%2fguarded/x",
        "/open/./../guarded/x",
    ] {
        assert_ne!(route(&gateway, "GET", "a", target), "open", "{target}");
    }
}

#[test]
fn no_match_is_404_with_a_json_body() {
    let gateway = naming(&[("x", json!({ "path": "/x" }))]);
    let mut client = gateway.client();
    let response = client.get("/y");
    assert_eq!((response.status(), &response.json()["status"]), (404, &json!(404)));
    assert_eq!(response.field("Content-Type"), Some("application/json"));
    assert_eq!(client.get("/x").text(), "x", "the connection serves on");
}

#[test]
fn respond_answers_with_what_the_file_says() {
    let gateway = Gateway::start(&Config::new().route(json!({
        "match": { "path": "/teapot" },
        "respond": { "status": 418, "body": "short and stout\n", "content_type": "text/x-tea" },
    })));
    let mut client = gateway.client();
    let response = client.get("/teapot");
    assert_eq!((response.status(), response.text().as_str()), (418, "short and stout\n"));
    assert_eq!(response.field("Content-Type"), Some("text/x-tea"));
    client.send("HEAD /teapot HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_to("HEAD");
    assert_eq!((head.status(), head.field("Content-Length")), (418, Some("16")));
    assert_eq!(client.get("/teapot").status(), 418);
}

#[test]
fn redirect_sends_the_client_elsewhere() {
    let gateway = Gateway::start(&Config::new().route(json!({
        "match": { "path": "/old" },
        "redirect": { "status": 308, "location": "https://new.example/" },
    })));
    let response = gateway.client().get("/old");
    assert_eq!(
        (response.status(), response.field("Location")),
        (308, Some("https://new.example/"))
    );
}

#[test]
fn a_body_that_the_gateway_answers_itself_does_not_become_a_request() {
    let gateway = naming(&[("x", json!({ "path": "/x" }))]);
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n");
    client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r");
    let response = client.response();
    assert_eq!(response.text(), "x");
    if response.field("Connection") == Some("close") {
        client.wait_for_end();
    } else {
        assert_eq!(client.get("/x").text(), "x");
    }
}

#[test]
fn a_route_is_for_clients_of_its_addresses() {
    let answer = json!({ "status": 200, "body": "x" });
    let route = |path: &str, key: &str, list: Value| json!({ "match": { "path": path }, key: list, "respond": answer });
    let mut guarded = route("/guarded", "deny_from", json!(["127.0.0.0/8"]));
    guarded["jwt"] = json!({ "providers": ["tests"] });
    let config = Config::new()
        .set("listeners.0.reason_header", true)
        .provider("tests", ISSUER, json!({ "inline": jwks(&[&Key::p256("k")]) }))
        .route(route("/ours", "allow_from", json!(["127.0.0.0/8", "::1"])))
        .route(route("/theirs", "allow_from", json!(["192.0.2.0/24"])))
        .route(route("/not-ours", "deny_from", json!(["127.0.0.1"])))
        .route(route("/not-theirs", "deny_from", json!(["192.0.2.0/24"])))
        .route(guarded);
    let gateway = Gateway::start(&config);
    for (path, reason) in [
        ("/ours", None),
        ("/not-theirs", None),
        ("/theirs", Some("route.client_denied")),
        ("/not-ours", Some("route.client_denied")),
        // Before authentication: nobody learns that it asks for a token.
        ("/guarded", Some("route.client_denied")),
    ] {
        let response = gateway.client().get(path);
        assert_eq!(response.field("X-Ringgate-Reason"), reason, "{path}");
        assert_eq!(response.status(), if reason.is_some() { 403 } else { 200 }, "{path}");
    }
}
