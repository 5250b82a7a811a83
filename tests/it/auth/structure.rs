//! The structure of tokens through a real gateway, and the whole text of what it answers.

use crate::harness::token::{AUDIENCE, ISSUER, now};
use crate::harness::{Config, Gateway, Key, Message, Token, Upstream};
use serde_json::{Value, json};

struct Guarded {
    upstream: Upstream,
    gateway: Gateway,
    key: Key,
}

impl Guarded {
    fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
        let gateway = Gateway::start(&change(Config::protecting(&upstream, &[&key])));
        Self { upstream, gateway, key }
    }

    fn new() -> Self {
        Self::with(|config| config)
    }

    fn ask_as(&self, token: &str) -> Message {
        self.gateway.client().get_as("/", token)
    }

    #[track_caller]
    fn expect_refused(&self, what: &str, token: &str) {
        let response = self.ask_as(token);
        assert_eq!(response.status(), 401, "{what}");
        let challenge = response.field("WWW-Authenticate").expect("a challenge");
        let start = "Bearer realm=\"ringgate\", error=\"invalid_token\", error_description=\"";
        assert!(challenge.starts_with(start), "{what}: {challenge}");
    }
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "k" })
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now() + 3600 })
}

/// `object` with a member more or another value of it.
fn with(mut object: Value, name: &str, value: Value) -> String {
    object[name] = value;
    object.to_string()
}

#[test]
fn j1_j2_j3_e9_e10_one_spelling_of_three_segments() {
    let guarded = Guarded::new();
    let good = guarded.key.sign_text(header().to_string(), claims().to_string());
    assert_eq!(guarded.ask_as(&good).status(), 200);
    guarded.upstream.request();
    let parts: Vec<&str> = good.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    // 64 bytes leave four bits of the last character unused.
    let (front, last) = good.split_at(good.len() - 1);
    let twin = char::from(last.as_bytes()[0] + 1);
    for (what, bad) in [
        ("J1: two segments", format!("{h}.{p}")),
        ("J1: no signature", format!("{h}.{p}.")),
        ("J1: no payload", format!("{h}..{s}")),
        ("J1: no header", format!(".{p}.{s}")),
        ("J1: a trailing dot", format!("{good}.")),
        ("J1: five segments", format!("{h}.{p}.{s}.{p}.{s}")),
        ("J2: padding", format!("{good}==")),
        ("J2: a plus", format!("{h}.{p}.+{}", &s[1..])),
        ("J2: a slash", format!("{h}.{p}./{}", &s[1..])),
        ("J3: bits beyond the end", format!("{front}{twin}")),
        ("J3: a length of 1 modulo 4", format!("{good}AAA")),
        ("E9: a percent sign", good.replacen('.', "%2E", 1)),
        ("E10: longer than 8192 bytes", format!("{h}.{}.{s}", "A".repeat(8192))),
    ] {
        guarded.expect_refused(what, &bad);
    }
    guarded.upstream.expect_no_request();
}

#[test]
fn j4_j5_header_and_payload_are_json_objects_without_twins() {
    let guarded = Guarded::new();
    let (good_header, good_claims) = (header().to_string(), claims().to_string());
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep = |object: Value, levels| {
        object.to_string().replacen('{', &format!("{{\"deep\":{},", nested(levels)), 1)
    };
    let wide = |mut object: Value, members: usize| {
        for number in object.as_object().unwrap().len()..members {
            object[format!("m{number}")] = json!(number);
        }
        object.to_string()
    };
    let first = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    type Change<'c> = &'c dyn Fn(Value) -> Vec<u8>;
    let changes: [(&str, Change<'_>); 10] = [
        ("an array", &|_| b"[]".to_vec()),
        ("null", &|_| b"null".to_vec()),
        ("trailing bytes", &|object| format!("{object}x").into()),
        ("a byte-order mark", &|object| format!("\u{feff}{object}").into()),
        ("not UTF-8", &|object| {
            let text = object.to_string();
            [&text.as_bytes()[..text.len() - 1], b",\"x\":\"\xff\"}"].concat()
        }),
        ("17 levels", &|object| deep(object, 16).into()),
        ("257 members", &|object| wide(object, 257).into()),
        ("a member twice", &|object| {
            first(&first(&object.to_string(), "\"x\":1"), "\"x\":1").into()
        }),
        ("twice in two spellings", &|object| {
            first(&first(&object.to_string(), "\"sub2\":1"), "\"s\\u0075b2\":2").into()
        }),
        ("twice inside", &|object| first(&object.to_string(), "\"x\":[{\"y\":1,\"y\":2}]").into()),
    ];
    for (what, change) in changes {
        let bad = guarded.key.sign_text(change(header()), &good_claims);
        guarded.expect_refused(&format!("header: {what}"), &bad);
        let bad = guarded.key.sign_text(&good_header, change(claims()));
        guarded.expect_refused(&format!("payload: {what}"), &bad);
    }
    guarded.upstream.expect_no_request();
    for (header, claims) in
        [(deep(header(), 15), deep(claims(), 15)), (wide(header(), 256), wide(claims(), 256))]
    {
        assert_eq!(guarded.ask_as(&guarded.key.sign_text(header, claims)).status(), 200);
    }
}

#[test]
fn j8_to_j14_what_a_header_may_ask_for() {
    let guarded = Guarded::new();
    let token = |name: &str, value: Value| {
        guarded.key.sign_text(with(header(), name, value), claims().to_string())
    };
    let other = Key::ed25519("k").jwk();
    for (name, value) in [
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("crit", json!(["b64"])),
        ("crit", json!(["alg"])),
        ("crit", json!(["absent", "absent"])),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
        ("typ", json!(1)),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(257))),
        ("kid", json!("k\u{1}")),
        ("kid", json!("../../etc/passwd")),
    ] {
        guarded.expect_refused(&format!("{name}: {value}"), &token(name, value.clone()));
    }
    guarded.upstream.expect_no_request();
    for (name, value) in [
        ("b64", json!(true)),
        ("jku", json!("http://127.0.0.1:1/")),
        ("x5u", json!("http://127.0.0.1:1/")),
        ("jwk", other.clone()),
        ("x5c", json!(["AA"])),
        ("zip", json!("DEF")),
        ("unknown", json!({ "a": [1] })),
        ("typ", json!("anything")),
    ] {
        assert_eq!(guarded.ask_as(&token(name, value.clone())).status(), 200, "{name}: {value}");
    }
    // J11: the key in the header has signed it.
    let stranger = Key::ed25519("k");
    let forged = stranger.sign_text(with(header(), "jwk", stranger.jwk()), claims().to_string());
    guarded.expect_refused("signed by its own key", &forged);
}

#[test]
fn j11_j13_types_and_embedded_keys_where_a_provider_asks() {
    let guarded = Guarded::with(|config| {
        config
            .set("jwt.providers.tests.typ", json!(["at+jwt"]))
            .set("jwt.providers.tests.reject_embedded_keys", true)
    });
    let token = |header: &str| guarded.key.sign_text(header, claims().to_string());
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let good = token(&with(header(), "typ", json!(typ)));
        assert_eq!(guarded.ask_as(&good).status(), 200, "{typ}");
    }
    guarded.expect_refused("no typ", &token(&header().to_string()));
    guarded.expect_refused("another typ", &token(&with(header(), "typ", json!("JWT"))));
    let embedded = json!({ "alg": "EdDSA", "kid": "k", "typ": "at+jwt", "jku": "https://a/" });
    guarded.expect_refused("a key of its own", &token(&embedded.to_string()));
}

#[test]
fn r_each_refusal_is_told_word_for_word() {
    let rules = json!([
        { "claim": "scope", "contains": "read" },
        { "claim": "scp", "contains": "write" },
        { "claim": "azp", "equals": "web" },
        { "claim": "team", "equals": "a" },
    ]);
    let guarded = Guarded::with(|config| {
        config.set("jwt.realm", "Orders API").set("routes.0.jwt.require", rules)
    });
    let token = || Token::new().claim("scope", "read write").claim("azp", "web").claim("team", "a");
    let ask = |fields: &str| guarded.gateway.client().get_with("/path-in-no-realm", fields);
    let bearer = |token: Token| format!("Authorization: Bearer {}\r\n", token.sign(&guarded.key));
    let realm = "Bearer realm=\"Orders API\"";
    let invalid = |phrase: &str| {
        Some(format!("{realm}, error=\"invalid_token\", error_description=\"{phrase}\""))
    };
    for (fields, status, challenge, body) in [
        (
            String::new(),
            401,
            Some(realm.to_owned()),
            json!({ "error": "unauthorized", "error_description": "no token" }),
        ),
        (
            "Authorization: Bearer\r\n".into(),
            400,
            Some(format!("{realm}, error=\"invalid_request\"")),
            json!({ "error": "invalid_request", "error_description": "malformed credentials" }),
        ),
        (
            bearer(token().claim("exp", 1)),
            401,
            invalid("token expired"),
            json!({ "error": "invalid_token", "error_description": "token expired" }),
        ),
        (
            bearer(token().claim("azp", "other")),
            401,
            invalid("required claim missing"),
            json!({ "error": "invalid_token", "error_description": "required claim missing" }),
        ),
        (
            bearer(token().claim("scope", "write")),
            403,
            Some(format!("{realm}, error=\"insufficient_scope\", scope=\"read write\"")),
            json!({ "error": "insufficient_scope", "error_description": "insufficient scope" }),
        ),
        (
            bearer(token().claim("team", "b")),
            403,
            None,
            json!({ "error": "access_denied", "error_description": "not allowed" }),
        ),
    ] {
        let response = ask(&fields);
        assert_eq!(response.status(), status, "{fields}");
        assert_eq!(response.field("WWW-Authenticate"), challenge.as_deref());
        assert_eq!(response.field("Cache-Control"), Some("no-store"));
        let mut wanted = body;
        wanted["status"] = json!(status);
        assert_eq!(response.json(), wanted);
    }
    guarded.upstream.expect_no_request();
    assert_eq!(ask(&bearer(token())).status(), 200);
}

#[test]
fn r_a_small_unread_body_is_read_and_a_large_one_closes() {
    let guarded = Guarded::new();
    for (bytes, stays) in [(65_536, true), (65_537, false)] {
        let mut client = guarded.gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.field("Connection") != Some("close"), stays, "{bytes}");
        if stays {
            client.send("x".repeat(bytes));
            assert_eq!(client.get_as("/", &Token::new().sign(&guarded.key)).status(), 200);
        } else {
            client.wait_for_end();
        }
    }
}

#[test]
fn s6_c12_nested_claims_by_delimiter_names_and_pointer() {
    let guarded = Guarded::with(|config| {
        config.set("jwt.providers.tests.nested_claim_delimiter", ".").set(
            "routes.0.jwt.require",
            json!([
                { "claim": "https://app.example.com/roles", "contains": "admin" },
                { "claim": "org.team", "equals": "a" },
                { "claim": ["realm.access", "roles"], "contains": "x" },
                { "claim": "/deep/er/level", "equals": 7 },
            ]),
        )
    });
    let good = || {
        Token::new()
            .claim("https://app.example.com/roles", json!(["admin"]))
            .claim("org", json!({ "team": "a" }))
            .claim("realm.access", json!({ "roles": ["x"] }))
            .claim("deep", json!({ "er": { "level": 7 } }))
    };
    let status = |token: Token| guarded.ask_as(&token.sign(&guarded.key)).status();
    assert_eq!(status(good()), 200);
    assert_eq!(status(good().claim("org.team", "b")), 403, "the literal name wins");
    assert_eq!(status(good().claim("org", "a")), 403, "a step into a string");
    assert_eq!(status(good().claim("org", json!([{ "team": "a" }]))), 403, "a step into an array");
    assert_eq!(status(good().claim("realm", json!({ "access": { "roles": ["x"] } }))), 200);
    assert_eq!(status(good().claim("realm.access", Value::Null)), 403, "names are not split");
    assert_eq!(
        status(good().claim("deep", json!({ "er": { "level": "7" } }))),
        403,
        "another type"
    );
}

#[test]
fn c13_scp_in_any_form_is_scope() {
    let guarded = Guarded::with(|config| {
        config.set("routes.0.jwt.require", json!([{ "claim": "scope", "contains": "read" }]))
    });
    let status = |name: &str, value: Value| {
        guarded.ask_as(&Token::new().claim(name, value).sign(&guarded.key)).status()
    };
    for (name, value) in [
        ("scope", json!("write read")),
        ("scope", json!(["write", "read"])),
        ("scp", json!("read write")),
        ("scp", json!(["read"])),
    ] {
        assert_eq!(status(name, value.clone()), 200, "{name} {value}");
    }
    for (name, value) in
        [("scope", json!("reader")), ("scp", json!([["read"]])), ("roles", json!("read"))]
    {
        assert_eq!(status(name, value.clone()), 403, "{name} {value}");
    }
}
