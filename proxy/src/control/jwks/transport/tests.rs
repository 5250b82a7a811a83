//! Fetches over TLS, with a client certificate, through a proxy, after redirects.
//!
//! The certificates in tests/fixtures/tls were made with openssl for a hundred years; the key of
//! their CA was thrown away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::control::jwks::fetch::{FetchError, Fetched, Validators, from_url};

const CA: &[u8] = include_bytes!("../../../../../tests/fixtures/tls/ca.pem");
const SERVER: &[u8] = include_bytes!("../../../../../tests/fixtures/tls/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("../../../../../tests/fixtures/tls/server.key");
const CLIENT: &[u8] = include_bytes!("../../../../../tests/fixtures/tls/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../../../../tests/fixtures/tls/client.key");

const GOOD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn server_config(wants_client: bool) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(SERVER).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap();
    if !wants_client {
        return builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    builder.with_client_cert_verifier(verifier.unwrap()).with_single_cert(chain, key).unwrap()
}

/// Answers one TLS connection for each of `answers`; gives back the request lines, and an empty
/// one where the handshake failed.
fn server(wants_client: bool, answers: Vec<String>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server_config(wants_client));
    let lines = std::thread::spawn(move || {
        let answer = |answer: String| {
            let (stream, _) = listener.accept().unwrap();
            let tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            answer_one(tls, &answer).unwrap_or_default()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, lines)
}

fn answer_one(stream: impl Read + Write, answer: &str) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    reader.get_mut().write_all(answer.as_bytes())?;
    reader.get_mut().flush()?;
    Ok(first.trim_end().to_owned())
}

fn trusting() -> Transport {
    let reach = Reach { private: false, loopback: true };
    Transport { reach, roots: Some(Roots::from_pem(CA).unwrap()), ..Transport::default() }
}

fn fetch(transport: &Transport, url: &str) -> Result<Fetched, FetchError> {
    from_url(transport, url, &Validators::default())
}

#[test]
fn a_server_of_the_configured_root_is_trusted_and_others_are_not() {
    let (port, lines) = server(false, vec![GOOD.into(), GOOD.into()]);
    let url = format!("https://localhost:{port}/jwks");
    assert!(matches!(fetch(&trusting(), &url), Ok(Fetched::Text { .. })));
    let of_system = Transport { roots: None, ..trusting() };
    let outcome = fetch(&of_system, &url);
    assert!(matches!(outcome, Err(FetchError::Tls(_) | FetchError::Io(_))), "{outcome:?}");
    assert_eq!(lines.join().unwrap(), ["GET /jwks HTTP/1.1", ""]);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (port, lines) = server(false, vec![GOOD.into()]);
    let outcome = fetch(&trusting(), &format!("https://[::ffff:127.0.0.1]:{port}/jwks"));
    assert!(matches!(outcome, Err(FetchError::Tls(_) | FetchError::Io(_))), "{outcome:?}");
    assert_eq!(lines.join().unwrap(), [""]);
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (port, lines) = server(true, vec![GOOD.into(), GOOD.into()]);
    let url = format!("https://127.0.0.1:{port}/jwks");
    let identity = Some(Identity::from_pem(CLIENT, CLIENT_KEY).unwrap());
    assert!(matches!(fetch(&Transport { identity, ..trusting() }, &url), Ok(Fetched::Text { .. })));
    assert!(fetch(&trusting(), &url).is_err());
    assert_eq!(lines.join().unwrap(), ["GET /jwks HTTP/1.1", ""]);
}

#[test]
fn redirects_are_followed_as_often_as_allowed_and_to_the_same_host_only() {
    let to = |location: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    };
    let (port, lines) = server(false, vec![to("/two"), GOOD.into(), to("/b"), to("/c")]);
    let url = format!("https://localhost:{port}/one");
    let once = Transport { redirects_max: 1, ..trusting() };
    assert!(matches!(fetch(&once, &url), Ok(Fetched::Text { .. })));
    let outcome = fetch(&once, &url);
    assert!(
        matches!(outcome, Err(FetchError::Redirected { status: 302, allowed: 1 })),
        "{outcome:?}"
    );
    let requests = ["/one", "/two", "/one", "/b"].map(|path| format!("GET {path} HTTP/1.1"));
    assert_eq!(lines.join().unwrap(), requests);
    let elsewhere = ["https://other.example/jwks", "//other.example/jwks", "http://localhost/"];
    for location in elsewhere {
        let (port, lines) = server(false, vec![to(location)]);
        let outcome = fetch(&once, &format!("https://localhost:{port}/one"));
        assert!(matches!(outcome, Err(FetchError::Redirected { .. })), "{location}: {outcome:?}");
        lines.join().unwrap();
    }
}

/// Takes one CONNECT, then relays to `port`; gives back what was asked.
fn proxy_to(port: u16) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let answer = "HTTP/1.1 200 Connected\r\n\r\n";
        let asked = answer_one(&client, answer).unwrap();
        let target = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), target.try_clone().unwrap());
        let up = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
        let _ = std::io::copy(&mut &target, &mut &client);
        let _ = client.shutdown(std::net::Shutdown::Both);
        up.join().unwrap();
        asked
    });
    (url, asked)
}

#[test]
fn a_proxy_connects_to_a_name_that_only_it_can_resolve() {
    let (port, lines) = server(false, vec![GOOD.into()]);
    let (proxy, asked) = proxy_to(port);
    let transport = Transport { proxy: Some(Proxy::new(&proxy).unwrap()), ..trusting() };
    let outcome = fetch(&transport, "https://issuer.test/jwks");
    assert!(matches!(outcome, Ok(Fetched::Text { .. })), "{outcome:?}");
    assert_eq!(asked.join().unwrap(), "CONNECT issuer.test:443 HTTP/1.1");
    assert_eq!(lines.join().unwrap(), ["GET /jwks HTTP/1.1"]);
}

#[test]
fn a_proxy_is_not_asked_for_an_address_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let transport = Transport { proxy: Some(Proxy::new(&proxy).unwrap()), ..trusting() };
    let outcome = fetch(&transport, "https://169.254.169.254/latest");
    assert!(matches!(outcome, Err(FetchError::OutOfReach(_))), "{outcome:?}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn pem_files_are_judged_when_they_are_read() {
    assert_eq!(Roots::from_pem(b"nothing").unwrap_err(), PemError::NoCertificate);
    assert_eq!(Roots::from_pem(CLIENT_KEY).unwrap_err(), PemError::NoCertificate);
    assert_eq!(Identity::from_pem(CLIENT_KEY, CLIENT).unwrap_err(), PemError::NoCertificate);
    assert_eq!(Identity::from_pem(CLIENT, CLIENT).unwrap_err(), PemError::NoKey);
    assert_eq!(Identity::from_pem(CLIENT, SERVER_KEY).unwrap_err(), PemError::Mismatch);
    assert_eq!(format!("{:?}", Identity::from_pem(CLIENT, CLIENT_KEY).unwrap()), "Identity { .. }");
}
