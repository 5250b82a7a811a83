//! Redirects that depend on the request, maintenance, and what responses say of https.

use serde_json::{Value, json};

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Key, Message, Token, Upstream};

/// A gateway with one route that redirects, behind a trusted proxy.
#[allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]
fn redirecting(matching: Value, redirect: Value) -> Gateway {
    Gateway::start(
        &Config::new()
            .set("listeners.0.reason_header", true)
            .set("forwarding", json!({ "trusted_proxies": ["127.0.0.0/8"] }))
            .route(json!({ "match": matching, "redirect": redirect })),
    )
}

/// Status and place to which a GET is sent.
fn sent_to(gateway: &Gateway, host: &str, target: &str, fields: &str) -> (u16, String) {
    let mut client = gateway.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    let response = client.response();
    (response.status(), response.field("Location").unwrap_or_default().to_owned())
}

#[test]
fn a_redirect_replaces_what_it_names_and_keeps_the_rest() {
    let to = |text: &str| (308, text.to_owned());
    for (redirect, target, expected) in [
        (json!({ "scheme": "https" }), "/a/b?c=d&e", "https://shop.example/a/b?c=d&e"),
        (json!({ "scheme": "https", "query": "drop" }), "/a?c", "https://shop.example/a"),
        (json!({ "host": "new.example" }), "/a?", "http://new.example/a?"),
        (
            json!({ "host": "new.example:8443", "scheme": "https" }),
            "/",
            "https://new.example:8443/",
        ),
        (json!({ "path": "/b" }), "/a?c", "http://shop.example:8080/b?c"),
        (json!({ "path_prefix": "/v2" }), "/a/b/c", "http://shop.example:8080/v2/b/c"),
        // What is sent is the normal form, behind a host that is told.
        (json!({ "scheme": "https" }), "//evil.example/..//a", "https://shop.example/a"),
    ] {
        let mut redirect = redirect;
        redirect["status"] = json!(308);
        let named = redirect.to_string();
        let gateway = redirecting(json!({ "path_prefix": prefix_of(&redirect) }), redirect);
        assert_eq!(sent_to(&gateway, "shop.example:8080", target, ""), to(expected), "{named}");
    }
}

/// The prefix that a route has for its redirect.
fn prefix_of(redirect: &Value) -> &'static str {
    if redirect.get("path_prefix").is_some() { "/a" } else { "/" }
}

#[test]
fn without_a_scheme_of_its_own_a_redirect_has_the_clients() {
    let gateway = redirecting(json!({}), json!({ "path": "/b" }));
    let at = |fields: &str| sent_to(&gateway, "a.example", "/", fields).1;
    assert_eq!(at("X-Forwarded-Proto: https\r\n"), "https://a.example/b");
    assert_eq!(at("X-Forwarded-Proto: http\r\n"), "http://a.example/b");
    assert_eq!(at("X-Forwarded-Proto: evil\r\n"), "http://a.example/b");
}

#[test]
fn a_redirect_leads_nowhere_without_a_host() {
    let gateway = redirecting(json!({}), json!({ "path": "/b" }));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.field("X-Ringgate-Reason"), Some("route.redirect_host"));
}

#[test]
fn a_redirect_does_not_take_the_token_along() {
    let key = Key::p256("k");
    let gateway = Gateway::start(
        &Config::new().provider("tests", ISSUER, json!({ "inline": jwks(&[&key]) })).route(json!({
            "jwt": { "providers": ["tests"], "from": [{ "query": "token" }] },
            "redirect": { "host": "b.example" },
        })),
    );
    let target = format!("/x?a=1&token={}&b", Token::new().sign(&key));
    let response = gateway.client().get(&target);
    assert_eq!(response.field("Location"), Some("http://b.example/x?a=1&b"));
    assert_eq!(response.field("Cache-Control"), Some("private"));
}

#[test]
fn a_route_in_maintenance_answers_before_the_token_is_asked_for() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let page = "<p>back soon</p>".repeat(3000);
    let config = Config::protecting(&upstream, &[&key])
        .set("listeners.0.reason_header", true)
        .set("routes.0.cors", json!({ "origins": ["https://app.example"] }));
    let away = config.clone().set(
        "routes.0.maintenance",
        json!({ "body": page, "content_type": "text/html", "retry_after": "10m" }),
    );
    let gateway = Gateway::start(&away);
    let mut client = gateway.client();
    let response = client.get_with("/", "Origin: https://app.example\r\n");
    assert_eq!((response.status(), response.text()), (503, page));
    assert_eq!(response.field("Retry-After"), Some("600"));
    assert_eq!(response.field("Content-Type"), Some("text/html"));
    assert_eq!(response.field("Cache-Control"), Some("no-store"));
    assert_eq!(response.field("X-Ringgate-Reason"), Some("route.maintenance"));
    assert_eq!(response.field("Access-Control-Allow-Origin"), Some("https://app.example"));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status(), 503, "the connection serves on");
    let grpc = client.get_with("/", "Content-Type: application/grpc\r\n");
    assert_eq!((grpc.status(), grpc.field("grpc-status")), (200, Some("14")));
    let told = gateway
        .admin_post("/explain", &json!({ "target": "/", "headers": { "host": "a" } }).to_string());
    assert_eq!(told.json()["reason"], "route.maintenance");
    let label = "reason=\"route.maintenance\"";
    gateway.wait_for_metric("ringgate_refusals_total", &[label, "fault=\"gateway\""], |n| n == 3.0);
    gateway.reload(config.clone().set("routes.0.maintenance", json!({})));
    gateway.wait_for_line(&["every worker runs", "generation=2"]);
    let response = gateway.client().get("/");
    assert_eq!(
        (response.status(), &response.json()["error"]),
        (503, &json!("service_unavailable"))
    );
    assert_eq!(response.field("Retry-After"), None);
    gateway.reload(config);
    gateway.wait_for_line(&["every worker runs", "generation=3"]);
    assert_eq!(gateway.client().get("/").status(), 401);
    assert_eq!(upstream.connections(), 0);
}

/// What responses of a gateway behind a proxy say of https, to clients of both kinds.
fn said(gateway: &Gateway, target: &str) -> [Vec<String>; 2] {
    ["https", "http"].map(|scheme| {
        let fields = format!("X-Forwarded-Proto: {scheme}\r\n");
        let response: Message = gateway.client().get_with(target, &fields);
        let all = response.all("Strict-Transport-Security");
        all.into_iter().map(str::to_owned).collect()
    })
}

#[test]
fn responses_to_clients_that_came_by_https_say_to_come_so_again() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n",
    );
    let hsts = json!({ "max_age": "365days", "include_subdomains": true, "preload": true });
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .set("listeners.0.hsts", hsts)
        .set("forwarding", json!({ "trusted_proxies": ["127.0.0.1"] }))
        .route(json!({ "match": { "path": "/all" }, "upstream": "main" }))
        .route(
            json!({ "match": { "path": "/own" }, "upstream": "main", "hsts": { "max_age": "0s" } }),
        )
        .route(json!({
            "match": { "path": "/set" }, "upstream": "main",
            "response_headers": { "set": { "Strict-Transport-Security": "max-age=9" } },
        }))
        .respond(json!({ "path": "/here" }), "x");
    let gateway = Gateway::start(&config);
    let always = "max-age=31536000; includeSubDomains; preload";
    for target in ["/all", "/here", "/none"] {
        assert_eq!(said(&gateway, target), [vec![always.to_owned()], vec![]], "{target}");
    }
    assert_eq!(said(&gateway, "/own"), [vec!["max-age=0".to_owned()], vec![]]);
    assert_eq!(
        said(&gateway, "/set"),
        [vec!["max-age=9".to_owned()], vec!["max-age=9".to_owned()]]
    );
    gateway.reload(config.set("forwarding", json!({})));
    gateway.wait_for_line(&["every worker runs", "generation=2"]);
    assert_eq!(said(&gateway, "/all"), [Vec::<String>::new(), vec![]], "nobody is believed");
}
