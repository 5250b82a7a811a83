//! Where the token is: headers, cookies, query parameters, and several of them at once.

use crate::harness::token::now;
use crate::harness::{Config, Gateway, Key, Message, Token, Upstream};
use serde_json::{Value, json};

struct Guarded {
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Guarded {
    fn from(locations: Value) -> Self {
        Self::with(|config| config.set("routes.0.jwt.from", locations))
    }

    fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
        let gateway = Gateway::start(&change(Config::protecting(&upstream, &[&key])));
        Self { upstream, gateway, key }
    }

    fn token(&self) -> String {
        Token::new().sign(&self.key)
    }

    fn ask(&self, target: &str, fields: &str) -> Message {
        self.gateway.client().get_with(target, fields)
    }
}

#[test]
fn e6_a_token_in_two_locations_is_refused() {
    let guarded = Guarded::from(json!([{ "header": "Authorization" }, { "header": "X-Token" }]));
    let (token, other) = (guarded.token(), Token::new().claim("sub", "bob").sign(&guarded.key));
    for second in [&token, &other] {
        let fields = format!("Authorization: Bearer {token}\r\nX-Token: {second}\r\n");
        let response = guarded.ask("/", &fields);
        assert_eq!(response.status(), 400);
        assert!(response.field("WWW-Authenticate").unwrap().contains("invalid_request"));
    }
    guarded.upstream.expect_no_request();
    let fields = format!("Authorization: Basic dTpw\r\nX-Token: {token}\r\n");
    assert_eq!(guarded.ask("/", &fields).status(), 200);
    let request = guarded.upstream.request();
    assert_eq!(request.field("X-Token"), None, "stripped");
    assert_eq!(request.field("Authorization"), Some("Basic dTpw"), "no token of ours");
}

#[test]
fn e6_all_must_verify_judges_each() {
    let guarded = Guarded::with(|config| {
        config
            .set("routes.0.jwt.from", json!([{ "cookie": "t" }, { "header": "X-Token" }]))
            .set("routes.0.jwt.all_must_verify", true)
            .set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
    });
    let first = Token::new().claim("sub", "first").sign(&guarded.key);
    let second = Token::new().claim("sub", "second").sign(&guarded.key);
    let bad = Token::new().claim("exp", now() - 4000).sign(&guarded.key);
    let ask = |cookie: &str, header: &str| {
        guarded.ask("/", &format!("X-Token: {header}\r\nCookie: t={cookie}\r\n"))
    };
    assert_eq!(ask(&first, &second).status(), 200);
    let request = guarded.upstream.request();
    assert_eq!(request.field("x-user"), Some("first"));
    assert_eq!((request.field("Cookie"), request.field("X-Token")), (None, None));
    assert_eq!(ask(&first, &bad).status(), 401);
    assert_eq!(ask(&bad, &second).status(), 401);
    guarded.upstream.expect_no_request();
}

#[test]
fn e7_a_query_token_is_off_by_default() {
    let guarded = Guarded::with(|config| config);
    let target = format!("/?access_token={}", guarded.token());
    assert_eq!(guarded.ask(&target, "").status(), 401);
    guarded.upstream.expect_no_request();
}

#[test]
fn e7_a_query_token_goes_no_further() {
    let guarded = Guarded::from(json!([{ "query": "access_token" }]));
    let token = guarded.token();
    for (target, forwarded) in [
        (format!("/a?access_token={token}"), "/a"),
        (format!("/a?x=%20&access_token={token}&y=1&y"), "/a?x=%20&y=1&y"),
        (format!("/a?access%5Ftoken={token}&&"), "/a?&"),
    ] {
        let response = guarded.ask(&target, "");
        assert_eq!(response.status(), 200, "{target}");
        assert_eq!(response.field("Cache-Control"), Some("private"));
        assert_eq!(guarded.upstream.request().target(), forwarded);
    }
    let twice = guarded.ask(&format!("/?access_token={token}&access_token={token}"), "");
    assert_eq!(twice.status(), 400);
    guarded.upstream.expect_no_request();
    guarded.gateway.wait_for_line(&["auth.multiple_credentials"]);
    assert!(!guarded.gateway.stdout().contains(&token), "the access log has no token");
}

#[test]
fn e7_an_answer_of_our_own_is_private_too() {
    let guarded = Guarded::with(|config| {
        config.route(json!({
            "match": { "path": "/fixed" },
            "jwt": { "providers": ["tests"], "from": [{ "query": "t" }] },
            "respond": { "status": 200, "body": "x" },
        }))
    });
    let response = guarded.ask(&format!("/fixed?t={}", guarded.token()), "");
    assert_eq!((response.status(), response.field("Cache-Control")), (200, Some("private")));
}

#[test]
fn e8_only_the_named_cookie_is_removed() {
    let guarded = Guarded::from(json!([{ "cookie": "session" }]));
    let token = guarded.token();
    for (cookies, forwarded) in [
        (format!("session={token}"), None),
        (format!("a=1; session={token}; b=\"2, 3\""), Some("a=1; b=\"2, 3\"")),
        (format!("session=\"{token}\";c"), Some("c")),
        (format!("Session=x;  session={token};d=4 ;"), Some("Session=x;d=4 ;")),
    ] {
        let response = guarded.ask("/", &format!("Cookie: {cookies}\r\n"));
        assert_eq!(response.status(), 200, "{cookies}");
        assert_eq!(response.field("Cache-Control"), None);
        assert_eq!(guarded.upstream.request().field("Cookie"), forwarded);
    }
    let twice = guarded.ask("/", &format!("Cookie: session={token}; session={token}\r\n"));
    assert_eq!(twice.status(), 400);
}

#[test]
fn e11_a_forwarded_token_stays_where_it_is() {
    let guarded = Guarded::with(|config| {
        config
            .set("routes.0.jwt.from", json!([{ "cookie": "t" }, { "query": "t" }]))
            .set("jwt.providers.tests.forward", true)
    });
    let token = guarded.token();
    assert_eq!(guarded.ask("/", &format!("Cookie: a=1; t={token}\r\n")).status(), 200);
    assert_eq!(guarded.upstream.request().field("Cookie"), Some(&*format!("a=1; t={token}")));
    assert_eq!(guarded.ask(&format!("/?t={token}"), "").status(), 200);
    assert_eq!(guarded.upstream.request().target(), format!("/?t={token}"));
}

#[test]
fn c19_a_permissive_route_strips_every_place_of_a_bad_token() {
    let guarded = Guarded::with(|config| {
        config
            .set("routes.0.jwt.from", json!([{ "cookie": "t" }, { "query": "t" }]))
            .set("routes.0.jwt.mode", "permissive")
    });
    let bad = Token::new().claim("exp", now() - 4000).sign(&guarded.key);
    let response = guarded.ask(&format!("/?t={bad}&u=1"), &format!("Cookie: t={bad}; u=1\r\n"));
    assert_eq!(response.status(), 200);
    let request = guarded.upstream.request();
    assert_eq!((request.target(), request.field("Cookie")), ("/?u=1", Some("u=1")));
    let status = Some("invalid;reason=auth.multiple_credentials");
    assert_eq!(request.field("x-jwt-status"), status);
}

#[test]
fn the_locations_of_a_provider_hold_where_the_route_names_none() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.from", json!([{ "header": "X-Token", "prefix": "JWT" }]))
    });
    let token = guarded.token();
    assert_eq!(guarded.ask("/", &format!("X-Token: jwt {token}\r\n")).status(), 200);
    assert_eq!(guarded.ask("/", &format!("X-Token: {token}\r\n")).status(), 401);
    assert_eq!(guarded.ask("/", &format!("Authorization: Bearer {token}\r\n")).status(), 401);
}
