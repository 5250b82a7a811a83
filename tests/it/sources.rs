//! Connections of one source: how many it may have.

use serde_json::json;

use crate::harness::{Client, Config, Gateway, Upstream};

const REASON: &str = "reason=\"limit.source_connections\"";

fn config(limit: u64) -> Config {
    Config::new()
        .set("listeners.0.reason_header", true)
        .set("limits", json!({ "connections_per_source": limit }))
        .respond(json!({}), "x")
}

fn is_served(client: &mut Client) -> bool {
    client.get("/").status() == 200
}

/// The answer to one that has not said anything.
#[track_caller]
fn expect_turned_away(gateway: &Gateway) {
    let mut client = gateway.client();
    let response = client.response();
    assert_eq!(response.status(), 429);
    assert_eq!(response.field("X-Ringgate-Reason"), Some("limit.source_connections"));
    client.wait_for_end();
}

#[test]
fn a_source_has_so_many_connections_and_then_no_more() {
    let gateway = Gateway::start(&config(2));
    let mut clients = [gateway.client(), gateway.client()];
    assert!(clients.iter_mut().all(is_served));
    expect_turned_away(&gateway);
    expect_turned_away(&gateway);
    assert!(clients.iter_mut().all(is_served), "those that are open go on");
    let [one, mut other] = clients;
    drop(one);
    gateway.wait_for_metric("ringgate_connections_open", &[], |count| count == 1.0);
    assert!(is_served(&mut gateway.client()), "there is room again");
    assert!(is_served(&mut other));
    gateway.wait_for_metric("ringgate_refusals_total", &[REASON, "fault=\"client\""], |n| n == 2.0);
    gateway.wait_for_metric("ringgate_connections_refused_total", &[], |n| n == 2.0);
}

#[test]
fn a_listener_has_a_number_of_its_own_and_a_reload_counts_what_is_open() {
    let listeners = json!([
        { "name": "public", "address": "127.0.0.1:0", "reason_header": true },
        { "name": "tight", "address": "127.0.0.2:0", "limits": { "connections_per_source": 1 } },
        { "name": "raw", "address": "127.0.0.3:0", "tcp": { "upstream": "main" },
          "limits": { "connections_per_source": 1 } },
    ]);
    let upstream = Upstream::saying("x");
    let config = config(4).set("listeners", listeners).endpoints("main", &[upstream.endpoint()]);
    let gateway = Gateway::start(&config);
    let at = |name: &str| Client::connect(gateway.listener(name));
    let (mut public, mut tight, mut raw) = (gateway.client(), at("tight"), at("raw"));
    assert!(is_served(&mut public) && is_served(&mut tight) && is_served(&mut raw));
    assert_eq!(at("tight").response().status(), 429);
    at("raw").wait_for_end();
    // Of all listeners together.
    let mut fourth = gateway.client();
    assert!(is_served(&mut fourth));
    expect_turned_away(&gateway);
    gateway.reload(config.set("limits.connections_per_source", 2));
    gateway.wait_for_line(&["every worker runs", "generation=2"]);
    drop(fourth);
    gateway.wait_for_metric("ringgate_connections_open", &[], |count| count == 3.0);
    expect_turned_away(&gateway);
}

#[test]
fn trusted_proxies_have_as_many_as_they_like() {
    let gateway =
        Gateway::start(&config(1).set("forwarding", json!({ "trusted_proxies": ["127.0.0.1"] })));
    let mut clients = [gateway.client(), gateway.client(), gateway.client()];
    assert!(clients.iter_mut().all(is_served));
}

#[test]
fn behind_a_balancer_the_source_is_whom_its_header_tells_of() {
    let rule = json!({ "mode": "required", "from": ["127.0.0.0/8"] });
    let gateway = Gateway::start(&config(1).set("listeners.0.proxy_protocol", rule));
    let telling = |address: &str| {
        let mut client = gateway.client();
        client.send(format!("PROXY TCP4 {address} 10.0.0.1 4711 80\r\n"));
        client
    };
    let mut one = telling("198.51.100.7");
    let mut other = telling("198.51.100.8");
    assert!(is_served(&mut one) && is_served(&mut other));
    telling("198.51.100.7").wait_for_end();
    gateway.wait_for_metric("ringgate_refusals_total", &[REASON], |count| count == 1.0);
    drop(one);
    gateway.wait_for_metric("ringgate_connections_open", &[], |count| count == 1.0);
    assert!(is_served(&mut telling("198.51.100.7")), "there is room again");
    assert!(is_served(&mut other));
}
