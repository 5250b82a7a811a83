//! Keys that change while the gateway runs, without one wrong 401.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::harness::issuer::Fault;
use crate::harness::token::{ISSUER, jwks};
use crate::harness::wire::Wire;
use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, message, wait_until};
use serde_json::json;

/// Waits until a token gets this status.
fn wait_for_status(gateway: &Gateway, token: &str, status: u16) {
    wait_until(&format!("{status} for a token"), || {
        (gateway.client().get_as("/", token).status() == status).then_some(())
    });
}

#[test]
fn a_new_key_is_believed_and_a_removed_one_stops() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    let (old_token, new_token) = (Token::new().sign(&old), Token::new().sign(&new));
    wait_for_status(&gateway, &old_token, 200);
    assert_eq!(gateway.client().get_as("/", &new_token).status(), 401, "not published yet");

    issuer.serve(&[&old, &new]);
    wait_for_status(&gateway, &new_token, 200);
    assert_eq!(gateway.client().get_as("/", &old_token).status(), 200, "published still");

    issuer.serve(&[&new]);
    // The old token is in the cache by now; that must not save it.
    wait_for_status(&gateway, &old_token, 401);
    assert_eq!(gateway.client().get_as("/", &new_token).status(), 200);
}

#[test]
fn no_good_token_is_refused_while_keys_rotate() {
    let upstream = Upstream::saying("x");
    let keys: Vec<Key> = (0..4).map(|n| Key::ed25519(&format!("k{n}"))).collect();
    let issuer = Issuer::serving(&[&keys[0], &keys[1]]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    wait_for_status(&gateway, &Token::new().sign(&keys[0]), 200);
    let mut client = gateway.client();
    for pair in keys.windows(2) {
        // The next key is published before it signs, as issuers do.
        issuer.serve(&[&pair[0], &pair[1]]);
        wait_for_status(&gateway, &Token::new().sign(&pair[1]), 200);
        for n in 0..20 {
            let token = Token::new().claim("jti", n);
            assert_eq!(client.get_as("/", &token.clone().sign(&pair[0])).status(), 200);
            assert_eq!(client.get_as("/", &token.sign(&pair[1])).status(), 200);
        }
    }
}

#[test]
fn an_issuer_that_fails_leaves_the_last_good_keys() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    let token = Token::new().sign(&key);
    wait_for_status(&gateway, &token, 200);
    for (status, body) in [
        (500, &b"{}"[..]),
        (200, b"<html>maintenance</html>"),
        (200, br#"{"keys":[]}"#),
        (200, br#"{"keys":[{"kty":"AKP"}]}"#),
        (302, b""),
    ] {
        issuer.answer_with(status, body);
        let before = issuer.fetches();
        wait_until("another fetch", || (issuer.fetches() > before).then_some(()));
        // A fetch that is answered may not have been judged yet; the one after it has been.
        assert_eq!(gateway.client().get_as("/", &token).status(), 200, "{status} {body:?}");
    }
}

#[test]
fn keys_that_nobody_confirms_are_dropped_after_max_stale() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let config =
        Config::protecting_with_url(&upstream, &issuer).set("jwt.providers.tests.max_stale", "2s");
    let gateway = Gateway::start(&config);
    let token = Token::new().sign(&key);
    wait_for_status(&gateway, &token, 200);
    issuer.answer_with(503, b"");
    wait_for_status(&gateway, &token, 503);
    assert_eq!(gateway.admin("/readyz").status(), 503);
    issuer.serve(&[&key]);
    wait_for_status(&gateway, &token, 200);
}

#[test]
fn a_second_place_stands_in_until_the_first_has_keys() {
    let upstream = Upstream::saying("x");
    let (main, spare) = (Key::p256("main"), Key::p256("spare"));
    let (issuer, mirror) = (Issuer::failing(503), Issuer::serving(&[&spare]));
    let place = |issuer: &Issuer| json!({ "url": issuer.url(), "refresh_interval": "1s" });
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!([place(&issuer), place(&mirror)]));
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&spare), 200);
    issuer.serve(&[&main]);
    wait_for_status(&gateway, &Token::new().sign(&main), 200);
    wait_for_status(&gateway, &Token::new().sign(&spare), 401);
}

#[test]
fn a_restart_does_not_need_the_issuer() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let kept = tempfile::tempdir().unwrap();
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.cache_directory", kept.path().to_str().unwrap());
    let token = Token::new().sign(&key);
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &token, 200);
    wait_until("the keys on disk", || {
        let mut files = fs::read_dir(kept.path()).unwrap().map(|file| file.unwrap().path());
        files.any(|path| path.extension().is_some_and(|it| it == "jwks")).then_some(())
    });
    drop(gateway);
    issuer.answer_with(503, b"");
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.client().get_as("/", &token).status(), 200);
}

#[test]
fn keys_that_come_late_make_the_gateway_ready() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::failing(503);
    let config =
        Config::protecting_with_url(&upstream, &issuer).respond(json!({ "path": "/open" }), "open");
    let gateway = Gateway::start(&config);
    let token = Token::new().sign(&key);
    let unready = gateway.admin("/readyz");
    assert_eq!(unready.status(), 503);
    assert!(unready.text().contains("tests"), "names the provider: {}", unready.text());
    assert_eq!(gateway.client().get("/open").status(), 200, "other routes serve");
    let refused = gateway.client().get_as("/", &token);
    assert_eq!(refused.status(), 503);
    assert!(refused.field("retry-after").is_some(), "{refused:?}");
    issuer.serve(&[&key]);
    wait_for_status(&gateway, &token, 200);
    wait_until("readiness", || (gateway.admin("/readyz").status() == 200).then_some(()));
}

#[test]
fn keys_in_a_file_are_read_again_when_it_changes() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    fs::write(&path, jwks(&[&old]).to_string()).unwrap();
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "file": "keys.json" }));
    let gateway = Gateway::start_in(directory, &config);
    let (old_token, new_token) = (Token::new().sign(&old), Token::new().sign(&new));
    wait_for_status(&gateway, &old_token, 200);
    assert_eq!(gateway.client().get_as("/", &new_token).status(), 401);
    // As tools that replace keys do it: renamed over the old file.
    let next = gateway.path("keys.json.next");
    fs::write(&next, jwks(&[&new]).to_string()).unwrap();
    fs::rename(&next, gateway.path("keys.json")).unwrap();
    wait_for_status(&gateway, &new_token, 200);
    wait_for_status(&gateway, &old_token, 401);
}

#[test]
fn every_worker_gets_the_new_keys() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let config = Config::protecting_with_url(&upstream, &issuer).set("workers", 4);
    let gateway = Gateway::start(&config);
    let (old_token, new_token) = (Token::new().sign(&old), Token::new().sign(&new));
    wait_for_status(&gateway, &old_token, 200);
    // Enough connections that each worker has some; they stay open over the change.
    let mut clients: Vec<_> = (0..64).map(|_| gateway.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get_as("/", &old_token).status(), 200);
    }
    issuer.serve(&[&new]);
    for client in &mut clients {
        wait_until("the new key on each connection", || {
            (client.get_as("/", &new_token).status() == 200).then_some(())
        });
        assert_eq!(client.get_as("/", &old_token).status(), 401);
    }
}

/// A gateway that refreshes its keys by itself too seldom to matter.
fn seldom_refreshed(upstream: &Upstream, issuer: &Issuer) -> Gateway {
    let config = Config::protecting_with_url(upstream, issuer)
        .set("jwt.providers.tests.jwks.refresh_interval", "1h")
        .set("workers", 2);
    Gateway::start(&config)
}

#[test]
fn the_first_token_of_a_new_key_waits_for_it_and_passes() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let gateway = seldom_refreshed(&upstream, &issuer);
    wait_for_status(&gateway, &Token::new().sign(&old), 200);
    let before = issuer.fetches();

    issuer.serve(&[&new]);
    let (gateway, token) = (&gateway, Token::new().sign(&new));
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| gateway.client().get_as("/", &token).status()))
            .collect();
        let statuses: Vec<u16> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(statuses, [200; 16]);
    });
    // A worker that asks while the new keys are on their way to it gets those, and no fetch.
    assert_eq!(issuer.fetches() - before, 1, "one for all of them");
    let removed = gateway.client().get_as("/", &Token::new().sign(&old));
    assert_eq!(removed.status(), 401, "the key that went stops at once, cached token or not");
}

#[test]
fn made_up_key_names_cost_the_issuer_two_fetches() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let gateway = seldom_refreshed(&upstream, &issuer);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let before = issuer.fetches();

    for n in 0..50 {
        let stranger = Key::p256(&format!("made-up-{n}"));
        assert_eq!(gateway.client().get_as("/", &Token::new().sign(&stranger)).status(), 401);
    }
    assert_eq!(issuer.fetches() - before, 2, "the burst of the token bucket");
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&key)).status(), 200);
    gateway.wait_for_metric("ringgate_requests_parked", &[], |parked| parked == 0.0);
}

#[test]
fn a_fetch_that_fails_is_made_again_for_the_token_that_waits() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let gateway = seldom_refreshed(&upstream, &issuer);
    wait_for_status(&gateway, &Token::new().sign(&old), 200);
    issuer.serve(&[&old, &new]);
    issuer.suffer(&[Fault::Answer(503, b""), Fault::None]);
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&new)).status(), 200);
}

#[test]
fn two_providers_of_one_url_share_its_fetches() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let jwks = json!({ "url": issuer.url(), "refresh_interval": "1h" });
    let config = Config::protecting(&upstream, &[])
        .provider("tests", ISSUER, jwks.clone())
        .provider("others", "https://other.test/", jwks)
        .set("routes.0.jwt.providers", json!(["tests", "others"]));
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let other = Token::new().claim("iss", "https://other.test/").sign(&key);
    assert_eq!(gateway.client().get_as("/", &other).status(), 200);
    assert_eq!(issuer.fetches(), 1);
}

#[test]
fn keys_come_over_a_unix_socket() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("keys.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let keys = jwks(&[&key]).to_string();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut wire = Wire::unix(stream);
        let request = message::read_request(&mut wire).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        wire.try_send(format!("{head}: {}\r\n\r\n{keys}", keys.len())).unwrap();
        request.target().to_owned()
    });
    let url = format!("unix:{}:/keys.json", socket.display());
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "url": url, "refresh_interval": "1h" }));
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    assert_eq!(served.join().unwrap(), "/keys.json");
}
