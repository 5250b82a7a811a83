//! Other people's programs on either side: curl, Python, a WebSocket client, nginx.
//!
//! A program that is not installed makes its test say `SKIPPED` and do nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::harness::message::Message;
use crate::harness::third_party::{mirror, printed, script};
use crate::harness::{Client, Config, Gateway, Key, Peer, Token, Upstream, tool, wait_until};

#[test]
fn curl() {
    let Some(curl) = tool::find("curl", "curl") else { return };
    let upstream = mirror();
    let key = Key::rsa("k");
    let gateway = Gateway::start(&Config::protecting(&upstream, &[&key]));
    let url = format!("http://{}/a?b=c", gateway.address());
    let token = format!("Authorization: Bearer {}", Token::new().sign(&key));
    let run = |arguments: &[&str]| {
        printed(Command::new(&curl).args(["-sS", "--max-time", "20", "-H", &token]).args(arguments))
    };
    assert_eq!(run(&[&url]), "GET /a?b=c ");
    assert_eq!(run(&["-d", "posted", &url]), "POST /a?b=c posted");
    assert_eq!(run(&["-0", &url]), "GET /a?b=c ", "HTTP/1.0");
    assert_eq!(run(&["-H", "Transfer-Encoding: chunked", "-T", "/dev/null", &url]), "PUT /a?b=c ");
    assert!(run(&["-I", &url]).starts_with("HTTP/1.1 200"), "HEAD");
    // A body this long makes curl wait for 100 Continue first.
    let directory = tempfile::tempdir().unwrap();
    let big = directory.path().join("big");
    fs::write(&big, "b".repeat(2 * 1024 * 1024)).unwrap();
    let sent = run(&["--data-binary", &format!("@{}", big.display()), &url]);
    assert_eq!(sent.len(), "POST /a?b=c ".len() + 2 * 1024 * 1024);
    // Two requests on one connection.
    let twice = run(&["-w", "%{num_connects} ", &url, &url]);
    assert_eq!(twice, "GET /a?b=c 1 GET /a?b=c 0 ");
    let status = printed(
        Command::new(&curl).args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]).arg(&url),
    );
    assert_eq!(status, "401");
}

#[test]
fn python_http_client() {
    let Some(python) = tool::find("python_http_client", "python3") else { return };
    let upstream = mirror();
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let address = gateway.address().to_string();
    let text = printed(Command::new(python).arg(script("http_client.py")).arg(address));
    assert_eq!(text, "ok\n");
}

#[test]
fn python_websocket_client() {
    let test = "python_websocket_client";
    let Some(python) = tool::find(test, "python3") else { return };
    if !tool::python_has(test, &python, "websocket") {
        return;
    }
    let upstream = Upstream::scripted(|_, peer| echo_frames(peer));
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let address = gateway.address().to_string();
    let text = printed(Command::new(python).arg(script("websocket_client.py")).arg(address));
    assert_eq!(text, "ok\n");
}

/// A WebSocket server that sends back each frame unmasked (RFC 6455), just enough for one client.
fn echo_frames(mut peer: Peer) {
    let request = peer.request();
    let key = request.field("Sec-WebSocket-Key").expect("a key").to_owned();
    let hash = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    );
    let accept = base64::engine::general_purpose::STANDARD.encode(hash);
    peer.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ));
    while let Ok(head) = peer.read_exactly(2) {
        let (opcode, short) = (head[0] & 15, usize::from(head[1] & 127));
        let number = |bytes: Vec<u8>| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let (extra, length) = match short {
            126 => peer.read_exactly(2).map(|b| (b.clone(), number(b))).unwrap(),
            127 => peer.read_exactly(8).map(|b| (b.clone(), number(b))).unwrap(),
            short => (Vec::new(), short),
        };
        let mask = peer.read_exactly(4).unwrap();
        let mut payload = peer.read_exactly(length).unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        // A ping is answered by a pong; everything else by itself.
        let opcode = if opcode == 9 { 10 } else { opcode };
        let head = [0x80 | opcode, head[1] & 127];
        if peer.try_send([&head[..], &extra, &payload].concat()).is_err() || opcode == 8 {
            return;
        }
    }
}

/// A running nginx; dropping it stops it.
struct Nginx {
    child: Child,
    _directory: tempfile::TempDir,
    socket: PathBuf,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it with these locations, on a Unix socket and on a port.
    fn start(nginx: &Path, locations: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // nginx may drop its privileges to a user who must be able to walk in.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), open).unwrap();
        let at = directory.path().display();
        // nginx cannot be given port 0: a free one is found, and given up just before.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_max_body_size 100m;\n\
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             server {{ listen unix:{at}/sock; listen {address};\n{locations}\n}} }}"
        );
        fs::write(directory.path().join("nginx.conf"), config).unwrap();
        fs::write(directory.path().join("big"), "n".repeat(3_000_000)).unwrap();
        let child = Command::new(nginx)
            .args(["-p".as_ref(), directory.path(), "-c".as_ref(), "nginx.conf".as_ref()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = directory.path().join("sock");
        wait_until("nginx to listen", || std::net::TcpStream::connect(address).ok());
        Self { child, _directory: directory, socket, address }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nginx_as_the_upstream() {
    let Some(nginx) = tool::find("nginx_as_the_upstream", "nginx") else { return };
    let locations = "location = /hello { return 200 \"hello from nginx\"; }\n\
                     location / { root .; }";
    let nginx = Nginx::start(&nginx, locations);
    let unix = format!("unix:{}", nginx.socket.display());
    for endpoint in [unix, nginx.address.to_string()] {
        let gateway = Gateway::start(
            &Config::new()
                .endpoints("main", &[&endpoint])
                .route(serde_json::json!({ "match": {}, "upstream": "main" })),
        );
        let mut client = gateway.client();
        for _ in 0..3 {
            assert_eq!(client.get("/hello").text(), "hello from nginx");
        }
        let big: Message = client.get("/big");
        assert!(big.body == "n".repeat(3_000_000).as_bytes());
        client.send("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_to("HEAD").field("Content-Length"), Some("3000000"));
        let part = client.get_with("/big", "Range: bytes=10-19\r\n");
        assert_eq!((part.status(), part.body.len()), (206, 10));
        let tag = client.get("/big").field("ETag").unwrap().to_owned();
        let unchanged = client.get_with("/big", &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((unchanged.status(), unchanged.body.len()), (304, 0));
        assert_eq!(client.get("/absent").status(), 404);
    }
}

#[test]
fn nginx_in_front() {
    let Some(nginx) = tool::find("nginx_in_front", "nginx") else { return };
    let upstream = mirror();
    let gateway = Gateway::start(&Config::forwarding_to(&upstream));
    let locations = format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host; proxy_request_buffering off; }}\n\
         location /old/ {{ proxy_pass http://{}/; }}",
        gateway.address(),
        gateway.address()
    );
    let nginx = Nginx::start(&nginx, &locations);
    let mut client = Client::connect(nginx.address);
    for _ in 0..3 {
        assert_eq!(client.get("/a").text(), "GET /a ");
    }
    // nginx speaks HTTP/1.0 here.
    assert_eq!(client.get("/old/b").text(), "GET /b ");
    let body = "p".repeat(500_000);
    client.send(format!("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert_eq!(client.response().text(), format!("POST /c {body}"));
    client.send("POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "POST /d abc");
}
