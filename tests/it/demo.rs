//! `ringgate demo`: what it prints works when pasted, before and after its keys rotate.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::gateway::BINARY;
use crate::harness::{Client, Message, TlsClient, wait_until};

/// A running demo and what it printed up to its last line of instructions.
struct Demo {
    child: Child,
    lines: Vec<String>,
    // Kept open: a demo whose reader is gone would fail to print.
    printed: BufReader<std::process::ChildStdout>,
    folder: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(BINARY)
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap());
        let mut demo = Self { child, lines: Vec::new(), printed, folder };
        while !demo.lines.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
            let mut line = String::new();
            let length = demo.printed.read_line(&mut line).unwrap();
            assert!(length > 0, "the demo ended: {:?}", demo.lines);
            demo.lines.push(line.trim_end().to_owned());
        }
        demo
    }

    /// The curl lines, in order.
    fn commands(&self) -> Vec<&str> {
        let lines = self.lines.iter().map(|line| line.trim());
        lines.filter(|line| line.starts_with("curl ")).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a printed curl line does, done without curl: its URL and its header.
fn ask(command: &str) -> Message {
    let url = command.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap();
    let (address, path) = url.split_once('/').unwrap();
    let mut client = Client::connect(address.parse().unwrap());
    let header = command.split('\'').find(|part| part.starts_with("Authorization: "));
    client.get_with(&format!("/{path}"), &header.map(|h| format!("{h}\r\n")).unwrap_or_default())
}

#[test]
fn the_printed_lines_show_200_401_and_403() {
    let demo = Demo::start(&[]);
    let commands = demo.commands();
    let statuses: Vec<u16> = commands.iter().map(|command| ask(command).status()).collect();
    assert!(statuses.starts_with(&[200, 401, 403]), "{statuses:?} for {:#?}", demo.lines);
    let seen = ask(commands[0]).json();
    // The upstream saw the claim and not the token.
    assert_eq!(seen["headers"]["x-user"], "alice");
    assert!(seen["headers"].get("authorization").is_none(), "{seen}");
}

#[test]
fn with_tls_the_printed_certificate_is_the_gateways() {
    let demo = Demo::start(&["--tls"]);
    let command = demo.commands()[0];
    let words: Vec<&str> = command.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "--cacert").expect("the certificate");
    let pem = std::fs::read_to_string(words[at + 1]).unwrap();
    let url = words.iter().find_map(|word| word.strip_prefix("https://")).expect("a URL");
    let (address, path) = url.split_once('/').unwrap();
    let client = TlsClient::believing(&pem);
    let mut client = client.connect(address.parse().unwrap(), "127.0.0.1");
    assert_eq!(client.get(&format!("/{path}")).status(), 401);
    let header = command.split('\'').find(|part| part.starts_with("Authorization: ")).unwrap();
    let seen = client.get_with(&format!("/{path}"), &format!("{header}\r\n")).json();
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https", "{seen}");
}

#[test]
fn tokens_pass_while_keys_rotate() {
    let demo = Demo::start(&["--rotate-every", "1s"]);
    let commands = demo.commands();
    let first = commands[0];
    let token_url = demo
        .lines
        .iter()
        .flat_map(|line| line.split([' ', '(', ')', '\'']))
        .find(|word| word.contains("/token"))
        .expect("where to get a fresh token");
    let fetch = format!("curl {token_url}");
    let kid = |token: &str| token.split('.').next().unwrap().to_owned();
    let original = ask(&fetch).text().trim().to_owned();
    let protected = |token: &str| {
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        ask(&format!("curl -i -H 'Authorization: Bearer {token}' {url}")).status()
    };
    assert_eq!(protected(&original), 200);
    for _ in 0..2 {
        let before = kid(ask(&fetch).text().trim());
        let fresh = wait_until("another signing key", || {
            let token = ask(&fetch).text().trim().to_owned();
            assert_eq!(protected(&token), 200, "a fresh token passes at once");
            (kid(&token) != before).then_some(token)
        });
        assert_eq!(protected(&fresh), 200);
        assert_eq!(protected(&original), 200, "an older token passes while it lives");
    }
    assert_eq!(ask(first).status(), 200, "the printed one does too");
}

#[test]
fn ctrl_c_ends_it_with_0_and_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]);
    assert_eq!(std::fs::read_dir(demo.folder.path()).unwrap().count(), 1);
    kill_process(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let status = wait_until("the demo to end", || demo.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read_dir(demo.folder.path()).unwrap().count(), 0);
}

#[test]
fn its_ports_can_be_chosen_and_one_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--issuer-port", "--upstream-port"] {
        let output = Command::new(BINARY).args(["demo", flag, &port]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{flag}: {told}");
    }
}
