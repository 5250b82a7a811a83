//! Who the client is: the peer, or whom a trusted proxy tells of; in the log, upstream and in bans.

use serde_json::{Value, json};

use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Key, Message, Token, Upstream, wait_until};

/// Every client of these tests is on 127.0.0.1.
fn forwarding(upstream: &Upstream, forwarding: &Value) -> Config {
    Config::forwarding_to(upstream).set("forwarding", forwarding.clone())
}

/// What the upstream sees of a GET with these fields, and the line of the log.
fn seen(settings: &Value, fields: &str) -> (Message, Value) {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&forwarding(&upstream, settings));
    let mut client = gateway.client();
    let local = client.local_address().to_string();
    assert_eq!(client.get_with("/", fields).status(), 200);
    let line = wait_until("the line", || gateway.access_log().pop());
    let peer = if line["peer"].is_null() { &line["client"] } else { &line["peer"] };
    assert_eq!(*peer, json!(local), "{line}");
    (upstream.request(), line)
}

#[test]
fn a_trusted_proxy_tells_of_the_client_from_the_right() {
    let settings = json!({ "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"] });
    let fields = "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nForwarded: for=6.6.6.6\r\n\
                  X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: shop.example\r\nX_Forwarded_For: 6.6.6.6\r\n";
    let (request, line) = seen(&settings, fields);
    assert_eq!(request.all("X-Forwarded-For"), ["198.51.100.7", "10.0.0.1", "127.0.0.1"]);
    assert_eq!(request.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(request.all("X-Forwarded-Host"), ["shop.example"]);
    assert_eq!(request.field("Forwarded"), None);
    assert_eq!(request.field("X_Forwarded_For"), None);
    assert_eq!(line["client"], "198.51.100.7");
}

#[test]
fn a_trusted_proxy_may_tell_by_forwarded() {
    let settings = json!({
        "trusted_proxies": ["127.0.0.1"], "client_from": "forwarded", "forwarded": true,
    });
    let fields = "Forwarded: for=\"[2001:db8::6]\", for=\"[2001:db8::7]:80\";proto=https\r\n\
                  X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    let (request, line) = seen(&settings, fields);
    assert_eq!(
        request.all("Forwarded"),
        ["for=\"[2001:db8::7]:80\";proto=https", "for=127.0.0.1;host=\"test.example\";proto=http"]
    );
    assert_eq!(request.all("X-Forwarded-For"), ["2001:db8::7", "127.0.0.1"]);
    assert_eq!(request.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(line["client"], "2001:db8::7");
}

#[test]
fn what_is_no_address_ends_the_list() {
    let settings = json!({ "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"] });
    let (request, line) = seen(&settings, "X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.1\r\n");
    assert_eq!(request.all("X-Forwarded-For"), ["10.0.0.1", "127.0.0.1"]);
    assert_eq!(line["client"], "10.0.0.1");
}

#[test]
fn nobody_else_is_believed() {
    let fields = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: evil\r\nX_Forwarded_Host: evil\r\n";
    for settings in [
        json!({}),
        json!({ "trusted_proxies": ["10.0.0.0/8"] }),
        json!({ "trusted_proxies": ["10.0.0.0/8"], "client_from": "forwarded" }),
        json!({ "trusted_proxies": ["10.0.0.0/8"], "x_forwarded": false }),
    ] {
        let (request, line) = seen(&settings, fields);
        assert_eq!(line["peer"], Value::Null, "{line}");
        assert_eq!(request.field("Forwarded"), None, "{settings}");
        assert_eq!(request.field("X_Forwarded_Host"), None, "{settings}");
        let told = |name: &str, value| {
            let expected = if settings["x_forwarded"] == false { None } else { Some(value) };
            assert_eq!(request.field(name), expected, "{settings}");
        };
        told("X-Forwarded-For", "127.0.0.1");
        told("X-Forwarded-Proto", "http");
        told("X-Forwarded-Host", "test.example");
    }
}

/// A trusted proxy on loopback, which is never banned itself, and a route that wants a token.
fn guarded(key: &Key, shield: &Value) -> Gateway {
    let config = Config::new()
        .provider("tests", ISSUER, json!({ "inline": jwks(&[key]) }))
        .route(json!({
            "match": {},
            "jwt": { "mode": "strict", "providers": ["tests"] },
            "respond": { "status": 200 },
        }))
        .set("forwarding", json!({ "trusted_proxies": ["127.0.0.1"] }))
        .set("kernel", json!({ "shield": shield }));
    Gateway::start(&config)
}

#[track_caller]
fn ask(gateway: &Gateway, client: &str, token: &str) -> u16 {
    let fields = format!("X-Forwarded-For: {client}\r\nAuthorization: Bearer {token}\r\n");
    gateway.client().get_with("/", &fields).status()
}

fn refusals(gateway: &Gateway, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    gateway.metrics().sum("ringgate_refusals_total", &[&reason, "fault=\"client\""])
}

#[test]
fn a_ban_is_of_the_client_that_a_proxy_tells_of() {
    let (key, forger) = (Key::ed25519("k"), Key::ed25519("k"));
    let ban = json!({ "mode": "enforce", "invalid_tokens": 3, "within": "1h", "duration": "1h" });
    let gateway = guarded(&key, &json!({ "ban": ban }));
    let (good, forged) = (Token::new().sign(&key), Token::new().sign(&forger));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "198.51.100.7", &forged), 401);
    }
    gateway.wait_for_line(&["source banned", "198.51.100.7/32"]);
    wait_until("the ban at the worker", || {
        (ask(&gateway, "198.51.100.7", &good) == 403).then_some(())
    });
    assert_eq!(ask(&gateway, "6.6.6.6, 198.51.100.7", &good), 403);
    assert_eq!(ask(&gateway, "198.51.100.7, 198.51.100.8", &good), 200);
    assert!(refusals(&gateway, "client.banned") >= 2.0);
}

#[test]
fn a_client_that_is_denied_is_refused_behind_a_proxy() {
    let key = Key::ed25519("k");
    let gateway = guarded(&key, &json!({ "deny": ["198.51.100.0/24"], "allow": ["198.51.100.9"] }));
    let good = Token::new().sign(&key);
    assert_eq!(ask(&gateway, "198.51.100.7", &good), 403);
    assert_eq!(ask(&gateway, "::ffff:198.51.100.7", &good), 403);
    assert_eq!(ask(&gateway, "198.51.100.9", &good), 200);
    assert_eq!(ask(&gateway, "198.51.101.7", &good), 200);
    assert_eq!(refusals(&gateway, "client.denied"), 2.0);
}
