//! Discovery against a server that answers by path.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::super::address_guard::Reach;
use super::*;

/// From the server's own URL to a status and a body.
type Answer = fn(&str) -> (u16, String);

/// Answers one connection for each of `answers`; gives back the paths that were asked for and whether the configured field came along.
fn server(answers: Vec<Answer>) -> (String, JoinHandle<Vec<(String, bool)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let own = url.clone();
    let serve = move || {
        let answer = |answer: Answer| {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut head).unwrap(), 0);
            }
            let (status, body) = answer(&own);
            let fields = "Content-Type: application/json\r\nETag: \"1\"\r\n";
            let length = body.len();
            let text =
                format!("HTTP/1.1 {status} -\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
            (&stream).write_all(text.as_bytes()).unwrap();
            (head.split(' ').nth(1).unwrap().to_owned(), head.contains("x-api-key"))
        };
        answers.into_iter().map(answer).collect()
    };
    (url, std::thread::spawn(serve))
}

fn transport() -> Transport {
    let reach = Reach { private: false, loopback: true };
    let mut transport = Transport { allow_http: true, reach, ..Transport::default() };
    transport.headers.insert("x-api-key", "secret".parse().unwrap());
    transport
}

fn metadata(own: &str) -> (u16, String) {
    (200, format!(r#"{{"issuer":"{own}/tenant","jwks_uri":"{own}/keys","x":[1]}}"#))
}

#[test]
fn the_metadata_leads_to_the_keys() {
    let (own, asked) =
        server(vec![metadata, |_| (200, "{}".into()), metadata, |_| (304, String::new())]);
    let issuer = format!("{own}/tenant");
    let first = from_issuer(&transport(), &issuer, &Validators::default()).unwrap();
    let Fetched::Text { body, validators, .. } = first else { panic!("no text") };
    assert_eq!(body, b"{}");
    let second = from_issuer(&transport(), &issuer, &validators).unwrap();
    assert!(matches!(second, Fetched::NotModified { .. }));
    let document = ("/tenant/.well-known/openid-configuration".to_owned(), true);
    let keys = ("/keys".to_owned(), true);
    assert_eq!(asked.join().unwrap(), [document.clone(), keys.clone(), document, keys]);
}

#[test]
fn rfc_8414_is_asked_where_openid_has_nothing() {
    let (own, asked) = server(vec![|_| (404, String::new()), metadata, |_| (200, "{}".into())]);
    from_issuer(&transport(), &format!("{own}/tenant"), &Validators::default()).unwrap();
    let asked: Vec<String> = asked.join().unwrap().into_iter().map(|(path, _)| path).collect();
    let second = "/.well-known/oauth-authorization-server/tenant";
    assert_eq!(asked[1..], [second.to_owned(), "/keys".to_owned()]);
}

#[test]
fn the_validators_of_another_key_set_are_not_sent() {
    let known = Validators::for_test("\"1\"").for_url("https://old.example/keys");
    assert_eq!(known.of("https://new.example/keys"), Validators::default());
    assert_eq!(known.of("https://old.example/keys"), known);
}

#[test]
fn metadata_that_must_not_be_used_is_refused() {
    let judge = |text: &str| jwks_uri(text.as_bytes(), "https://a.example", false);
    let good = r#"{"issuer":"https://a.example","jwks_uri":"https://b.example/k"}"#;
    assert_eq!(judge(good).as_deref(), Ok("https://b.example/k"));
    assert_eq!(judge(&good.replace("a.example", "a.example/")), Err(MetadataError::OtherIssuer));
    assert_eq!(judge(&good.replace("https://b", "http://b")), Err(MetadataError::JwksUri));
    assert_eq!(judge(&good.replace("//b.", "//u@b.")), Err(MetadataError::JwksUri));
    assert_eq!(judge(&good.replace("https://b.example/k", "/k")), Err(MetadataError::JwksUri));
    let twice = good.replace("{", r#"{"issuer":"https://a.example","#);
    for text in ["", "[]", r#"{"issuer":"https://a.example"}"#, &twice] {
        assert_eq!(judge(text), Err(MetadataError::Misshapen), "{text}");
    }
    assert!(same_authority("https://a.example/x", "https://a.example/y"));
    assert!(!same_authority("https://a.example/x", "https://a.example:444/x"));
}
