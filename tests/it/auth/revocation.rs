//! The deny list: what its entries refuse, where they come from, and how soon they are in force.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::token::{ISSUER, jwks, now};
use crate::harness::{Client, Config, Gateway, Key, Token, Upstream, wait_until};
use serde_json::{Value, json};

/// A list of these entries, each in force for an hour unless it says otherwise.
fn list(mut entries: Vec<Value>) -> String {
    for entry in &mut entries {
        if entry["until"].is_null() {
            entry["until"] = json!(now() + 3600);
        }
    }
    json!({ "entries": entries }).to_string()
}

fn jti(id: &str) -> Value {
    json!({ "iss": ISSUER, "jti": id })
}

/// A gateway with a deny list in a file, which is empty, and a key.
fn guarded(config: impl FnOnce(Config) -> Config) -> (Upstream, Key, Gateway) {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("deny.json"), list(Vec::new())).unwrap();
    let plain =
        Config::protecting(&upstream, &[&key]).set("jwt.deny_list", json!({ "file": "deny.json" }));
    let gateway = Gateway::start_in(directory, &config(plain));
    (upstream, key, gateway)
}

/// Replaces the file as tools do: renamed over the old one.
fn replace(gateway: &Gateway, text: &str) {
    fs::write(gateway.path("deny.next"), text).unwrap();
    fs::rename(gateway.path("deny.next"), gateway.path("deny.json")).unwrap();
}

#[track_caller]
fn wait_for_status(client: &mut Client, token: &str, status: u16) {
    wait_until(&format!("{status} for a token"), || {
        (client.get_as("/", token).status() == status).then_some(())
    });
}

#[track_caller]
fn post(gateway: &Gateway, entries: Vec<Value>) {
    let answer = gateway.admin_change("POST", "/deny", &list(entries));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn a_file_revokes_by_token_session_subject_and_key() {
    let (_upstream, key, gateway) = guarded(|config| config);
    let mut client = gateway.client();
    let token = Token::new().claim("jti", "t").claim("sid", "o").claim("iat", now() - 100);
    let (token, newer) = (token.sign(&key), Token::new().claim("iat", now() - 10).sign(&key));
    let subject = json!({ "iss": ISSUER, "sub": "alice", "issued_before": now() - 50 });
    for (entry, newer_status) in [
        (jti("t"), 200),
        (json!({ "iss": ISSUER, "sid": "o" }), 200),
        (subject, 200),
        (json!({ "iss": ISSUER, "kid": "k" }), 401),
        (json!({ "kid": "k" }), 401),
    ] {
        wait_for_status(&mut client, &token, 200);
        replace(&gateway, &list(vec![entry.clone()]));
        wait_for_status(&mut client, &token, 401);
        assert_eq!(client.get_as("/", &newer).status(), newer_status, "{entry}");
        let refusal = client.get_as("/", &token);
        let challenge = refusal.field("WWW-Authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains("error_description=\"token revoked\""), "{challenge}");
        replace(&gateway, &list(Vec::new()));
    }
    gateway.wait_for_metric("ringgate_refusals_total", &["reason=\"auth.revoked\""], |n| n > 9.0);
    gateway.wait_for_line(&["\"reason\":\"auth.revoked\"", "\"verdict\":\"refuse\""]);
}

#[test]
fn another_issuers_entry_and_a_token_of_no_name_pass() {
    let (_upstream, key, gateway) = guarded(|config| config);
    let other = json!({ "iss": "https://issuer.test", "jti": "t" });
    post(&gateway, vec![other, jti("u")]);
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &Token::new().claim("jti", "t").sign(&key)).status(), 200);
    assert_eq!(client.get_as("/", &Token::new().sign(&key)).status(), 200);
    assert_eq!(client.get_as("/", &Token::new().claim("jti", "u").sign(&key)).status(), 401);
}

#[test]
fn a_post_is_in_force_on_every_worker_when_it_is_answered() {
    let (_upstream, key, gateway) = guarded(|config| config.set("workers", 4));
    // Enough connections that each worker has some.
    let mut clients: Vec<_> = (0..64).map(|_| gateway.client()).collect();
    for round in 0..5 {
        let token = Token::new().claim("jti", format!("t{round}")).sign(&key);
        for client in &mut clients {
            assert_eq!(client.get_as("/", &token).status(), 200, "into the cache");
        }
        post(&gateway, vec![jti(&format!("t{round}"))]);
        for client in &mut clients {
            assert_eq!(client.get_as("/", &token).status(), 401);
        }
    }
    let gone = gateway.admin_change("DELETE", "/deny", &list(vec![jti("t4")]));
    assert_eq!((gone.status(), gone.json()), (200, json!({ "removed": 1, "kept": false })));
    let token = Token::new().claim("jti", "t4").sign(&key);
    for client in &mut clients {
        assert_eq!(client.get_as("/", &token).status(), 200, "taken back");
    }
}

#[test]
fn a_renamed_file_is_in_force_on_every_worker_within_100_ms() {
    let (_upstream, key, gateway) = guarded(|config| config.set("workers", 2));
    let mut clients: Vec<_> = (0..16).map(|_| gateway.client()).collect();
    let mut times = Vec::new();
    for round in 0..10 {
        let id = format!("t{round}");
        let token = Token::new().claim("jti", id.as_str()).sign(&key);
        for client in &mut clients {
            assert_eq!(client.get_as("/", &token).status(), 200);
        }
        let text = list(vec![jti(&id)]);
        let began = Instant::now();
        replace(&gateway, &text);
        for client in &mut clients {
            wait_for_status(client, &token, 401);
        }
        times.push(began.elapsed());
    }
    // The fastest: a busy machine may delay most of them, a poll would delay all.
    let fastest = times.iter().min().unwrap();
    assert!(*fastest < Duration::from_millis(100), "{times:?}");
}

#[test]
fn an_entry_ends_at_its_until() {
    let (_upstream, key, gateway) = guarded(|config| config);
    let token = Token::new().claim("jti", "t").sign(&key);
    let entry = json!({ "iss": ISSUER, "jti": "t", "until": now() + 3 });
    post(&gateway, vec![entry]);
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &token).status(), 401);
    wait_for_status(&mut client, &token, 200);
}

#[test]
fn a_bad_file_keeps_the_last_good_entries() {
    let (_upstream, key, gateway) = guarded(|config| config);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = gateway.client();
    replace(&gateway, &list(vec![jti("t")]));
    wait_for_status(&mut client, &token, 401);
    gateway.wait_for_metric("ringgate_deny_list_entries", &["source=\"file\""], |n| n == 1.0);
    replace(&gateway, "{\"entries\": [{\"jti\": 5}]}");
    gateway.wait_for_line(&["ERROR", "deny list not read", "1:15: entries[0].jti: invalid type"]);
    gateway.wait_for_metric("ringgate_deny_list_file_bad", &[], |n| n == 1.0);
    assert_eq!(client.get_as("/", &token).status(), 401);
    replace(&gateway, &list(Vec::new()));
    wait_for_status(&mut client, &token, 200);
    gateway.wait_for_metric("ringgate_deny_list_file_bad", &[], |n| n == 0.0);
}

#[test]
fn what_operators_revoke_outlives_a_restart() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let kept = tempfile::tempdir().unwrap();
    let config = Config::protecting(&upstream, &[&key])
        .set("jwt.cache_directory", kept.path().to_str().unwrap());
    let token = Token::new().claim("jti", "t").sign(&key);
    let gateway = Gateway::start(&config);
    let answer = gateway.admin_change("POST", "/deny", &list(vec![jti("t")]));
    assert_eq!(answer.json(), json!({ "added": 1, "kept": true }));
    drop(gateway);
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    gateway.wait_for_metric("ringgate_deny_list_entries", &["source=\"admin\""], |n| n == 1.0);
}

#[test]
fn the_list_is_shown_and_an_entry_is_removed_by_its_id() {
    let (_upstream, key, gateway) = guarded(|config| config);
    replace(&gateway, &list(vec![jti("f")]));
    let mut client = gateway.client();
    wait_for_status(&mut client, &Token::new().claim("jti", "f").sign(&key), 401);
    post(&gateway, vec![json!({ "kid": "z", "until": 4_000_000_000_u64 })]);
    let shown = gateway.admin("/deny").json();
    let of = |source: &str| {
        let entries = shown["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["source"] == source).cloned().unwrap()
    };
    assert_eq!((&of("file")["jti"], &of("file")["iss"]), (&json!("f"), &json!(ISSUER)));
    let admin = of("admin");
    assert_eq!((&admin["kid"], &admin["until"]), (&json!("z"), &json!(4_000_000_000_u64)));
    let remove = |id: &Value| {
        let target = format!("/deny?id={}", id.as_str().unwrap());
        gateway.admin_change("DELETE", &target, "").status()
    };
    assert_eq!(remove(&of("file")["id"]), 404, "the file's entries are the file's");
    assert_eq!(remove(&admin["id"]), 200);
    assert_eq!(remove(&admin["id"]), 404);
}

#[test]
fn entries_that_cannot_be_taken_are_refused_whole() {
    let (_upstream, key, gateway) = guarded(|config| config.set("jwt.deny_list.max_entries", 2));
    let bad = gateway.admin_change("POST", "/deny", "{\"entries\": [{\"kid\": \"k\"}]}");
    assert_eq!(bad.status(), 400);
    assert!(bad.text().starts_with("1:14: entries[0]: does not say until when"), "{}", bad.text());
    let many = list(vec![jti("a"), jti("b"), jti("c")]);
    let over = gateway.admin_change("POST", "/deny", &many);
    assert_eq!(over.status(), 409);
    assert!(over.text().contains("max_entries, which is 2"), "{}", over.text());
    let mut client = gateway.client();
    assert_eq!(client.get_as("/", &Token::new().claim("jti", "a").sign(&key)).status(), 200);
    // Of a file just as well.
    replace(&gateway, &many);
    gateway.wait_for_line(&["deny list not read", "has 3 entries; allowed: 2"]);
}

#[test]
fn a_bad_file_is_a_bad_configuration() {
    let (_upstream, key, gateway) = guarded(|config| config);
    post(&gateway, vec![jti("t")]);
    replace(&gateway, "[]");
    gateway.wait_for_line(&["deny list not read"]);
    gateway.signal(rustix::process::Signal::HUP);
    gateway.wait_for_line(&[
        "reload refused",
        "jwt.deny_list.file",
        "deny.json: 1:1: invalid type",
    ]);
    let token = Token::new().claim("jti", "t").sign(&key);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401, "nothing has changed");
}

#[test]
fn a_permissive_route_passes_a_revoked_token_as_a_bad_one() {
    let (upstream, key, gateway) = guarded(|config| config.set("routes.0.jwt.mode", "permissive"));
    post(&gateway, vec![jti("t")]);
    let token = Token::new().claim("jti", "t").sign(&key);
    assert_eq!(gateway.client().get_as("/", &token).status(), 200);
    let request = upstream.request();
    assert_eq!(request.field("x-jwt-status"), Some("invalid;reason=auth.revoked"));
    assert_eq!(request.field("Authorization"), None);
}

#[test]
fn a_reload_keeps_what_operators_have_revoked() {
    let (upstream, key) = (Upstream::saying("x"), Key::ed25519("k"));
    let config = Config::protecting(&upstream, &[&key]);
    let gateway = Gateway::start(&config);
    post(&gateway, vec![jti("t")]);
    gateway.reload(config.set("jwt.providers.tests.jwks", json!({ "inline": jwks(&[&key]) })));
    gateway.wait_for_metric("ringgate_config_generation", &[], |n| n == 2.0);
    let token = Token::new().claim("jti", "t").sign(&key);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
}
