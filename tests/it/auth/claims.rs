//! Claims: which are checked, which rules deny, and which become request fields.

use crate::harness::token::{AUDIENCE, ISSUER, now};
use crate::harness::{Config, Gateway, Key, Token, Upstream};
use serde_json::{Value, json};

/// A gateway with one key, and a client's status for a token.
struct Guarded {
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Guarded {
    fn with(change: impl Fn(Config) -> Config) -> Self {
        let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
        let gateway = Gateway::start(&change(Config::protecting(&upstream, &[&key])));
        Self { upstream, gateway, key }
    }

    #[track_caller]
    fn status(&self, token: Token) -> u16 {
        self.gateway.client().get_as("/", &token.sign(&self.key)).status()
    }
}

#[test]
fn c5_to_c10_time_claims_are_kept_to_within_the_leeway() {
    let guarded = Guarded::with(|config| config.set("jwt.providers.tests.leeway", "60s"));
    let token = Token::new;
    assert_eq!(guarded.status(token().claim("exp", now() - 30)), 200, "inside the leeway");
    assert_eq!(guarded.status(token().claim("exp", now() - 90)), 401, "expired");
    assert_eq!(guarded.status(token().claim("exp", Value::Null)), 401, "needed by default");
    assert_eq!(guarded.status(token().claim("nbf", now() + 30)), 200, "inside the leeway");
    assert_eq!(guarded.status(token().claim("nbf", now() + 90)), 401, "not yet");
    assert_eq!(guarded.status(token().claim("iat", now() + 90)), 401, "from the future");
    for bad in [json!("1"), json!(true), json!([1]), json!(-1), json!({}), json!(1e15)] {
        for claim in ["exp", "nbf", "iat"] {
            assert_eq!(guarded.status(token().claim(claim, bad.clone())), 401, "{claim}: {bad}");
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a date of this century is exact in a double")]
    let fraction = now() as f64 + 100.5;
    assert_eq!(guarded.status(token().claim("exp", fraction)), 200, "a fraction is a date too");
}

#[test]
fn c1_the_issuer_is_compared_exactly() {
    let guarded = Guarded::with(|config| config);
    for bad in [
        json!(ISSUER.trim_end_matches('/')),
        json!(ISSUER.to_uppercase()),
        json!([ISSUER]),
        json!(1),
        Value::Null,
    ] {
        assert_eq!(guarded.status(Token::new().claim("iss", bad.clone())), 401, "{bad}");
    }
}

#[test]
fn c2_c3_one_audience_of_several_is_enough() {
    let guarded = Guarded::with(|config| config);
    let status = |audience: Value| guarded.status(Token::new().claim("aud", audience));
    assert_eq!(status(json!([AUDIENCE])), 200);
    assert_eq!(status(json!(["other", AUDIENCE])), 200);
    for bad in [json!("other"), json!(["other"]), json!([]), json!(1), json!([1]), Value::Null] {
        assert_eq!(status(bad.clone()), 401, "{bad}");
    }
}

#[test]
fn k9_a_token_of_one_issuer_does_not_verify_with_a_key_of_another() {
    let upstream = Upstream::saying("x");
    let (ours, theirs) = (Key::p256("same-kid"), Key::p256("same-kid"));
    let config = Config::protecting(&upstream, &[&ours])
        .provider(
            "others",
            "https://other.test/",
            json!({
                "inline": crate::harness::token::jwks(&[&theirs]),
            }),
        )
        .set("routes.0.jwt.providers", json!(["tests", "others"]));
    let gateway = Gateway::start(&config);
    let status = |issuer: &str, key: &Key| {
        gateway.client().get_as("/", &Token::new().claim("iss", issuer).sign(key)).status()
    };
    assert_eq!(status(ISSUER, &ours), 200);
    assert_eq!(status("https://other.test/", &theirs), 200);
    assert_eq!(status(ISSUER, &theirs), 401);
    assert_eq!(status("https://other.test/", &ours), 401);
}

#[test]
fn a_provider_of_another_route_is_not_believed() {
    let upstream = Upstream::saying("x");
    let (ours, theirs) = (Key::p256("a"), Key::p256("b"));
    let config = Config::protecting(&upstream, &[&ours])
        .provider(
            "others",
            "https://other.test/",
            json!({
                "inline": crate::harness::token::jwks(&[&theirs]),
            }),
        )
        .route(json!({
            "match": { "path": "/others" }, "upstream": "main",
            "jwt": { "mode": "strict", "providers": ["others"] },
        }));
    let gateway = Gateway::start(&config);
    let token = Token::new().claim("iss", "https://other.test/").sign(&theirs);
    let mut client = gateway.client();
    assert_eq!(client.get_as("/others", &token).status(), 200);
    // The same token, now in the cache, on the same connection.
    assert_eq!(client.get_as("/", &token).status(), 401);
}

#[test]
fn c12_c13_c16_rules_on_entitlements_deny_with_403() {
    let guarded = Guarded::with(|config| {
        config.set(
            "routes.0.jwt.require",
            json!([
                { "claim": "scope", "contains": "orders:read" },
                { "any_of": [
                    { "claim": "role", "one_of": ["admin", "clerk"] },
                    { "claim": "groups", "contains": "staff" },
                ]},
            ]),
        )
    });
    let token = |scope: &str| Token::new().claim("scope", scope);
    let clerk = |scope: &str| token(scope).claim("role", "clerk");
    assert_eq!(guarded.status(clerk("a orders:read b")), 200);
    assert_eq!(guarded.status(token("orders:read").claim("groups", json!(["x", "staff"]))), 200);
    assert_eq!(guarded.status(clerk("orders:write")), 403);
    assert_eq!(guarded.status(clerk("orders:reader")), 403, "a word, not a part of one");
    assert_eq!(guarded.status(token("orders:read")), 403, "no alternative holds");
    assert_eq!(guarded.status(token("orders:read").claim("role", 7)), 403, "another type");
    assert_eq!(guarded.status(Token::new().claim("role", "clerk")), 403, "no scope at all");
}

#[test]
fn c12_c14_matchers_compare_exactly() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.nested_claim_delimiter", ".").set(
            "routes.0.jwt.require",
            json!([
                { "claim": "level", "equals": 9_007_199_254_740_993_u64 },
                { "claim": "org.unit", "prefix": "eu-" },
                { "claim": "verified", "equals": true },
                { "claim": "tenant", "exists": true },
            ]),
        )
    });
    let good = || {
        Token::new()
            .claim("level", 9_007_199_254_740_993_u64)
            .claim("org", json!({ "unit": "eu-north" }))
            .claim("verified", true)
            .claim("tenant", "t1")
    };
    assert_eq!(guarded.status(good()), 200);
    // One less is the same number in a double.
    assert_eq!(guarded.status(good().claim("level", 9_007_199_254_740_992_u64)), 403);
    assert_eq!(guarded.status(good().claim("level", "9007199254740993")), 403);
    assert_eq!(guarded.status(good().claim("org", json!({ "unit": "us" }))), 403);
    assert_eq!(guarded.status(good().claim("org", "eu-")), 403, "no step into a string");
    assert_eq!(guarded.status(good().claim("verified", "true")), 403);
    assert_eq!(guarded.status(good().claim("tenant", Value::Null)), 403);
}

#[test]
fn c15_e11_claims_become_fields_and_copies_by_the_client_are_removed() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.nested_claim_delimiter", ".").set(
            "jwt.providers.tests.claim_headers",
            json!({ "x-user": "sub", "x-team": "org.team", "x-level": "level", "x-gone": "gone" }),
        )
    });
    let token = Token::new()
        .claim("org", json!({ "team": "blue" }))
        .claim("level", 9_007_199_254_740_993_u64)
        .sign(&guarded.key);
    let response = guarded.gateway.client().get_with(
        "/",
        &format!(
            "X-User: mallory\r\nx_user: mallory\r\nX-Gone: mallory\r\nX-TEAM: red\r\n\
             Authorization: Bearer {token}\r\nX-Other: stays\r\n"
        ),
    );
    assert_eq!(response.status(), 200);
    let request = guarded.upstream.request();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert_eq!(request.field("x-team"), Some("blue"));
    assert_eq!(request.field("x-level"), Some("9007199254740993"));
    assert_eq!(request.field("x-gone"), None, "absent, not empty");
    assert_eq!(request.field("x_user"), None, "an alias that some upstreams read as the same");
    assert_eq!(request.field("x-other"), Some("stays"));
}

#[test]
fn e11_copies_by_the_client_are_removed_where_no_token_is_asked_for() {
    let guarded = Guarded::with(|config| {
        config
            .set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
            .route(json!({ "match": { "path": "/open" }, "upstream": "main" }))
    });
    let response = guarded.gateway.client().get_with("/open", "X-User: mallory\r\n");
    assert_eq!(response.status(), 200);
    assert_eq!(guarded.upstream.request().field("x-user"), None);
}

#[test]
fn connection_cannot_take_a_claim_field_away() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
    });
    let token = Token::new().sign(&guarded.key);
    let fields = format!("Authorization: Bearer {token}\r\nConnection: X-User\r\n");
    assert_eq!(guarded.gateway.client().get_with("/", &fields).status(), 200);
    assert_eq!(guarded.upstream.request().field("x-user"), Some("alice"));
}

#[test]
fn c15_a_claim_cannot_break_out_of_its_field() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
    });
    for sub in ["a\r\nX-Admin: 1", "a\nb", "nul\0", "snow\u{2603}"] {
        let status = guarded.status(Token::new().claim("sub", sub));
        assert_eq!(status, 200, "{sub:?}");
        let request = guarded.upstream.request();
        assert_eq!(request.field("x-admin"), None, "{sub:?}");
        let value = request.field("x-user").unwrap();
        assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{sub:?} became {value:?}");
    }
}

#[test]
fn e11_the_token_is_stripped_unless_it_is_to_be_forwarded() {
    for (forward, expected) in [(false, 0), (true, 1)] {
        let guarded = Guarded::with(|config| config.set("jwt.providers.tests.forward", forward));
        assert_eq!(guarded.status(Token::new()), 200);
        assert_eq!(guarded.upstream.request().all("Authorization").len(), expected, "{forward}");
    }
}

#[test]
fn a_trailer_cannot_pass_for_a_claim() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.claim_headers", json!({ "x-user": "sub" }))
    });
    let token = Token::new().sign(&guarded.key);
    let mut client = guarded.gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
         X_User: mallory\r\nX-Forwarded-For: 203.0.113.9\r\nX-Sum: 2\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 200);
    let request = guarded.upstream.request();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert_eq!(request.trailers, [("X-Sum".to_owned(), "2".to_owned())]);
}

#[test]
fn c15_claims_become_json_or_base64url_where_asked() {
    let guarded = Guarded::with(|config| {
        config
            .set("jwt.providers.tests.claim_headers", json!({ "x-a": "a", "x-b": "a", "x-c": "a" }))
            .set(
                "jwt.providers.tests.claim_encodings",
                json!({ "x-a": "json", "X-B": "base64url", "x-c": "text" }),
            )
    });
    assert_eq!(guarded.status(Token::new().claim("a", json!({ "b": "é" }))), 200);
    let request = guarded.upstream.request();
    assert_eq!(request.field("x-a"), Some(r#"{"b":"\u00e9"}"#));
    assert_eq!(request.field("x-b"), Some("eyJiIjoiXHUwMGU5In0"));
    assert_eq!(request.field("x-c"), None, "an object is no text");
}
