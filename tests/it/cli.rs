//! The command line: exit codes, messages, and what each subcommand does with its input.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::gateway::BINARY;
use crate::harness::token::{AUDIENCE, ISSUER, jwks, now};
use crate::harness::{Config, Key, Token};

fn ringgate(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn expect_code(output: &Output, code: i32) -> String {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A file in a directory of its own.
fn file(content: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.json");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn bad_usage_is_64() {
    for arguments in [
        &["nonsense"][..],
        &["run"],
        &["check"],
        &["run", "a.json", "b.json"],
        &["check", "--no-such-flag", "a.json"],
        &[],
    ] {
        let text = expect_code(&ringgate(arguments), 64);
        assert!(text.contains("Usage"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_value_that_is_not_understood_is_64_and_is_named() {
    for (arguments, value) in [
        (&["run", "a.json", "--log", "verbose"][..], "verbose"),
        (&["run", "a.json", "--log", "ringgate=loud"], "loud"),
        (&["token", "keygen", "--alg", "HS256"], "HS256"),
        (&["token", "sign", "--key", "k", "--claims", "[1]"], "[1]"),
        (&["verify", "--jwks", "k", "--leeway", "6m", "t"], "6m"),
    ] {
        let text = expect_code(&ringgate(arguments), 64);
        assert!(text.contains(value), "{arguments:?}: {text}");
    }
    expect_code(&ringgate(&["verify", "--jwks", "/nonexistent/k", "t"]), 64);
}

#[test]
fn help_and_version_are_0() {
    let help = expect_code(&ringgate(&["--help"]), 0);
    for subcommand in ["run", "check", "demo", "schema", "verify", "token", "probe"] {
        assert!(help.contains(subcommand), "{subcommand}: {help}");
    }
    assert!(expect_code(&ringgate(&["--version"]), 0).starts_with("ringgate "));
}

#[test]
fn a_good_file_checks() {
    let (_directory, path) = file(&Config::new().respond(json!({}), "x").to_string());
    expect_code(&ringgate(&["check", &path]), 0);
}

#[test]
fn check_counts_the_listeners_that_ask_for_no_token() {
    let config = Config::new()
        .endpoints("main", &["127.0.0.1:9"])
        .set("listeners.0.tcp", json!({ "upstream": "main" }));
    let (_directory, path) = file(&config.to_string());
    let text = expect_code(&ringgate(&["check", &path]), 0);
    assert!(
        text.contains("good; routes: 0, tcp listeners: 1, providers: 0, warnings: 0"),
        "{text}"
    );
}

#[test]
fn every_example_checks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            expect_code(&ringgate(&["check", path.to_str().unwrap()]), 0);
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} examples");
}

#[test]
fn check_tells_all_problems_at_once_where_they_are() {
    let (_directory, path) = file(
        r#"{
  "listeners": [{ "name": "public", "adress": "127.0.0.1:0" }],
  "upstreams": {},
  "routes": [
    { "match": {}, "upstream": "nowhere" }
  ],
  "workers": "many"
}"#,
    );
    let text = expect_code(&ringgate(&["check", &path]), 2);
    let problem = |start: &str, part: &str| {
        let found = text.lines().any(|line| line.contains(start) && line.contains(part));
        assert!(found, "no line with {start:?} and {part:?} in:\n{text}");
    };
    problem("gateway.json:2:37: listeners[0].adress: ", "address");
    problem("gateway.json:5:20: routes[0].upstream: ", "nowhere");
    problem("gateway.json:7:3: workers: ", "auto");
}

#[test]
fn run_with_a_bad_file_is_2_and_without_one_too() {
    let (_directory, path) = file("{ \"listeners\": [ }");
    let text = expect_code(&ringgate(&["run", &path]), 2);
    assert!(text.contains("gateway.json:1:"), "{text}");
    let text = expect_code(&ringgate(&["run", "/nonexistent/gateway.json"]), 2);
    assert!(text.contains("/nonexistent/gateway.json"), "{text}");
}

#[test]
fn an_address_in_use_is_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = Config::new().respond(json!({}), "x");
    for key in ["listeners.0.address", "admin.address"] {
        let (_directory, path) = file(&config.clone().set(key, address.as_str()).to_string());
        let text = expect_code(&ringgate(&["run", &path]), 1);
        assert!(text.contains(&address), "{key}: {text}");
    }
}

#[test]
fn schema_is_a_schema() {
    let output = ringgate(&["schema"]);
    expect_code(&output, 0);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["listeners", "jwt", "upstreams", "routes", "admin", "workers", "limits", "timeouts"]
    {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn probe_says_what_this_kernel_allows() {
    let text = expect_code(&ringgate(&["probe"]), 0);
    assert!(text.contains("io_uring"), "{text}");
}

#[test]
fn verify_accepts_with_0_and_rejects_with_1() {
    let key = Key::p256("k");
    let (_directory, path) = file(&jwks(&[&key]).to_string());
    let verify = |more: &[&str], token: &str| {
        let mut arguments = vec!["verify", "--jwks", &path];
        arguments.extend_from_slice(more);
        arguments.push(token);
        ringgate(&arguments)
    };
    let known = ["--issuer", ISSUER, "--audience", AUDIENCE];
    let token = Token::new();
    let good = token.clone().sign(&key);
    expect_code(&verify(&known, &good), 0);
    let expired = expect_code(&verify(&known, &token.clone().claim("exp", 1000).sign(&key)), 1);
    assert!(expired.contains("exp"), "{expired}");
    expect_code(&verify(&["--issuer", "https://other.test/"], &good), 1);
    expect_code(&verify(&known, &format!("{good}x")), 1);
    let later = (now() + 100_000).to_string();
    expect_code(&verify(&["--issuer", ISSUER, "--audience", AUDIENCE, "--now", &later], &good), 1);
}

#[test]
fn verify_can_check_a_signature_alone() {
    let key = Key::p256("k");
    let (_directory, path) = file(&jwks(&[&key]).to_string());
    let token = Token::new().claim("exp", 1000).sign(&key);
    let verify = |token: &str| ringgate(&["verify", "--jwks", &path, "--signature-only", token]);
    expect_code(&verify(&token), 0);
    expect_code(&verify(&Token::new().sign(&Key::p256("k"))), 1);
}
