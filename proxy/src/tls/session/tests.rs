//! A session against the library's other interface, cut anywhere.

use std::io::{Read as _, Write as _};

use proptest::prelude::*;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};

use super::*;
use crate::tls::throw_away::configurations;

/// A session and the peer that it talks to.
struct Talk {
    session: Session,
    peer: ClientConnection,
    /// Received and not consumed by the session.
    incoming: Vec<u8>,
    /// What the session has been told so far.
    told: Vec<u8>,
    /// What the peer has been told and nobody has asked for.
    heard: Vec<u8>,
}

impl Talk {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let (server, client) = configurations(version);
        let mut talk = Self {
            session: Session::accept(server).unwrap(),
            peer: ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap(),
            incoming: Vec::new(),
            told: Vec::new(),
            heard: Vec::new(),
        };
        while talk.session.is_handshaking() || talk.peer.is_handshaking() {
            talk.take_in(7);
            talk.speak();
        }
        talk
    }

    /// Hands over what the peer says, in pieces of so many bytes.
    fn take_in(&mut self, piece: usize) {
        let mut said = Vec::new();
        while self.peer.wants_write() {
            self.peer.write_tls(&mut said).unwrap();
        }
        for piece in said.chunks(piece) {
            self.incoming.extend_from_slice(piece);
            self.open(usize::MAX);
        }
    }

    /// Opens into buffers of so many bytes until nothing more comes.
    fn open(&mut self, room: usize) {
        let mut plain = vec![0; room.min(20_000)];
        loop {
            let opened = self.session.open(&mut self.incoming, &mut plain).unwrap();
            self.incoming.drain(..opened.consumed);
            self.told.extend_from_slice(&plain[..opened.written]);
            if opened.written == 0 {
                return;
            }
        }
    }

    /// Lets the peer hear the session's own words.
    fn speak(&mut self) {
        let mut words = vec![0; 20_000];
        let length = self.session.take_control(&mut words);
        self.hear(&words[..length]);
    }

    fn hear(&mut self, mut records: &[u8]) {
        while !records.is_empty() {
            self.peer.read_tls(&mut records).unwrap();
            self.peer.process_new_packets().unwrap();
            // Until it would have to wait.
            let _ = self.peer.reader().read_to_end(&mut self.heard);
        }
    }

    /// Sends `bytes` to the peer in records that fit so much, and gives back what the peer makes of
    /// them.
    fn send(&mut self, mut bytes: &[u8], room: usize) -> Vec<u8> {
        let mut out = vec![0; room];
        while !bytes.is_empty() {
            let sealed = self.session.seal(&mut self.incoming, bytes, &mut out).unwrap();
            assert!(sealed.written > 0, "progress");
            bytes = &bytes[sealed.taken..];
            self.hear(&out[..sealed.written]);
        }
        std::mem::take(&mut self.heard)
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn a_handshake_tells_what_was_agreed_on() {
    for (version, number) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let talk = Talk::new(version);
        let agreement = talk.session.agreement().unwrap();
        assert_eq!(agreement.version, number);
        assert!(!agreement.is_resumed);
    }
}

#[test]
fn the_end_is_told_both_ways_and_what_follows_it_is_ignored() {
    let mut talk = Talk::new(&TLS13);
    talk.peer.writer().write_all(b"last").unwrap();
    talk.peer.send_close_notify();
    talk.take_in(3);
    assert_eq!(talk.told, b"last");
    assert!(talk.session.has_ended());
    assert_eq!(talk.send(b"still open this way", 200), b"still open this way");
    let mut out = [0; 200];
    let written = talk.session.close(&mut talk.incoming, &mut out).unwrap();
    talk.hear(&out[..written]);
    assert_eq!(talk.peer.reader().read(&mut [0; 1]).unwrap(), 0, "the end, by close_notify");
}

#[test]
fn rubbish_is_an_error_with_an_alert_and_stays_one() {
    let mut talk = Talk::new(&TLS13);
    let mut rubbish = b"\x17\x03\x03\x00\x20................................".to_vec();
    let error = talk.session.open(&mut rubbish, &mut [0; 100]).unwrap_err();
    assert_eq!(error, Error::DecryptError);
    assert!(talk.session.has_control(), "the alert");
    assert_eq!(talk.session.open(&mut [], &mut [0; 100]).unwrap_err(), Error::DecryptError);
}

#[test]
fn plaintext_that_came_before_a_failure_is_given_first() {
    let mut talk = Talk::new(&TLS13);
    talk.peer.writer().write_all(b"good").unwrap();
    let mut said = Vec::new();
    talk.peer.write_tls(&mut said).unwrap();
    said.extend_from_slice(b"\x17\x03\x03\x00\x20................................");
    let mut plain = [0; 100];
    let opened = talk.session.open(&mut said, &mut plain).unwrap();
    assert_eq!(&plain[..opened.written], b"good");
    let left = &mut said[opened.consumed..];
    assert_eq!(talk.session.open(left, &mut plain).unwrap_err(), Error::DecryptError);
}

#[test]
fn an_answer_to_a_key_update_goes_in_front_of_the_next_record() {
    let mut talk = Talk::new(&TLS13);
    talk.peer.refresh_traffic_keys().unwrap();
    talk.peer.writer().write_all(b"by the new keys").unwrap();
    talk.take_in(5);
    assert_eq!(talk.told, b"by the new keys");
    assert_eq!(talk.send(b"answer", 300), b"answer");
    assert_eq!(talk.send(b"another", 300), b"another");
}

#[test]
fn sealing_while_plaintext_waits_loses_none() {
    let mut talk = Talk::new(&TLS13);
    talk.peer.writer().write_all(&bytes(1000)).unwrap();
    let mut said = Vec::new();
    talk.peer.write_tls(&mut said).unwrap();
    talk.incoming = said;
    // As somebody does who only waits for it.
    let opened = talk.session.open(&mut talk.incoming, &mut []).unwrap();
    talk.incoming.drain(..opened.consumed);
    assert!(talk.session.has_plain());
    assert_eq!(talk.send(b"meanwhile", 300), b"meanwhile");
    talk.open(100);
    assert_eq!(talk.told, bytes(1000));
}

#[test]
fn a_record_of_tls_1_2_fits_its_room() {
    for room in [200, 5_000, RECORD_BYTES_MAX, 60_000] {
        let mut talk = Talk::new(&TLS12);
        assert_eq!(talk.send(&bytes(100_000), room), bytes(100_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_pass_whole_however_they_are_cut(
        is_new in any::<bool>(),
        sizes in prop::collection::vec(1_usize..40_000, 1..4),
        piece in 1_usize..30_000,
        room in 1_usize..20_000,
        out in 150_usize..40_000,
    ) {
        let mut talk = Talk::new(if is_new { &TLS13 } else { &TLS12 });
        let mut said = Vec::new();
        for size in sizes {
            let sent = bytes(size);
            talk.peer.writer().write_all(&sent).unwrap();
            let mut records = Vec::new();
            while talk.peer.wants_write() {
                talk.peer.write_tls(&mut records).unwrap();
            }
            said.extend_from_slice(&sent);
            for piece in records.chunks(piece) {
                talk.incoming.extend_from_slice(piece);
                talk.open(room);
            }
            let answer = talk.send(&sent, out);
            prop_assert_eq!(&answer, &sent);
        }
        prop_assert_eq!(&talk.told, &said);
        prop_assert!(talk.incoming.is_empty());
    }
}
