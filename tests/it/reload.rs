//! SIGHUP: a good file replaces what runs, a bad one changes nothing, and no connection is lost.

use std::net::TcpStream;

use crate::harness::deadline::told;
use crate::harness::upstream::ok;
use crate::harness::{Client, Config, Gateway, Key, Upstream, wait_until};
use serde_json::json;

fn saying(text: &str) -> Config {
    Config::new().respond(json!({ "path": "/who" }), text)
}

/// Waits until a connection is answered with this text.
fn wait_for_answer(client: &mut Client, text: &str) {
    wait_until(&format!("the answer {text:?}"), || {
        (client.get("/who").text() == text).then_some(())
    });
}

#[test]
fn a_good_file_replaces_what_runs_on_open_connections_too() {
    let gateway = Gateway::start(&saying("one").set("workers", 2));
    let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/who").text(), "one");
    }
    gateway.reload(saying("two").set("workers", 2));
    for client in &mut clients {
        wait_for_answer(client, "two");
    }
    assert_eq!(gateway.client().get("/who").text(), "two");
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let gateway = Gateway::start(&saying("one"));
    for bad in [
        "{ not JSON".to_owned(),
        saying("two").set("listenrs", json!([])).to_string(),
        saying("two").route(json!({ "match": {}, "upstream": "nowhere" })).to_string(),
    ] {
        let before = gateway.stderr().len();
        gateway.reload(&bad);
        // The position in the file, in what the gateway says about it.
        wait_until("the reason in the log", || {
            gateway.stderr()[before..].contains("gateway.json:").then_some(())
        });
        assert_eq!(gateway.client().get("/who").text(), "one", "after {bad}");
    }
    gateway.reload(saying("three"));
    wait_for_answer(&mut gateway.client(), "three");
}

#[test]
fn a_request_in_flight_finishes_under_the_rules_it_began_with() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        told(&wait.lock().unwrap());
        peer.send(ok("slow"));
    });
    let config =
        |text: &str| Config::forwarding_to(&upstream).respond(json!({ "path": "/who" }), text);
    let gateway = Gateway::start(&config("one"));
    let mut waiting = gateway.client();
    waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    // The upstream is gone from the new file, the request is not.
    gateway.reload(saying("two"));
    wait_for_answer(&mut gateway.client(), "two");
    go.send(()).unwrap();
    assert_eq!(waiting.response().text(), "slow");
    assert_eq!(waiting.get("/who").text(), "two", "and the connection serves on");
}

#[test]
fn a_listener_can_be_added_and_removed() {
    let two = json!([
        { "name": "public", "address": "127.0.0.1:0" },
        { "name": "extra", "address": "127.0.0.2:0" },
    ]);
    let gateway = Gateway::start(&saying("one"));
    gateway.reload(saying("two").set("listeners", two));
    let line = gateway.wait_for_line(&["listening", "extra"]);
    let at = line.find("127.0.0.2:").expect("the line names the address");
    let digits = line[at..].find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    let extra = line[at..][..digits.unwrap_or(line.len() - at)].parse().unwrap();
    let mut on_extra = Client::connect(extra);
    wait_for_answer(&mut on_extra, "two");
    assert_eq!(gateway.client().get("/who").text(), "two", "the other one kept its port");

    gateway.reload(saying("three"));
    wait_for_answer(&mut gateway.client(), "three");
    wait_until("the removed listener to refuse", || {
        TcpStream::connect(extra).is_err().then_some(())
    });
}

#[test]
fn no_request_fails_over_many_reloads() {
    let upstream = Upstream::with(|request| ok(request.target()));
    let config = |n: usize| {
        Config::forwarding_to(&upstream)
            .set("workers", 2)
            .respond(json!({ "path": "/who" }), &n.to_string())
    };
    let gateway = Gateway::start(&config(0));
    let mut clients: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for n in 1..=10 {
        gateway.reload(config(n));
        wait_until("the reload", || {
            let mut fresh = gateway.client();
            for client in &mut clients {
                assert_eq!(client.get("/kept").text(), "/kept");
            }
            (fresh.get("/who").text() == n.to_string()).then_some(())
        });
    }
    assert!(upstream.connections() <= 8, "{} connections", upstream.connections());
}

#[test]
fn a_protection_added_by_a_reload_holds_on_open_connections() {
    let (upstream, key) = (Upstream::saying("x"), Key::p256("k"));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    gateway.reload(Config::protecting(&upstream, &[&key]));
    wait_until("the protection", || (client.get("/").status() == 401).then_some(()));
}
