//! Streams that end with the token that opened them.

use std::fs;
use std::sync::mpsc::channel;

use crate::harness::deadline::told;
use crate::harness::message::read_response_head;
use crate::harness::token::{ISSUER, jwks, now};
use crate::harness::{Client, Config, Gateway, Key, Token, Upstream};
use crate::kernel::possible;
use ringgate::kernel::Assist;
use serde_json::json;

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// A text frame of a server.
const HELLO: &[u8] = b"\x81\x05hello";
/// A text frame of a client, masked with zeros.
const MASKED_HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";

/// A gateway that believes `key`, without leeway.
fn gateway(upstream: &Upstream, key: &Key, end_with_token: Option<&str>) -> Gateway {
    let config = Config::protecting(upstream, &[key])
        .set("jwt.providers.tests.leeway", "0s")
        .set("jwt.providers.tests.require_exp", false);
    Gateway::start(&match end_with_token {
        Some(which) => config.set("routes.0.jwt.end_with_token", which),
        None => config,
    })
}

/// A connection that was switched to this protocol.
fn switched(gateway: &Gateway, token: &str, protocol: &str) -> Client {
    let mut client = gateway.client();
    client.send(format!(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    ));
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 101);
    client
}

fn revoke(gateway: &Gateway, id: &str) {
    let entry = json!({ "iss": ISSUER, "jti": id, "until": now() + 3600 });
    let list = json!({ "entries": [entry] }).to_string();
    assert_eq!(gateway.admin_change("POST", "/deny", &list).status(), 200);
}

/// A close frame of the gateway's to a client.
fn close_frame(reason: &str) -> Vec<u8> {
    let payload = [&1008_u16.to_be_bytes()[..], reason.as_bytes()].concat();
    [&[0x88, payload.len() as u8][..], &payload].concat()
}

/// A close frame of the gateway's to an upstream, unmasked.
fn unmasked(frame: &[u8]) -> Vec<u8> {
    assert_eq!(frame[1] & 0x80, 0x80, "a client masks");
    let mask: Vec<u8> = frame[2..6].to_vec();
    let payload = frame[6..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [frame[0], frame[1] & 0x7f].into_iter().chain(payload).collect()
}

#[test]
fn a_web_socket_is_closed_with_1008_when_its_token_expires() {
    let (ended, end) = channel();
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send([SWITCHING.as_bytes(), HELLO].concat());
        assert_eq!(peer.read_exactly(MASKED_HELLO.len()).unwrap(), MASKED_HELLO);
        ended.send(peer.read_to_end().unwrap()).unwrap();
    });
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, None);
    let mut client =
        switched(&gateway, &Token::new().claim("exp", now() + 2).sign(&key), "websocket");
    client.send(MASKED_HELLO);
    assert_eq!(client.read_exactly(HELLO.len()).unwrap(), HELLO);
    assert_eq!(client.read_to_end().unwrap(), close_frame("token expired"));
    drop(client);
    assert_eq!(unmasked(&told(&end)), close_frame("token expired"));
    gateway.wait_for_line(&["\"reason\":\"stream.token_expired\"", "\"status\":101"]);
    let reason = "reason=\"stream.token_expired\"";
    gateway.wait_for_metric("ringgate_refusals_total", &[reason], |n| n == 1.0);
}

#[test]
fn a_spliced_web_socket_ends_with_its_token_without_a_close_frame() {
    if !possible("auth::streams", Assist::Splice) {
        return;
    }
    let (ended, end) = channel();
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send([SWITCHING.as_bytes(), HELLO].concat());
        assert_eq!(peer.read_exactly(MASKED_HELLO.len()).unwrap(), MASKED_HELLO);
        peer.send(HELLO);
        ended.send(peer.read_to_end().unwrap()).unwrap();
    });
    let key = Key::ed25519("k");
    let config = Config::protecting(&upstream, &[&key]).set("kernel.splice", "on");
    let gateway = Gateway::start(&config);
    let mut client = switched(&gateway, &Token::new().claim("jti", "t").sign(&key), "websocket");
    assert_eq!(client.read_exactly(HELLO.len()).unwrap(), HELLO);
    gateway.wait_for_metric("ringgate_spliced_flows_total", &[], |flows| flows == 2.0);
    client.send(MASKED_HELLO);
    // Once it is through, its bytes are in the kernel's account.
    assert_eq!(client.read_exactly(HELLO.len()).unwrap(), HELLO);
    revoke(&gateway, "t");
    assert_eq!(client.read_to_end().unwrap(), b"");
    assert_eq!(told(&end), b"");
    gateway.wait_for_line(&["\"reason\":\"stream.token_revoked\"", "\"received_bytes\":11"]);
}

#[test]
fn a_close_frame_comes_between_two_frames() {
    let (go_on, going_on) = channel::<()>();
    let going_on = std::sync::Mutex::new(going_on);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send([SWITCHING.as_bytes(), &HELLO[..4]].concat());
        told(&going_on.lock().unwrap());
        // The rest of the frame, and another one that is too late.
        peer.send([&HELLO[4..], HELLO].concat());
        peer.wait_for_end();
    });
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, None);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = switched(&gateway, &token, "websocket");
    assert_eq!(client.read_exactly(4).unwrap(), &HELLO[..4]);
    revoke(&gateway, "t");
    go_on.send(()).unwrap();
    let expected = [&HELLO[4..], &close_frame("token revoked")].concat();
    assert_eq!(client.read_to_end().unwrap(), expected);
    gateway.wait_for_line(&["\"reason\":\"stream.token_revoked\""]);
}

#[test]
fn a_frame_that_does_not_end_is_cut() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send([SWITCHING.as_bytes(), &HELLO[..4]].concat());
        peer.wait_for_end();
    });
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, None);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = switched(&gateway, &token, "websocket");
    assert_eq!(client.read_exactly(4).unwrap(), &HELLO[..4]);
    revoke(&gateway, "t");
    assert_eq!(client.read_to_end().unwrap(), b"", "no close frame inside another frame");
}

#[test]
fn a_side_that_has_said_goodbye_hears_no_second_one() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send([SWITCHING.as_bytes(), b"\x88\x02\x03\xe8"].concat());
        peer.wait_for_end();
    });
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, None);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = switched(&gateway, &token, "websocket");
    assert_eq!(client.read_exactly(4).unwrap(), b"\x88\x02\x03\xe8");
    revoke(&gateway, "t");
    assert_eq!(client.read_to_end().unwrap(), b"");
}

/// An upstream that switches and then sends back each byte.
fn echoing() -> Upstream {
    Upstream::scripted(|_, mut peer| {
        let request = peer.request();
        let protocol = request.field("Upgrade").expect("a protocol");
        peer.send(SWITCHING.replace("websocket", protocol));
        while let Ok(byte) = peer.read_exactly(1) {
            peer.send(byte);
        }
    })
}

#[track_caller]
fn expect_echo(client: &mut Client) {
    client.send(MASKED_HELLO);
    assert_eq!(client.read_exactly(MASKED_HELLO.len()).unwrap(), MASKED_HELLO);
}

#[test]
fn a_token_without_an_end_and_one_that_lasts_keep_their_tunnels() {
    let (upstream, key) = (echoing(), Key::ed25519("k"));
    let gateway = gateway(&upstream, &key, None);
    let endless = Token::new().claim("exp", json!(null)).claim("jti", "endless").sign(&key);
    let mut endless = switched(&gateway, &endless, "websocket");
    let mut lasting = switched(&gateway, &Token::new().sign(&key), "websocket");
    let short = Token::new().claim("exp", now() + 1).sign(&key);
    let mut short = switched(&gateway, &short, "websocket");
    assert_eq!(short.read_to_end().unwrap(), close_frame("token expired"));
    expect_echo(&mut endless);
    revoke(&gateway, "endless");
    assert_eq!(endless.read_to_end().unwrap(), close_frame("token revoked"));
    expect_echo(&mut lasting);
}

#[test]
fn a_tunnel_that_is_no_web_socket_is_closed() {
    let (upstream, key) = (echoing(), Key::ed25519("k"));
    let gateway = gateway(&upstream, &key, None);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = switched(&gateway, &token, "other");
    expect_echo(&mut client);
    revoke(&gateway, "t");
    assert_eq!(client.read_to_end().unwrap(), b"");
    gateway.wait_for_line(&["\"reason\":\"stream.token_revoked\""]);
}

#[test]
fn a_route_may_let_tunnels_outlive_their_token() {
    let (upstream, key) = (echoing(), Key::ed25519("k"));
    let gateway = gateway(&upstream, &key, Some("none"));
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = switched(&gateway, &token, "websocket");
    revoke(&gateway, "t");
    assert_eq!(gateway.client().get_as("/", &token).status(), 401);
    expect_echo(&mut client);
}

#[test]
fn a_reload_cuts_no_tunnel_and_a_key_that_is_taken_away_does() {
    let (upstream, key, next) = (echoing(), Key::ed25519("k"), Key::ed25519("next"));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("keys.json"), jwks(&[&key, &next]).to_string()).unwrap();
    let config = Config::protecting(&upstream, &[])
        .set("jwt.providers.tests.jwks", json!({ "file": "keys.json" }));
    let gateway = Gateway::start_in(directory, &config);
    let mut client = switched(&gateway, &Token::new().sign(&key), "websocket");
    let mut other = switched(&gateway, &Token::new().sign(&next), "websocket");
    gateway.reload(config.set("timeouts.idle", "74s"));
    gateway.wait_for_metric("ringgate_config_generation", &[], |n| n == 2.0);
    expect_echo(&mut client);
    fs::write(gateway.path("keys.next"), jwks(&[&next]).to_string()).unwrap();
    fs::rename(gateway.path("keys.next"), gateway.path("keys.json")).unwrap();
    assert_eq!(client.read_to_end().unwrap(), close_frame("token revoked"));
    expect_echo(&mut other);
}

/// An upstream whose response is on its way until the test lets it end.
fn streaming(head: &'static str, end: &'static str) -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (let_end, may_end) = channel::<()>();
    let may_end = std::sync::Mutex::new(may_end);
    let upstream = Upstream::scripted(move |_, mut peer| {
        peer.request();
        peer.send(head);
        if may_end.lock().unwrap().recv().is_ok() {
            peer.send(end);
        }
    });
    (upstream, let_end)
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

#[test]
fn a_response_on_its_way_is_cut_where_the_route_says_so() {
    for head in [CHUNKED, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"] {
        let (upstream, _let_end) = streaming(head, "");
        let key = Key::ed25519("k");
        let gateway = gateway(&upstream, &key, Some("all"));
        let token = Token::new().claim("jti", "t").sign(&key);
        let mut client = gateway.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
        assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
        assert_eq!(client.read_exactly(10).unwrap(), b"5\r\nhello\r\n");
        revoke(&gateway, "t");
        assert_eq!(client.read_to_end().unwrap(), b"", "no last chunk");
        gateway.wait_for_line(&["\"reason\":\"stream.token_revoked\"", "\"status\":200"]);
    }
}

#[test]
fn a_response_to_an_upload_is_cut_too() {
    let (upstream, _let_end) = streaming(CHUNKED, "");
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, Some("all"));
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = gateway.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    ));
    // The upstream reads requests whole.
    client.send("0\r\n\r\n");
    assert_eq!(read_response_head(&mut client, "POST").unwrap().status(), 200);
    assert_eq!(client.read_exactly(10).unwrap(), b"5\r\nhello\r\n");
    revoke(&gateway, "t");
    assert_eq!(client.read_to_end().unwrap(), b"");
}

#[test]
fn a_response_on_its_way_outlives_its_token_by_default() {
    let (upstream, let_end) = streaming(CHUNKED, "1\r\n!\r\n0\r\n\r\n");
    let key = Key::ed25519("k");
    let gateway = gateway(&upstream, &key, None);
    let token = Token::new().claim("jti", "t").sign(&key);
    let mut client = gateway.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
    let head = read_response_head(&mut client, "GET").unwrap();
    assert_eq!(head.status(), 200);
    revoke(&gateway, "t");
    let_end.send(()).unwrap();
    assert_eq!(client.read_exactly(21).unwrap(), b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
}
