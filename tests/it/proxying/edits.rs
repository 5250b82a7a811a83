//! Fields that routes set, add and remove, and what the gateway says of itself.

use serde_json::{Value, json};

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Key, Message, Token, Upstream};

/// A gateway with one route for all, to an upstream that answers with these fields.
fn gateway(upstream: &Upstream, route: &Value, change: impl Fn(Config) -> Config) -> Gateway {
    let mut all = json!({ "match": {}, "upstream": "main" });
    all.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
    let config = Config::new().endpoints("main", &[upstream.endpoint()]).route(all);
    Gateway::start(&change(config))
}

fn unchanged(config: Config) -> Config {
    config
}

/// An upstream whose responses have these field lines.
fn saying(fields: &str) -> Upstream {
    Upstream::answering(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 1\r\n\r\nx"))
}

/// What the upstream gets and what the client gets.
fn both(gateway: &Gateway, upstream: &Upstream, fields: &str) -> (Message, Message) {
    let response = gateway.client().get_with("/", fields);
    (upstream.request(), response)
}

#[test]
fn request_fields_are_set_added_and_removed_whatever_the_client_sends() {
    let upstream = Upstream::saying("x");
    let rules = json!({ "request_headers": {
        "set": { "X-Team": "orders", "Authorization": "Basic eA==" },
        "add": { "Accept": "b/b" },
        "remove": ["X-Debug"],
    }});
    let gateway = gateway(&upstream, &rules, unchanged);
    let (request, _) = both(
        &gateway,
        &upstream,
        "X_Team: mine\r\nx-team: mine\r\nAccept: a/a\r\nX-Debug: 1\r\nX_DEBUG: 2\r\nX-Stays: 3\r\n",
    );
    assert_eq!(request.all("X-Team"), ["orders"]);
    assert_eq!(request.field("X_Team"), None);
    assert_eq!(request.field("Authorization"), Some("Basic eA=="));
    assert_eq!(request.all("Accept"), ["a/a", "b/b"]);
    assert_eq!((request.field("X-Debug"), request.field("X_DEBUG")), (None, None));
    assert_eq!(request.field("X-Stays"), Some("3"));
}

#[test]
fn a_trailer_does_not_bring_back_what_is_removed_or_set() {
    let upstream = Upstream::saying("x");
    let rules = json!({ "request_headers": { "set": { "X-Team": "a" }, "remove": ["X-Debug"] } });
    let gateway = gateway(&upstream, &rules, unchanged);
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nX-Team: b\r\nX-Debug: 1\r\nX-Sum: 2\r\n\r\n",
    );
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.request().trailers, [("X-Sum".to_owned(), "2".to_owned())]);
}

#[test]
fn response_fields_are_set_added_and_removed() {
    let upstream =
        saying("X-Powered-By: php\r\nVary: Accept\r\nCache-Control: public\r\nX-Stays: 1\r\n");
    let rules = json!({ "response_headers": {
        "set": { "Cache-Control": "no-cache", "X-Frame-Options": "DENY" },
        "add": { "Vary": "Cookie" },
        "remove": ["x-powered-by"],
    }});
    let gateway = gateway(&upstream, &rules, unchanged);
    let (_, response) = both(&gateway, &upstream, "");
    assert_eq!(response.field("X-Powered-By"), None);
    assert_eq!(response.all("Cache-Control"), ["no-cache"]);
    assert_eq!(response.all("Vary"), ["Accept", "Cookie"]);
    assert_eq!(response.field("X-Frame-Options"), Some("DENY"));
    assert_eq!(response.field("X-Stays"), Some("1"));
}

#[test]
fn a_routes_response_fields_are_on_answers_of_the_gateways_own_too() {
    let (key, upstream) = (Key::p256("k"), Upstream::saying("x"));
    let headers = json!({ "set": { "X-Frame-Options": "DENY", "Cache-Control": "public" } });
    let rules = json!({
        "response_headers": headers,
        "jwt": { "mode": "strict", "providers": ["tests"] },
    });
    let gateway = gateway(&upstream, &rules, |config| {
        config.provider("tests", ISSUER, json!({ "inline": jwks(&[&key]) })).route(json!({
            "match": { "path": "/here" },
            "respond": { "status": 200, "body": "x" },
            "response_headers": { "set": { "Content-Type": "text/html", "X-Frame-Options": "DENY" } },
        }))
    });
    let refused = gateway.client().get("/");
    assert_eq!((refused.status(), refused.field("X-Frame-Options")), (401, Some("DENY")));
    assert_eq!(refused.all("Cache-Control"), ["no-store"], "a refusal is never cached");
    let here = gateway.client().get("/here");
    assert_eq!((here.status(), here.field("X-Frame-Options")), (200, Some("DENY")));
    assert_eq!(here.all("Content-Type"), ["text/html"]);
    assert_eq!(gateway.client().get("/here/not").status(), 401);
}

#[test]
fn server_is_replaced_where_the_gateway_has_one_and_passed_on_where_not() {
    for (server, seen) in [(None, Some("php")), (Some("edge"), Some("edge"))] {
        let upstream = saying("Server: php\r\n");
        let gateway = gateway(&upstream, &json!({}), |config| match server {
            None => config,
            Some(server) => config.set("server", server),
        });
        assert_eq!(both(&gateway, &upstream, "").1.field("Server"), seen);
        let mut client = gateway.client();
        client.send("nonsense\r\n\r\n");
        let refused = client.response();
        assert_eq!((refused.status(), refused.field("Server")), (400, server));
    }
}

#[test]
fn via_says_in_which_version_a_message_came() {
    let upstream = saying("Via: 1.0 inner\r\n");
    let gateway = gateway(&upstream, &json!({}), |config| config.set("via", "edge-1"));
    let (request, response) = both(&gateway, &upstream, "Via: 1.1 before\r\n");
    assert_eq!(request.all("Via"), ["1.1 before", "1.1 edge-1"]);
    assert_eq!(response.all("Via"), ["1.0 inner", "1.1 edge-1"]);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.request().all("Via"), ["1.0 edge-1"]);
}

/// The id that everybody was told of, having been told the same.
fn id_of(gateway: &Gateway, upstream: &Upstream, fields: &str) -> String {
    let (request, response) = both(gateway, upstream, fields);
    let [id] = request.all("X-Request-Id")[..] else { panic!("one id: {request:?}") };
    assert_eq!(response.all("X-Request-Id"), [id]);
    id.to_owned()
}

#[test]
fn each_request_has_an_id_that_client_upstream_and_log_know() {
    let upstream = saying("X-Request-Id: mine\r\n");
    let gateway = gateway(&upstream, &json!({}), |config| {
        config.set("request_id", json!({})).respond(json!({ "path": "/here" }), "x")
    });
    let one = id_of(&gateway, &upstream, "");
    let other = id_of(&gateway, &upstream, "X-Request-Id: chosen\r\nX_Request_Id: chosen\r\n");
    assert_ne!(one, other);
    assert_eq!((one.len(), other.len()), (36, 36), "{one} {other}");
    let here = gateway.client().get("/here");
    let mut client = gateway.client();
    client.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    let refused = client.response();
    let ids: Vec<String> = [&here, &refused]
        .map(|response| response.field("X-Request-Id").unwrap().to_owned())
        .into_iter()
        .chain([one, other])
        .collect();
    let log = crate::harness::wait_until("four lines", || {
        let log = gateway.access_log();
        (log.len() >= 4).then_some(log)
    });
    for id in ids {
        let lines = log.iter().filter(|line| line["request_id"] == *id).count();
        assert_eq!(lines, 1, "{id} in {log:?}");
    }
}

#[test]
fn a_clients_own_id_is_kept_where_the_gateway_is_told_to() {
    let upstream = Upstream::saying("x");
    let rule = json!({ "header": "X-Request-Id", "keep": true });
    let gateway = gateway(&upstream, &json!({}), |config| config.set("request_id", rule.clone()));
    assert_eq!(id_of(&gateway, &upstream, "x-request-id: chosen/1\r\n"), "chosen/1");
    for bad in ["x-request-id: a b\r\n", "x-request-id: a\r\nx-request-id: b\r\n"] {
        assert_eq!(id_of(&gateway, &upstream, bad).len(), 36, "{bad}");
    }
}

const PAGE: &str = "https://app.example.com";

/// A gateway whose route for tokens may be used by pages.
fn cors_gateway(upstream: &Upstream, key: &Key, more: &Value) -> Gateway {
    let mut cors = json!({
        "origins": [PAGE, "https://*.partner.example"],
        "methods": ["GET", "PUT"],
        "headers": ["Authorization", "X-Team"],
        "expose_headers": ["X-Sum"],
        "max_age": "1h",
    });
    cors.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = Config::new()
        .endpoints("main", &[upstream.endpoint()])
        .provider("tests", ISSUER, json!({ "inline": jwks(&[key]) }))
        .route(json!({
            "match": { "path_prefix": "/api", "methods": ["GET", "PUT"] },
            "jwt": { "providers": ["tests"] },
            "cors": cors,
            "upstream": "main",
        }))
        .route(json!({ "match": {}, "upstream": "main" }));
    Gateway::start(&config)
}

fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Message {
    let mut client = gateway.client();
    client.send(format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: {method}\r\n\r\n"
    ));
    let answer = client.response();
    // The connection serves on.
    client.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    answer
}

#[test]
fn a_preflight_is_answered_before_a_token_is_asked_for() {
    let (key, upstream) = (Key::p256("k"), Upstream::saying("x"));
    let gateway = cors_gateway(&upstream, &key, &json!({}));
    for origin in [PAGE, "https://a.partner.example"] {
        let answer = preflight(&gateway, "/api/1", origin, "PUT");
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some(origin));
        assert_eq!(answer.field("Access-Control-Allow-Methods"), Some("GET, PUT"));
        assert_eq!(answer.field("Access-Control-Allow-Headers"), Some("Authorization, X-Team"));
        assert_eq!(answer.field("Access-Control-Max-Age"), Some("3600"));
        assert_eq!(answer.field("Access-Control-Allow-Credentials"), None);
        assert_eq!(answer.field("Vary"), Some("Origin"));
        assert_eq!(answer.field("Content-Length"), None);
    }
    let foreign = preflight(&gateway, "/api/1", "https://evil.example", "PUT");
    assert_eq!((foreign.status(), foreign.field("Access-Control-Allow-Origin")), (403, None));
    // No route takes DELETE there, nor OPTIONS itself.
    assert_eq!(preflight(&gateway, "/api/1", PAGE, "DELETE").status(), 404);
}

#[test]
fn a_page_may_read_responses_and_refusals_if_its_origin_may() {
    let key = Key::p256("k");
    let upstream = saying("Access-Control-Allow-Origin: *\r\nX-Sum: 1\r\n");
    let gateway = cors_gateway(&upstream, &key, &json!({ "credentials": true }));
    let token = Token::new().claim("sub", "ann").sign(&key);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (fields, status) in [(bearer.as_str(), 200), ("", 401)] {
        let with = format!("Origin: {PAGE}\r\n{fields}");
        let response = gateway.client().get_with("/api", &with);
        assert_eq!(response.status(), status);
        assert_eq!(response.all("Access-Control-Allow-Origin"), [PAGE]);
        assert_eq!(response.all("Access-Control-Allow-Credentials"), ["true"]);
        assert_eq!(response.all("Access-Control-Expose-Headers"), ["X-Sum"]);
        assert_eq!(response.all("Vary"), ["Origin"]);
        let foreign = format!("Origin: https://evil.example\r\n{fields}");
        for with in [foreign.as_str(), fields] {
            let response = gateway.client().get_with("/api", with);
            assert_eq!(response.status(), status);
            assert_eq!(response.field("Access-Control-Allow-Origin"), None);
            assert_eq!(response.all("Vary"), ["Origin"], "a cache is to tell them apart");
        }
    }
}

#[test]
fn any_page_may_where_the_route_says_so() {
    let (key, upstream) = (Key::p256("k"), Upstream::saying("x"));
    let gateway = cors_gateway(&upstream, &key, &json!({ "origins": ["*"] }));
    let response = gateway.client().get_with("/api", "Origin: https://any.example\r\n");
    assert_eq!(response.status(), 401);
    assert_eq!(response.all("Access-Control-Allow-Origin"), ["*"]);
    assert_eq!(response.field("Vary"), None);
    let answer = preflight(&gateway, "/api", "https://any.example", "GET");
    assert_eq!((answer.status(), answer.field("Access-Control-Allow-Origin")), (204, Some("*")));
}

#[test]
fn a_preflight_is_a_request_like_others_where_the_route_says_so() {
    let (key, upstream) = (Key::p256("k"), Upstream::saying("x"));
    let gateway = cors_gateway(&upstream, &key, &json!({ "preflight": "forward" }));
    // No route takes OPTIONS there.
    assert_eq!(preflight(&gateway, "/api", PAGE, "PUT").status(), 404);
}
