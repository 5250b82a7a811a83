//! `POST /explain`: the judgement of a described request is that of the request itself.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};

fn explain(gateway: &Gateway, description: &Value) -> Value {
    let response = gateway.admin_post("/explain", &description.to_string());
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

fn with_token(target: &str, token: &str) -> Value {
    json!({
        "listener": "public",
        "method": "GET",
        "target": target,
        "headers": [["host", "api.example.com"], ["authorization", format!("Bearer {token}")]],
    })
}

fn guarded(upstream: &Upstream, key: &Key) -> Config {
    Config::protecting(upstream, &[key])
        .set("routes.0.name", "guarded")
        .set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub", "x-team": "team" }))
}

#[test]
fn an_accepted_request_shows_its_route_checks_and_headers() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let gateway = Gateway::start(&guarded(&upstream, &key));
    let token = Token::new().claim("team", "blue, green").sign(&key);
    let told = explain(&gateway, &with_token("/orders/1", &token));
    assert_eq!(told["verdict"], "accepted", "{told:#}");
    assert_eq!((&told["route"]["name"], &told["upstream"]), (&json!("guarded"), &json!("main")));
    let headers = told["set_headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-team", "blue, green"])), "{told:#}");
    let checks = told["tokens"][0]["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["outcome"] == "ok"), "{told:#}");
    let named: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let position = |name: &str| named.iter().position(|one| *one == name);
    assert!(position("iss") < position("key") && position("key") < position("aud"), "{named:?}");
    assert_eq!(told["tokens"][0]["place"], "header authorization");
    assert_eq!(upstream.connections(), 0, "nothing was sent");
    assert_eq!(gateway.metrics().sum("ringgate_tokens_total", &[]), 0.0, "nothing was counted");
    let written = gateway.stdout() + &gateway.stderr();
    assert!(!written.contains(&token), "nothing was logged");
}

#[test]
fn a_refusal_is_that_of_the_data_plane() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let require = json!([{ "claim": "scope", "contains": "write" }]);
    let gateway = Gateway::start(&guarded(&upstream, &key).set("routes.0.jwt.require", require));
    let valid = Token::new().claim("scope", "write");
    for (token, reason) in [
        (valid.clone().claim("exp", 1000).sign(&key), "auth.expired"),
        (valid.clone().sign(&Key::p256("k")), "auth.signature"),
        (Token::new().claim("scope", "read").sign(&key), "auth.scope_rule"),
        ("a.b".to_owned(), "auth.token_segments"),
        (String::new(), "auth.malformed_credentials"),
    ] {
        let told = explain(&gateway, &with_token("/", &token));
        let answered = gateway.client().get_as("/", &token);
        assert_eq!((&told["verdict"], &told["reason"]), (&json!("refused"), &json!(reason)));
        assert_eq!(told["status"], answered.status(), "{told:#}");
        assert_eq!(told["challenge"]["field"], "WWW-Authenticate");
        let challenge = answered.field("WWW-Authenticate").unwrap();
        assert_eq!(told["challenge"]["value"], challenge, "{told:#}");
    }
    let mut later = with_token("/", &valid.claim("exp", 1000).sign(&key));
    later["now"] = json!(999);
    // Issued in the future of that time, but not expired.
    assert_ne!(explain(&gateway, &later)["reason"], "auth.expired");
}

#[test]
fn what_comes_to_no_route_says_why() {
    let config = Config::new()
        .respond(json!({ "host": "a.example", "path": "/x" }), "hello")
        .respond(json!({ "host": "a.example", "path": "/z", "methods": ["GET"] }), "hello");
    let gateway = Gateway::start(&config);
    let told = |target: &str, headers: Value| {
        let told = explain(&gateway, &json!({ "target": target, "headers": headers }));
        (told["reason"].clone(), told["status"].clone(), told["route"]["name"].clone())
    };
    let host = json!({ "host": "A.example:80" });
    assert_eq!(told("/x", host.clone()), (Value::Null, json!(200), json!("routes[0]")));
    assert_eq!(told("/y", host), (json!("route.none"), json!(404), Value::Null));
    assert_eq!(told("/x", json!({})), (json!("host.missing"), json!(400), Value::Null));
    let twice = json!([["host", "a.example"], ["host", "a.example"]]);
    assert_eq!(told("/x", twice), (json!("host.duplicate"), json!(400), Value::Null));
    let other = json!({ "method": "PUT", "target": "/z", "headers": { "host": "a.example" } });
    for (target, detail) in [
        ("/y", "no route matches the listener, host and path"),
        ("/z", "the most specific routes for the host and path take other methods"),
        ("/%2fz", "the path has a dot segment, or an escape that readers take differently"),
    ] {
        let mut asked = other.clone();
        asked["target"] = json!(target);
        assert_eq!(explain(&gateway, &asked)["detail"], detail);
    }
    let trace = json!({ "method": "TRACE", "target": "/x", "headers": { "host": "a.example" } });
    assert_eq!(explain(&gateway, &trace)["reason"], "request.method_refused");
}

#[test]
fn an_unknown_key_is_neither_looked_for_nor_waited_for() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.providers.tests.jwks.refresh_interval", "1h");
    let gateway = Gateway::start(&config);
    wait_until("ready", || (gateway.admin("/readyz").status() == 200).then_some(()));
    // It counts a fetch after it has answered.
    wait_until("the first fetch", || (issuer.fetches() == 1).then_some(()));
    let told = explain(&gateway, &with_token("/", &Token::new().sign(&Key::p256("stranger"))));
    assert_eq!(told["reason"], "auth.unknown_key");
    assert_eq!(told["tokens"][0]["waits_for_key"], "500ms");
    assert_eq!(issuer.fetches(), 1);
    assert_eq!(gateway.metrics().sum("ringgate_unknown_kid_total", &[]), 0.0);
}

#[test]
fn a_permissive_route_tells_the_upstream() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let gateway = Gateway::start(&guarded(&upstream, &key).set("routes.0.jwt.mode", "permissive"));
    let told = explain(&gateway, &with_token("/", "x"));
    assert_eq!((&told["verdict"], &told["status"]), (&json!("tolerated"), &Value::Null));
    let status = json!(["x-jwt-status", "invalid;reason=auth.token_segments"]);
    assert_eq!(told["set_headers"], json!([status]));
    let bare = json!({ "target": "/", "headers": { "host": "x" } });
    assert_eq!(explain(&gateway, &bare)["verdict"], "no_token");
}

#[test]
fn a_preflight_that_a_route_spares_has_no_token() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let config = guarded(&upstream, &key).set("routes.0.jwt.bypass_preflight", true);
    let gateway = Gateway::start(&config);
    let headers = json!({ "host": "x", "origin": "https://a.example", "access-control-request-method": "PUT" });
    let mut asked = json!({ "method": "OPTIONS", "target": "/", "headers": headers });
    assert_eq!(explain(&gateway, &asked)["verdict"], "no_token");
    asked["method"] = json!("GET");
    assert_eq!(explain(&gateway, &asked)["reason"], "auth.missing");
}

#[test]
fn a_preflight_that_a_route_answers_comes_to_no_token_either() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let cors = json!({ "origins": ["https://a.example"] });
    let gateway = Gateway::start(&guarded(&upstream, &key).set("routes.0.cors", cors));
    for (origin, status, reason) in [
        ("https://a.example", 204, Value::Null),
        ("https://evil.example", 403, json!("cors.origin")),
    ] {
        let headers =
            json!({ "host": "x", "origin": origin, "access-control-request-method": "PUT" });
        let asked = json!({ "method": "OPTIONS", "target": "/", "headers": headers });
        let told = explain(&gateway, &asked);
        assert_eq!((&told["status"], &told["reason"]), (&json!(status), &reason), "{told}");
    }
}

#[test]
fn what_is_no_description_is_refused_by_name() {
    let gateway = Gateway::start(&Config::new().respond(json!({}), "x"));
    let post = |body: &str| {
        let response = gateway.admin_post("/explain", body);
        (response.status(), response.text())
    };
    let unknown = "listener: not known; one of public\n".to_owned();
    assert_eq!(post(r#"{"target":"/","listener":"x"}"#), (400, unknown));
    assert_eq!(post("{}").0, 400);
    assert_eq!(post("").0, 400);
    let raw = |fields: &str| {
        let request = format!("POST /explain HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        gateway.admin_raw(request).status()
    };
    assert_eq!(raw(""), 411);
    assert_eq!(raw("Content-Length: 300000\r\n"), 413);
    assert_eq!(raw("Content-Length: 2\r\nOrigin: https://evil.example\r\n"), 403);
    assert_eq!(raw("Content-Length: 2\r\nSec-Fetch-Site: cross-site\r\n"), 403);
    let wrong = gateway.admin("/explain");
    assert_eq!((wrong.status(), wrong.field("Allow")), (405, Some("POST")));
    let body = r#"{"target":"/","headers":{"host":"x"}}"#;
    let length = body.len();
    let chunked = gateway.admin_raw(format!(
        "POST /explain HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x}\r\n{body}\r\n0\r\n\r\n"
    ));
    assert_eq!((chunked.status(), &chunked.json()["status"]), (200, &json!(200)));
}
