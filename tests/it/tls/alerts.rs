//! Alerts of clients whose handshake is over, each sealed by hand: no library sends them all.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use rustls::version::TLS13;
use serde_json::json;

use super::{NAME, Scene};
use crate::harness::{Baseline, Config};

/// A connection whose client seals records itself.
struct Sealing {
    stream: TcpStream,
    key: LessSafeKey,
    iv: [u8; 12],
    next: u64,
}

impl Sealing {
    fn connect(scene: &Scene, address: SocketAddr) -> Self {
        let client = scene.authority.client_of(&TLS13).forgetful();
        let client = client.with(|config| config.enable_secret_extraction = true);
        let stream = client.try_connect(address, NAME).unwrap();
        let rustls::StreamOwned { conn, sock } = stream;
        let (next, secrets) = conn.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
            panic!("another suite than the server's first");
        };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Self { stream: sock, key, iv: iv.as_ref().try_into().unwrap(), next }
    }

    /// Sends a record (RFC 8446 section 5.2).
    fn send(&mut self, kind: u8, content: &[u8]) {
        let mut inner = [content, &[kind]].concat();
        let length = u16::try_from(inner.len() + AES_128_GCM.tag_len()).unwrap().to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let mut nonce = self.iv;
        for (byte, count) in nonce[4..].iter_mut().zip(self.next.to_be_bytes()) {
            *byte ^= count;
        }
        self.next += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner).unwrap();
        // The gateway may have closed already.
        let _ = self.stream.write_all(&[&header[..], &inner].concat());
    }

    /// What still comes until the end.
    fn rest(&mut self) -> usize {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest.len()
    }
}

#[test]
fn every_alert_behind_the_handshake_ends_the_connection() {
    let scene = Scene::start(Config::new().respond(json!({}), "hello"));
    let address = scene.gateway.address();
    let baseline = Baseline::take(&scene.gateway);
    for level in [1, 2] {
        for alert in 0..=255 {
            let mut client = Sealing::connect(&scene, address);
            client.send(21, &[level, alert]);
            // To say that one is cancelled (90) is no end by itself: what follows is (section 6.1).
            if alert == 90 {
                client.send(21, &[1, 0]);
            }
            client.rest();
        }
    }
    baseline.expect_settled(&scene.gateway);
    assert_eq!(scene.client().get("/").text(), "hello");
}

#[test]
fn records_that_no_client_sends_end_the_connection() {
    let scene = Scene::start(Config::new().respond(json!({}), "hello"));
    let address = scene.gateway.address();
    let baseline = Baseline::take(&scene.gateway);
    // An alert in pieces and one too long, a hello and a finished behind the handshake, a kind that
    // there is not, a heartbeat.
    let records: [(u8, &[u8]); 7] = [
        (21, &[]),
        (21, &[2]),
        (21, &[2, 40, 0]),
        (22, &[1, 0, 0, 0]),
        (22, &[20, 0, 0, 0]),
        (99, &[0]),
        (24, &[1, 0, 1, 0]),
    ];
    for (kind, content) in records {
        let mut client = Sealing::connect(&scene, address);
        client.send(kind, content);
        let told = client.rest();
        assert!(told > 0, "{kind} {content:?}: an alert says why");
    }
    baseline.expect_settled(&scene.gateway);
    assert_eq!(scene.client().get("/").text(), "hello");
}
