//! Metadata of protected resources (RFC 9728): where it is and that refusals say so.

use crate::harness::token::ISSUER;
use crate::harness::{Config, Gateway, Key, Token, Upstream};
use serde_json::json;

#[test]
fn a_protected_resource_has_metadata_and_refusals_point_to_it() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key])
        .set(
            "jwt.resources",
            json!({ "api": {
                "resource": "https://api.test:8443/orders", "scopes_supported": ["a", "b"],
            }}),
        )
        .set("routes.0.jwt.resource", "api")
        .set("routes.0.match", json!({ "listener": "public" }))
        .route(json!({
            "match": { "path": "/other" }, "jwt": { "providers": ["tests"] }, "upstream": "main",
        }));
    let gateway = Gateway::start(&config);
    let mut client = gateway.client();
    let path = "/.well-known/oauth-protected-resource/orders";
    let url = format!("https://api.test:8443{path}");

    let refused = client.get("/orders/1");
    assert_eq!(refused.status(), 401);
    let challenge = format!("Bearer realm=\"ringgate\", resource_metadata=\"{url}\"");
    assert_eq!(refused.field("WWW-Authenticate"), Some(&*challenge));

    client.send(format!("GET {path} HTTP/1.1\r\nHost: api.test:8443\r\n\r\n"));
    let metadata = client.response();
    assert_eq!(metadata.status(), 200);
    assert_eq!(metadata.field("Content-Type"), Some("application/json"));
    let expected = json!({
        "resource": "https://api.test:8443/orders",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["a", "b"],
    });
    assert_eq!(metadata.json(), expected);
    assert_eq!(client.get(path).status(), 401, "of another host it is a path as any other");
    assert_eq!(client.get_as("/orders/1", &Token::new().sign(&key)).status(), 200);
}
