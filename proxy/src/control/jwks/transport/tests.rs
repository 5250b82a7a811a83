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
    let provider = Arc::new(default_provider());
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
    witness(wants_client, answers, |_, head| head.lines().next().unwrap().to_owned())
}

/// As [`server`]; gives back what `tell` makes of the name asked for in the handshake and the head.
fn witness(
    wants_client: bool,
    answers: Vec<String>,
    tell: fn(&str, &str) -> String,
) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(server_config(wants_client));
    let lines = std::thread::spawn(move || {
        let answer = |answer: String| {
            let (stream, _) = listener.accept().unwrap();
            let server = ServerConnection::new(config.clone()).unwrap();
            let mut tls = StreamOwned::new(server, stream);
            let head = answer_one(&mut tls, &answer);
            head.map(|head| tell(tls.conn.server_name().unwrap_or("-"), &head)).unwrap_or_default()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, lines)
}

/// Gives back the head of the request.
fn answer_one(stream: impl Read + Write, answer: &str) -> std::io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    reader.get_mut().write_all(answer.as_bytes())?;
    reader.get_mut().flush()?;
    Ok(head)
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

#[test]
fn sni_override_asks_for_the_configured_name_and_wants_its_certificate() {
    let (port, lines) = server(false, vec![GOOD.into(), GOOD.into(), GOOD.into()]);
    // The certificate is for localhost, issuer.test and 127.0.0.1.
    let url = format!("https://[::ffff:127.0.0.1]:{port}/jwks");
    let named = |name: &str| Transport { server_name: Some(name.parse().unwrap()), ..trusting() };
    let good = fetch(&named("issuer.test"), &url);
    assert!(matches!(good, Ok(Fetched::Text { .. })), "{good:?}");
    let other = fetch(&named("other.test"), &url);
    assert!(matches!(other, Err(FetchError::Tls(_) | FetchError::Io(_))), "{other:?}");
    let host_counts_no_more = fetch(&named("other.test"), &format!("https://localhost:{port}/"));
    assert!(host_counts_no_more.is_err());
    assert_eq!(lines.join().unwrap(), ["GET /jwks HTTP/1.1", "", ""]);
}

#[test]
fn a_redirect_to_a_listed_host_is_followed_without_what_is_meant_for_the_first() {
    fn tell(name: &str, head: &str) -> String {
        let line = head.lines().next().unwrap();
        let key = if head.contains("x-api-key: secret") { "with the key" } else { "without" };
        format!("{line} to {name} {key}")
    }
    let (other_port, other_seen) = witness(false, vec![GOOD.into()], tell);
    let location = format!("https://localhost:{other_port}/keys");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let (port, seen) = witness(false, vec![redirect.clone(), redirect], tell);
    let url = format!("https://127.0.0.1:{port}/one");
    let mut transport = Transport {
        redirects_max: 1,
        redirect_hosts: vec![format!("LOCALHOST:{other_port}").parse().unwrap()],
        server_name: Some("issuer.test".parse().unwrap()),
        ..trusting()
    };
    transport.headers.insert("x-api-key", "secret".parse().unwrap());
    let outcome = fetch(&transport, &url);
    assert!(matches!(outcome, Ok(Fetched::Text { .. })), "{outcome:?}");
    let another_port = vec!["localhost:1".parse().unwrap(), "localhost".parse().unwrap()];
    let outcome = fetch(&Transport { redirect_hosts: another_port, ..transport }, &url);
    assert!(matches!(outcome, Err(FetchError::Redirected { .. })), "{outcome:?}");
    let first = "GET /one HTTP/1.1 to issuer.test with the key";
    assert_eq!(seen.join().unwrap(), [first, first]);
    assert_eq!(other_seen.join().unwrap(), ["GET /keys HTTP/1.1 to localhost without"]);
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
        asked.lines().next().unwrap().to_owned()
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
