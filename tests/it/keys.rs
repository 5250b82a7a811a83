//! Operating the keys: what is shown of them, fetched on demand, kept, waited for and counted.
//! Tests are named after the rows of the rules for key sets.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::gateway::BINARY;
use crate::harness::token::{ISSUER, jwks};
use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};

fn wait_for_status(gateway: &Gateway, token: &str, status: u16) {
    wait_until(&format!("{status} for a token"), || {
        (gateway.client().get_as("/", token).status() == status).then_some(())
    });
}

/// A configuration whose keys are refreshed by themselves too seldom to matter, and in which a
/// request waits long enough for a key on a slow machine.
fn seldom(upstream: &Upstream, issuer: &Issuer) -> Config {
    Config::protecting_with_url(upstream, issuer)
        .set("jwt.providers.tests.jwks.refresh_interval", "1h")
        .set("jwt.providers.tests.unknown_kid_wait", "10s")
}

/// Waits until the issuer has counted so many fetches: it does so after it has answered.
fn wait_for_fetches(issuer: &Issuer, count: usize) {
    wait_until(&format!("{count} fetches"), || (issuer.fetches() == count).then_some(()));
}

fn provider(gateway: &Gateway) -> Value {
    gateway.admin("/jwks").json()["providers"][0].clone()
}

fn kids(provider: &Value) -> Vec<(String, bool)> {
    let keys = provider["keys"].as_array().unwrap().iter();
    let name = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys.map(|key| (name(key), key["vanished"] == true)).collect()
}

#[test]
fn admin_shows_sources_and_public_parts() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::failing(503);
    let mut set = jwks(&[&key]);
    set["keys"].as_array_mut().unwrap().push(json!({ "kty": "AKP", "kid": "future" }));
    issuer.answer_with(200, set.to_string().as_bytes());
    let url = format!("{}?api-key=secret", issuer.url());
    let config = seldom(&upstream, &issuer).set("jwt.providers.tests.jwks.url", url).provider(
        "other",
        "https://other.test/",
        json!({ "inline": jwks(&[&Key::rsa("r")]) }),
    );
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let response = gateway.admin("/jwks");
    assert!(!response.text().contains("secret"), "{}", response.text());
    let all = response.json();
    let names: Vec<_> = all["providers"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["other", "tests"]);
    assert_eq!(all["providers"][0]["sources"][0]["place"], "inline");

    let one = gateway.admin("/jwks?provider=tests").json();
    assert_eq!(one["providers"].as_array().unwrap().len(), 1);
    let tests = &one["providers"][0];
    let source = &tests["sources"][0];
    assert_eq!((&source["place"], &source["in_use"]), (&json!(issuer.url()), &json!(true)));
    assert!(source["next_refresh_seconds"].as_u64().unwrap() > 1800, "{source:#}");
    assert!(tests["age_seconds"].as_u64().unwrap() < 60, "{tests:#}");
    let ignored = &source["ignored_keys"][0];
    assert_eq!((&ignored["kid"], &ignored["reason"]), (&json!("future"), &json!("key_type")));
    let (shown, jwk) = (&tests["keys"][0], key.jwk());
    for member in ["kid", "kty", "crv", "x", "y"] {
        assert_eq!(shown[member], jwk[member], "{member}");
    }
    assert_eq!(shown["algorithms"], json!(["ES256"]));
    assert_eq!(shown["thumbprint"].as_str().unwrap().len(), 43);

    let unknown = gateway.admin("/jwks?provider=x");
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().contains("there are: other, tests"), "{}", unknown.text());
}

#[test]
fn admin_refresh_fetches_at_once_whatever_the_bucket_says() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let config = seldom(&upstream, &issuer).provider(
        "inline",
        "https://inline.test/",
        json!({ "inline": jwks(&[&old]) }),
    );
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&old), 200);
    let refresh = || {
        let response = gateway.admin_post("/jwks/refresh?provider=tests", "");
        (response.status(), response.json()["fetches"][0].clone())
    };
    wait_for_fetches(&issuer, 1);
    for _ in 0..4 {
        let (status, fetch) = refresh();
        assert_eq!((status, &fetch["result"]), (200, &json!("unchanged")), "{fetch:#}");
    }
    // More than the burst of the bucket.
    wait_for_fetches(&issuer, 5);
    issuer.serve(&[&new]);
    assert_eq!(refresh().1["result"], "changed");
    assert_eq!(
        kids(&gateway.admin("/jwks?provider=tests").json()["providers"][0]),
        [("new".to_owned(), false)]
    );
    wait_for_status(&gateway, &Token::new().sign(&old), 401);
    issuer.answer_with(503, b"");
    let (status, fetch) = refresh();
    assert_eq!((status, &fetch["result"]), (502, &json!("failed")));
    assert!(fetch["error"].as_str().unwrap().contains("503"), "{fetch:#}");
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&new)).status(), 200);
    assert_eq!(gateway.admin_post("/jwks/refresh?provider=x", "").status(), 404);
    assert_eq!(gateway.admin_post("/jwks/refresh?provider=inline", "").status(), 409);
}

#[test]
fn k19_a_removed_key_stops_a_cached_token_at_the_swap() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let gateway = Gateway::start(&seldom(&upstream, &issuer));
    let token = Token::new().sign(&old);
    let mut client = gateway.client();
    wait_for_status(&gateway, &token, 200);
    assert_eq!(client.get_as("/", &token).status(), 200, "cached by now");
    issuer.serve(&[&new]);
    assert_eq!(gateway.admin_post("/jwks/refresh?provider=tests", "").status(), 200);
    let swapped = || {
        let config = gateway.admin("/config").json();
        (config["generation"] == config["published_generation"]).then_some(())
    };
    wait_until("the swap", swapped);
    assert_eq!(client.get_as("/", &token).status(), 401);
}

#[test]
fn negative_kid_memory_is_cleared_by_a_new_generation() {
    let upstream = Upstream::saying("x");
    let [first, second, third] = ["first", "second", "third"].map(Key::p256);
    let issuer = Issuer::serving(&[&first]);
    let gateway = Gateway::start(&seldom(&upstream, &issuer));
    wait_for_status(&gateway, &Token::new().sign(&first), 200);
    let token = Token::new().sign(&third);
    for _ in 0..5 {
        assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    }
    assert_eq!(issuer.fetches(), 2, "the first load and one look: then known not to be there");
    issuer.serve(&[&first, &second]);
    assert_eq!(gateway.admin_post("/jwks/refresh?provider=tests", "").status(), 200);
    wait_for_status(&gateway, &Token::new().sign(&second), 200);
    issuer.serve(&[&first, &second, &third]);
    assert_eq!(gateway.client().get_as("/", &token).status(), 200, "looked for once more");
}

#[test]
fn de_dup_providers_of_one_url_cost_one_fetch() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let place = json!({ "url": issuer.url(), "refresh_interval": "1h" });
    let config = seldom(&upstream, &issuer)
        .provider("second", "https://second.test/", place.clone())
        .provider("third", "https://third.test/", place)
        .set("routes.0.jwt.providers", json!(["tests", "second", "third"]));
    let gateway = Gateway::start(&config);
    wait_until("ready", || (gateway.admin("/readyz").status() == 200).then_some(()));
    let shown = gateway.admin("/jwks").json();
    let with_keys =
        shown["providers"].as_array().unwrap().iter().filter(|one| !one["keys"][0].is_null());
    assert_eq!(with_keys.count(), 3);
    wait_for_fetches(&issuer, 1);
}

#[test]
fn key_removal_with_key_grace_keeps_a_vanished_key_for_a_while() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let config =
        Config::protecting_with_url(&upstream, &issuer).set("jwt.providers.tests.key_grace", "1h");
    let gateway = Gateway::start(&config);
    let (old_token, new_token) = (Token::new().sign(&old), Token::new().sign(&new));
    wait_for_status(&gateway, &old_token, 200);
    issuer.serve(&[&new]);
    wait_for_status(&gateway, &new_token, 200);
    assert_eq!(gateway.client().get_as("/", &old_token).status(), 200, "it lingers");
    let shown = provider(&gateway);
    assert_eq!(kids(&shown), [("new".to_owned(), false), ("old".to_owned(), true)]);
    let left = shown["keys"][1]["grace_left_seconds"].as_u64().unwrap();
    assert!((3000..=3600).contains(&left), "{left}");
    assert_eq!(gateway.metrics().sum("ringgate_jwks_vanished_keys", &[]), 1.0);

    issuer.serve(&[&new, &old]);
    wait_until("an ordinary key again", || {
        (kids(&provider(&gateway)).iter().all(|(_, vanished)| !vanished)).then_some(())
    });
    // Its name is another key's from now on: that is no early removal.
    issuer.serve(&[&new, &Key::p256("old")]);
    wait_for_status(&gateway, &old_token, 401);

    gateway.reload(config.set("jwt.providers.tests.key_grace", "2s"));
    gateway.wait_for_line(&["configuration reloaded"]);
    issuer.serve(&[&old]);
    wait_for_status(&gateway, &old_token, 200);
    wait_for_status(&gateway, &new_token, 401);
}

#[test]
fn unknown_kid_wait_of_zero_refuses_at_once_and_looks_all_the_same() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let config = seldom(&upstream, &issuer).set("jwt.providers.tests.unknown_kid_wait", "0s");
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&old), 200);
    issuer.serve(&[&new]);
    let token = Token::new().sign(&new);
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    wait_for_status(&gateway, &token, 200);
    assert_eq!(gateway.metrics().sum("ringgate_parkings_total", &[]), 0.0);
}

#[test]
fn unknown_kid_interval_says_how_often_a_set_is_fetched_out_of_turn() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let config = seldom(&upstream, &issuer).set("jwt.providers.tests.unknown_kid_interval", "1s");
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let before = issuer.fetches();
    let mut names = 0..;
    // With the default of 10 s a third one would take as long.
    wait_until("more fetches than the burst", || {
        let stranger = Key::p256(&format!("made-up-{}", names.next()?));
        assert_eq!(gateway.client().get_as("/", &Token::new().sign(&stranger)).status(), 401);
        (issuer.fetches() - before >= 4).then_some(())
    });
}

#[test]
fn unknown_kid_of_a_token_that_no_key_would_make_good_is_not_looked_for() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let gateway = Gateway::start(&seldom(&upstream, &issuer));
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    wait_for_fetches(&issuer, 1);
    let stranger = Key::p256("stranger");
    let description = |token: Token| {
        let response = gateway.client().get_as("/", &token.sign(&stranger));
        assert_eq!(response.status(), 401);
        response.json()["error_description"].clone()
    };
    assert_eq!(description(Token::new().claim("exp", 1)), "token expired");
    assert_eq!(description(Token::new().claim("aud", "other")), "wrong audience");
    assert_eq!(description(Token::new()), "unknown key");
    wait_for_fetches(&issuer, 2);
    let tests = "provider=\"tests\"";
    gateway.wait_for_metric("ringgate_unknown_kid_total", &[tests], |count| count == 1.0);
}

#[test]
fn metrics_tell_of_ages_fetches_unknown_and_ignored_keys() {
    let (upstream, old, new) = (Upstream::saying("x"), Key::p256("old"), Key::p256("new"));
    let issuer = Issuer::serving(&[&old]);
    let gateway = Gateway::start(&seldom(&upstream, &issuer));
    wait_for_status(&gateway, &Token::new().sign(&old), 200);
    let mut set = jwks(&[&old, &new]);
    let list = set["keys"].as_array_mut().unwrap();
    list.push(json!({ "kty": "AKP" }));
    list.push(json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldA" }));
    issuer.answer_with(200, set.to_string().as_bytes());
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&new)).status(), 200);
    let stranger = Token::new().sign(&Key::p256("stranger"));
    assert_eq!(gateway.client().get_as("/", &stranger).status(), 401);

    let tests = "provider=\"tests\"";
    gateway.wait_for_metric("ringgate_unknown_kid_total", &[tests], |count| count == 2.0);
    gateway.wait_for_metric("ringgate_jwks_keys", &[tests], |count| count == 2.0);
    gateway.wait_for_metric("ringgate_requests_parked", &[], |parked| parked == 0.0);
    let metrics = gateway.metrics();
    let sum = |name: &str, label: &str| metrics.sum(&format!("ringgate_{name}"), &[label]);
    assert_eq!(sum("parkings_total", "outcome=\"found\""), 1.0);
    assert_eq!(sum("parkings_total", "outcome=\"missing\""), 1.0);
    assert_eq!(sum("parkings_total", "outcome=\"timeout\""), 0.0);
    assert_eq!(sum("jwks_generation", tests), 2.0);
    assert_eq!(sum("jwks_fetches_total", "result=\"changed\""), 2.0);
    assert_eq!(sum("jwks_ignored_keys", "reason=\"key_type\""), 1.0);
    assert_eq!(sum("jwks_ignored_keys", "reason=\"symmetric\""), 1.0);
    assert_eq!(sum("jwks_ignored_keys", "reason=\"private\""), 0.0);
    assert!(sum("jwks_age_seconds", tests) < 60.0);
    assert!(sum("jwks_last_success_timestamp_seconds", tests) > 1.6e9);
}

#[test]
fn k7_a_secret_in_a_set_is_an_error_in_the_log_and_told_once() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let gateway = Gateway::start(&Config::protecting_with_url(&upstream, &issuer));
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let mut set = jwks(&[&key]);
    let mut leaked = Key::p256("leaked").jwk();
    leaked["d"] = json!("c2VjcmV0");
    set["keys"].as_array_mut().unwrap().push(leaked);
    issuer.answer_with(200, set.to_string().as_bytes());
    let line = gateway.wait_for_line(&["ERROR", "secret", "leaked"]);
    assert!(!line.contains("c2VjcmV0"), "{line}");
    let before = issuer.fetches();
    wait_until("two more fetches", || (issuer.fetches() >= before + 2).then_some(()));
    let lines = gateway.stderr() + &gateway.stdout();
    assert_eq!(lines.lines().filter(|line| line.contains("ERROR")).count(), 1, "{lines}");
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&key)).status(), 200);
}

#[test]
fn k7_a_secret_in_the_configuration_is_an_error_in_the_log() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let mut set = jwks(&[&key]);
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "kty": "oct", "kid": "hmac", "k": "c2VjcmV0" }));
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "inline": set }));
    let gateway = Gateway::start(&config);
    gateway.wait_for_line(&["ERROR", "tests", "hmac"]);
    let ignored = &provider(&gateway)["sources"][0]["ignored_keys"][0];
    assert_eq!(ignored["reason"], "symmetric");
}

#[test]
fn stale_limit_warns_well_before_it_is_over() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::serving(&[&key]);
    let config =
        Config::protecting_with_url(&upstream, &issuer).set("jwt.providers.tests.max_stale", "8s");
    let gateway = Gateway::start(&config);
    let token = Token::new().sign(&key);
    wait_for_status(&gateway, &token, 200);
    issuer.answer_with(503, b"");
    gateway.wait_for_line(&["WARN", "half of max_stale", "tests"]);
    assert_eq!(gateway.client().get_as("/", &token).status(), 200, "used still");
}

#[test]
fn startup_fail_ends_with_1_and_names_the_provider() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.startup", "fail")
        .set("jwt.startup_wait", "1s");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.json");
    fs::write(&file, config.to_string()).unwrap();
    let output = Command::new(BINARY).arg("run").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no keys within 1s for tests"), "{told}");
}

#[test]
fn startup_wait_accepts_once_the_keys_are_there() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let issuer = Issuer::failing(503);
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.startup", "wait")
        .set("jwt.startup_wait", "1m");
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| Gateway::start(&config));
        wait_until("two fetches that fail", || (issuer.fetches() >= 2).then_some(()));
        assert!(!starting.is_finished(), "nothing listens yet");
        issuer.serve(&[&key]);
        let gateway = starting.join().unwrap();
        let first = gateway.client().get_as("/", &Token::new().sign(&key));
        assert_eq!(first.status(), 200, "the very first request");
    });
}

#[test]
fn startup_wait_is_ended_by_a_signal() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.startup", "wait")
        .set("jwt.startup_wait", "5m");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.json");
    fs::write(&file, config.to_string()).unwrap();
    let mut child =
        Command::new(BINARY).arg("run").arg(&file).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a fetch", || (issuer.fetches() > 0).then_some(()));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = wait_until("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn startup_wait_serves_when_its_time_is_over() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let config = Config::protecting_with_url(&upstream, &issuer)
        .set("jwt.startup", "wait")
        .set("jwt.startup_wait", "1s");
    let gateway = Gateway::start(&config);
    gateway.wait_for_line(&["WARN", "no keys in time", "tests"]);
    let token = Token::new().sign(&Key::p256("k"));
    assert_eq!(gateway.client().get_as("/", &token).status(), 503);
}

#[test]
fn reload_with_one_bad_provider_keeps_its_keys_and_applies_the_rest() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("keys.json"), jwks(&[&key]).to_string()).unwrap();
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "file": "keys.json" }));
    let gateway = Gateway::start_in(directory, &config);
    let token = Token::new().sign(&key);
    wait_for_status(&gateway, &token, 200);
    let applied = |name: &str| {
        let path = format!("/{name}");
        wait_until(name, || (gateway.client().get(&path).status() == 200).then_some(()));
        assert_eq!(gateway.client().get_as("/", &token).status(), 200, "{name}");
    };
    let with_route =
        |name: &str| config.clone().respond(json!({ "path": format!("/{name}") }), name);
    // The file is bad, is another one that is not there, is a URL that does not answer.
    fs::write(gateway.path("keys.json"), "garbage").unwrap();
    gateway.reload(with_route("bad-file"));
    applied("bad-file");
    gateway.wait_for_line(&["WARN", "jwks.file", "no usable keys"]);
    let missing = json!({ "file": "no-such-file.json" });
    gateway.reload(with_route("no-file").set("jwt.providers.tests.jwks", missing));
    applied("no-file");
    let dead = Issuer::failing(503);
    let url = json!({ "url": dead.url(), "refresh_interval": "1s" });
    gateway.reload(with_route("dead-url").set("jwt.providers.tests.jwks", url.clone()));
    applied("dead-url");
    let other = Key::p256("other");
    dead.serve(&[&other]);
    wait_for_status(&gateway, &Token::new().sign(&other), 200);
    wait_for_status(&gateway, &token, 401);
}

#[test]
fn reload_to_another_issuer_takes_no_keys_along() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let config = Config::protecting(&upstream, &[&key]);
    let gateway = Gateway::start(&config);
    wait_for_status(&gateway, &Token::new().sign(&key), 200);
    let dead = Issuer::failing(503);
    let other = "https://other-issuer.test/";
    let url = json!({ "url": dead.url() });
    let moved = config.set("jwt.providers.tests.jwks", url);
    gateway.reload(moved.clone());
    gateway.wait_for_line(&["configuration reloaded"]);
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&key)).status(), 200, "{ISSUER}");
    gateway.reload(moved.set("jwt.providers.tests.issuer", other));
    let token = Token::new().claim("iss", other).sign(&key);
    wait_for_status(&gateway, &token, 503);
}

#[test]
fn reload_with_inline_garbage_is_refused_and_names_the_place() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let config = Config::protecting(&upstream, &[&key]);
    let gateway = Gateway::start(&config);
    gateway.reload(config.set("jwt.providers.tests.jwks.inline", json!({ "keys": [{}] })));
    gateway.wait_for_line(&["reload refused", "gateway.json:", "jwt.providers.tests.jwks.inline"]);
    assert_eq!(gateway.client().get_as("/", &Token::new().sign(&key)).status(), 200);
}
