//! Clients that misbehave in one named way each.

use crate::harness::deadline::pace;
use crate::harness::message::{WireError, read_response_head};
use crate::harness::{Baseline, Client, Key, Token, wait_until};

use super::Counted::{self, Any, Nothing, Only};
use super::check;
use super::scene::{BIG, Scene, is_cut};

struct Fault {
    name: &'static str,
    counted: Counted,
    /// Misbehaves, probing while it is at it, and is done when it returns.
    run: fn(&Scene),
}

const fn row(name: &'static str, counted: Counted, run: fn(&Scene)) -> Fault {
    Fault { name, counted, run }
}

#[test]
fn clients_that_misbehave_leak_nothing_and_disturb_nobody() {
    let scene = Scene::start();
    let before = Baseline::take(&scene.gateway);
    let tables = [HEADS, BODIES, RESPONSES, SWITCHES, REFUSED];
    for fault in tables.into_iter().flatten() {
        check(&scene, before, fault.name, &fault.counted, || (fault.run)(&scene));
    }
}

const UPLOAD: &str = "POST /?echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome";
const CHUNKED: &str = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const SWITCH: &str = "Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Seen first is its leaving, or that an answer cannot be sent.
const LEFT_OR_LOST: Counted = Any(&["client.left", "client.lost"]);

/// Before and in the head of a request.
const HEADS: &[Fault] = &[
    row("says nothing", Nothing, |scene| {
        let mut client = scene.hasty();
        scene.probe();
        client.expect_end();
    }),
    row("resets before its first byte", Nothing, |scene| {
        let client = scene.gateway.client();
        scene.probe();
        client.reset();
    }),
    row("opens many connections and says nothing", Nothing, |scene| {
        let silent: Vec<Client> = (0..300).map(|_| scene.gateway.client()).collect();
        scene.probe();
        drop(silent);
    }),
    row("ends inside the head", Only("client.left"), |scene| {
        let client = scene.asking("GET /?echo HT");
        scene.probe();
        drop(client);
    }),
    row("resets inside the head", Only("client.left"), |scene| {
        let client = scene.asking("GET /?echo HTTP/1.1\r\nHost:");
        scene.probe();
        client.reset();
    }),
    row("drips its head", Only("timeout.request_head"), |scene| {
        let mut client = scene.hasty();
        client.send("GET / HTTP/1.1\r\nX: ");
        scene.probe();
        drip(&mut client, 408);
    }),
    row("leaves a request and says nothing more", Nothing, |scene| {
        let mut client = scene.hasty();
        assert_eq!(client.get("/alive").status(), 200);
        scene.probe();
        client.expect_end();
    }),
    row("resets while its key is looked for", LEFT_OR_LOST, |scene| {
        let new = Key::p256("new");
        let held = scene.issuer.hold();
        let token = Token::new().sign(&new);
        let client = scene.asking(format!(
            "GET /guarded HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        scene.gateway.wait_for_metric("ringgate_requests_parked", &[], |parked| parked == 1.0);
        scene.probe();
        client.reset();
        drop(held);
    }),
];

/// In and behind the body of a request.
const BODIES: &[Fault] = &[
    row("ends inside the body", Only("client.left"), |scene| {
        let client = scene.asking(UPLOAD);
        scene.probe();
        drop(client);
    }),
    row("resets inside the body", Only("client.left"), |scene| {
        let client = scene.asking(UPLOAD);
        scene.probe();
        client.reset();
    }),
    row("ends inside a chunk", Only("client.left"), |scene| {
        let client = scene.asking(format!("POST /?echo HTTP/1.1\r\n{CHUNKED}9\r\nhalf"));
        scene.probe();
        drop(client);
    }),
    row("ends between chunks", Only("client.left"), |scene| {
        let client = scene.asking(format!("POST /?echo HTTP/1.1\r\n{CHUNKED}4\r\nhalf\r\n"));
        scene.probe();
        drop(client);
    }),
    row("resets inside the trailers", Only("client.left"), |scene| {
        let client = scene.asking(format!("POST /?echo HTTP/1.1\r\n{CHUNKED}0\r\nX: "));
        scene.probe();
        client.reset();
    }),
    row("stops inside the body", Only("timeout.request_body"), |scene| {
        let mut client = scene.asking(UPLOAD.replace("/?", "/impatient?"));
        scene.probe();
        assert_eq!(client.response().status(), 408);
    }),
    row("drips its body", Only("timeout.request_body_rate"), |scene| {
        let mut client =
            scene.asking("POST /rated?echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        scene.probe();
        drip(&mut client, 408);
    }),
    row("sends a body that nobody reads", Only("upstream.timeout"), |scene| {
        let mut client = scene.asking(format!(
            "POST /impatient?deaf HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG}\r\n\r\n"
        ));
        let sent = client.send_some(&vec![b'b'; BIG], std::time::Duration::from_millis(100));
        assert!(sent < BIG, "only as much as is read is taken");
        scene.probe_in_turn();
        assert_eq!(client.response().status(), 504);
        scene.let_go();
    }),
    row("aborts after 100 Continue", Only("client.left"), |scene| {
        let mut client =
            scene.asking(UPLOAD.replace("\r\n\r\nsome", "\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(client.response().status(), 100);
        scene.probe();
        client.reset();
    }),
    row("sends garbage behind its body", Only("request_line.method"), |scene| {
        let mut client = scene.asking(UPLOAD.replace("100", "4"));
        assert_eq!(client.response().text(), "some");
        scene.probe();
        client.send("\0\x01\x02\r\n\r\n");
        assert_eq!(client.response().status(), 400);
    }),
];

/// While an answer is waited for or on its way.
const RESPONSES: &[Fault] = &[
    row("resets while it waits", Only("client.lost"), |scene| {
        let client = scene.asking("GET /?never HTTP/1.1\r\nHost: a\r\n\r\n");
        scene.probe();
        client.reset();
    }),
    row("resets inside a response", Only("client.lost"), |scene| {
        let mut client = begun(scene, "/?big", "");
        client.read_exactly(10_000).unwrap();
        scene.probe();
        client.reset();
    }),
    row("ends inside a response", Only("client.lost"), |scene| {
        let mut client = begun(scene, "/?big", "");
        client.read_exactly(10_000).unwrap();
        scene.probe();
        drop(client);
    }),
    row("takes no response", Only("client.lost"), |scene| {
        let earlier = lost(scene);
        let client = begun(scene, "/impatient?big", "");
        scene.probe();
        wait_until("the response to be cut", || (lost(scene) > earlier).then_some(()));
        drop(client);
    }),
    row("takes no last response", Only("client.lost"), |scene| {
        let earlier = lost(scene);
        let client = begun(scene, "/impatient?big", "Connection: close\r\n");
        scene.probe();
        wait_until("the response to be cut", || (lost(scene) > earlier).then_some(()));
        drop(client);
    }),
    row("takes a response too slowly", Only("client.too_slow"), |scene| {
        let mut client = begun(scene, "/fast?big", "");
        scene.probe();
        while client.read_some().is_ok() {
            pace(std::time::Duration::from_millis(2));
        }
    }),
    row("pipelines and resets", LEFT_OR_LOST, |scene| {
        let client = scene.asking("GET /?echo HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000));
        scene.probe();
        client.reset();
    }),
    row("pipelines and never reads", LEFT_OR_LOST, |scene| {
        let mut client = scene.gateway.client();
        client.shrink_buffers();
        let requests = "GET /?big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20_000);
        let sent = client.send_some(requests.as_bytes(), std::time::Duration::from_millis(100));
        assert!(sent < requests.len(), "requests are read as answers are taken");
        scene.probe();
        client.reset();
    }),
    row("sends no more and waits", Nothing, |scene| {
        let mut client = scene.asking(UPLOAD.replace("100", "4"));
        client.finish_sending();
        scene.probe();
        assert_eq!(client.response().text(), "some");
        client.expect_end();
    }),
    row("goes on behind its last request", Nothing, |scene| {
        let mut client = scene.gateway.client();
        let behind = "GET /?echo HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4000);
        client.send(format!("GET /?echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{behind}"));
        scene.probe();
        assert_eq!(client.response().text(), "echo");
        assert!(client.try_response("GET").is_err_and(|error| is_cut(&error)));
    }),
];

/// On a connection that is to be, or is, a tunnel.
const SWITCHES: &[Fault] = &[
    row("resets before it is switched", Only("client.lost"), |scene| {
        let client = scene.asking(format!("GET /?never HTTP/1.1\r\n{SWITCH}"));
        scene.probe();
        client.reset();
    }),
    row("resets inside a frame", Nothing, |scene| {
        let mut client = switched(scene);
        client.send(b"\x82\xfe\x10\x00half a he");
        scene.probe();
        client.reset();
    }),
    row("ends inside a frame", Nothing, |scene| {
        let mut client = switched(scene);
        client.send(b"\x82\xfe\x10\x00\0\0\0\0half a frame");
        scene.probe();
        drop(client);
    }),
    row("closes its half of a tunnel", Nothing, |scene| {
        let mut client = switched(scene);
        client.send(b"\x82\x80\0\0\0\0");
        client.finish_sending();
        scene.probe();
        assert_eq!(client.read_to_end().unwrap(), b"\x82\x80\0\0\0\0");
    }),
    row("says nothing in a tunnel", Nothing, |scene| {
        let mut client = switched(scene);
        scene.probe();
        client.expect_end();
    }),
];

/// What is refused for what it says.
const REFUSED: &[Fault] = &[
    row("speaks TLS", Only("tls.not_spoken"), |scene| {
        let mut client = scene.asking(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
        scene.probe();
        // handshake_failure
        assert_eq!(client.read_to_end().unwrap(), b"\x15\x03\x01\0\x02\x02\x28");
    }),
    row("speaks HTTP/2", Only("version.http2_preface"), |scene| {
        refused(scene, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    }),
    row("sends a head without an end", Only("limit.head_bytes"), |scene| {
        refused(scene, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(100_000)), 431);
    }),
    row("sends too many fields", Only("limit.head_fields"), |scene| {
        refused(scene, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200)), 431);
    }),
    row("sends too long a target", Only("limit.target_bytes"), |scene| {
        refused(scene, format!("GET /{} HTTP/1.1\r\n", "x".repeat(10_000)), 414);
    }),
    row("announces too long a body", Only("limit.request_body"), |scene| {
        let length = "Host: a\r\nContent-Length: 100000000\r\n\r\n";
        let mut client = scene.asking(format!("POST /small HTTP/1.1\r\n{length}"));
        assert_eq!(client.response().status(), 413);
        scene.probe();
        send_on(&mut client);
    }),
    row("sends too long a body in chunks", Only("limit.request_body"), |scene| {
        refused(scene, format!("POST /small HTTP/1.1\r\n{CHUNKED}14\r\n01234567890123456789"), 413);
    }),
    row("sends chunks that are none", Only("chunked.size"), |scene| {
        refused(scene, format!("POST /?echo HTTP/1.1\r\n{CHUNKED}3\r\nabc\r\nzz\r\n"), 400);
    }),
    row("sends hardly any data in its chunks", Only("limit.chunk_overhead"), |scene| {
        let chunk = "000000001;nothing=much\r\nx\r\n".repeat(16);
        refused(scene, format!("POST /small HTTP/1.1\r\n{CHUNKED}{chunk}"), 400);
    }),
    row("sends trailers without an end", Only("limit.trailer_bytes"), |scene| {
        let trailer = "x".repeat(100_000);
        refused(scene, format!("POST /?echo HTTP/1.1\r\n{CHUNKED}0\r\nX: {trailer}"), 400);
    }),
    row("sends the body of a refused request all the same", Only("auth.missing"), |scene| {
        let connections = scene.upstream.connections();
        let mut client = scene.asking(
            "PUT /guarded HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\
             Expect: 100-continue\r\n\r\n",
        );
        client.send("b".repeat(1000));
        assert_eq!(client.response().status(), 401);
        assert_eq!(scene.upstream.connections(), connections, "none of it went anywhere");
        scene.probe();
        send_on(&mut client);
    }),
];

/// Sends one byte after the other until there is an answer.
#[track_caller]
fn drip(client: &mut Client, status: u16) {
    wait_until("an answer to what drips", || {
        let _ = client.try_send("b");
        pace(std::time::Duration::from_millis(5));
        (!client.is_silent()).then_some(())
    });
    assert_eq!(client.response().status(), status);
}

/// A client that has the head of a response, and small buffers for the rest.
#[track_caller]
fn begun(scene: &Scene, target: &str, fields: &str) -> Client {
    let mut client = scene.gateway.client();
    client.shrink_buffers();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 200);
    client
}

#[track_caller]
fn switched(scene: &Scene) -> Client {
    let mut client = scene.asking(format!("GET /?switch HTTP/1.1\r\n{SWITCH}"));
    assert_eq!(read_response_head(&mut client, "GET").unwrap().status(), 101);
    client
}

/// How many clients have not taken a response.
fn lost(scene: &Scene) -> f64 {
    scene.gateway.metrics().sum("ringgate_refusals_total", &["reason=\"client.lost\""])
}

#[track_caller]
fn refused(scene: &Scene, bytes: impl AsRef<[u8]>, status: u16) {
    let mut client = scene.asking(bytes);
    assert_eq!(client.response().status(), status);
    scene.probe();
    assert!(client.try_response("GET").is_err_and(|error| is_cut(&error)), "and no more");
}

/// Sends on behind a refusal, more than anybody reads: the gateway has had enough at some time.
#[track_caller]
fn send_on(client: &mut Client) {
    let piece = vec![b'b'; 64 * 1024];
    let cut = wait_until("the end of a client that sends on", || client.try_send(&piece).err());
    assert!(matches!(cut, WireError::Reset), "{cut:?}");
}
