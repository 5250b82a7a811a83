//! Other people's TLS: clients of every kind, and scanners.
//!
//! A program that is not installed makes its test say `SKIPPED` and do nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{NAME, with_tls};
use crate::harness::third_party::{mirror, printed, script};
use crate::harness::{Authority, Config, Gateway, Upstream, tool};

/// A gateway in front of a mirror.
struct Scene {
    gateway: Gateway,
    _upstream: Upstream,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.write(folder.path(), "a", &[NAME]);
        authority.write_own(folder.path(), "ca");
        let upstream = mirror();
        let config = with_tls(Config::forwarding_to(&upstream));
        Self { gateway: Gateway::start_in(folder, &config), _upstream: upstream }
    }

    fn address(&self) -> String {
        self.gateway.address().to_string()
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.gateway.address().port())
    }

    /// The file with the authority.
    fn authority(&self) -> PathBuf {
        self.gateway.path("ca.pem")
    }
}

#[test]
fn curl() {
    let Some(curl) = tool::find("tls curl", "curl") else { return };
    let scene = Scene::new();
    let resolve = format!("{NAME}:{}:127.0.0.1", scene.gateway.address().port());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["-sS", "--max-time", "20", "--resolve", &resolve, "--cacert"]);
        printed(command.arg(scene.authority()).args(arguments))
    };
    let url = scene.url("/a");
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        assert_eq!(run(&[version, &[&url]].concat()), "GET /a ");
    }
    let twice = run(&["-w", "%{num_connects} ", &url, &url]);
    assert_eq!(twice, "GET /a 1 GET /a 0 ");
    let big = scene.gateway.path("big");
    fs::write(&big, "b".repeat(2 * 1024 * 1024)).unwrap();
    let sent = run(&["--data-binary", &format!("@{}", big.display()), &url]);
    assert_eq!(sent.len(), "POST /a ".len() + 2 * 1024 * 1024);
}

/// What `openssl s_client` prints that is given this to send, and has to end by itself.
fn s_client(openssl: &Path, scene: &Scene, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(openssl)
        .args(["s_client", "-connect", &scene.address(), "-servername", NAME, "-CAfile"])
        .arg(scene.authority())
        .args(["-verify_return_error", "-verify_hostname", NAME])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: at its end the program would.
    let mut held = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut held, input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn openssl_s_client() {
    let Some(openssl) = tool::find("tls openssl", "openssl") else { return };
    let scene = Scene::new();
    let session = scene.gateway.path("session").display().to_string();
    let request = format!("GET /a HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    for version in ["-tls1_2", "-tls1_3"] {
        let out = ["-alpn", "http/1.1", version, "-sess_out", &session];
        let first = s_client(&openssl, &scene, &out, &request);
        assert!(first.contains("GET /a "), "{first}");
        assert!(first.contains("ALPN protocol: http/1.1"), "{first}");
        let second = s_client(&openssl, &scene, &[version, "-sess_in", &session], &request);
        assert!(second.contains("Reused, TLSv1"), "{second}");
        assert!(second.contains("GET /a "), "{second}");
    }
}

#[test]
fn a_client_that_renegotiates_is_refused() {
    let Some(openssl) = tool::find("tls renegotiation", "openssl") else { return };
    let scene = Scene::new();
    // A line with an R is no data but asks for it.
    let told = s_client(&openssl, &scene, &["-tls1_2"], "R\n");
    assert!(told.contains("RENEGOTIATING"), "{told}");
    assert!(told.contains("no renegotiation"), "{told}");
}

#[test]
fn python() {
    let Some(python) = tool::find("tls python", "python3") else { return };
    let scene = Scene::new();
    let client = script("https_client.py");
    let mut command = Command::new(python);
    command.arg(client).args([&scene.address(), NAME]).arg(scene.authority());
    assert_eq!(printed(&mut command), "TLSv1.3\n");
}

#[test]
fn node() {
    let Some(node) = tool::find("tls node", "node") else { return };
    let scene = Scene::new();
    let client = script("https_client.js");
    let mut command = Command::new(node);
    command.arg(client).args([&scene.address(), NAME]).arg(scene.authority());
    assert_eq!(printed(&mut command), "ok\n");
}

#[test]
fn wrk() {
    let Some(wrk) = tool::find("tls wrk", "wrk") else { return };
    let scene = Scene::new();
    let url = format!("https://{}/", scene.address());
    let mut command = Command::new(wrk);
    command.args(["-t", "1", "-c", "16", "-d", "1s", "-H", &format!("Host: {NAME}"), &url]);
    let text = printed(&mut command);
    let requests = text.split_whitespace().zip(text.split_whitespace().skip(1));
    let requests = requests.into_iter().find(|(_, what)| *what == "requests").unwrap().0;
    assert!(requests.parse::<u64>().unwrap() > 10, "{text}");
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
}

#[test]
fn chromium() {
    let Some(chromium) = tool::find("tls chromium", "chromium") else { return };
    let Some(openssl) = tool::find("tls chromium", "openssl") else { return };
    let scene = Scene::new();
    // The browser believes this key instead of an authority, and nothing else.
    let key = printed(Command::new("sh").arg("-c").arg(format!(
        "{0} x509 -in {1} -pubkey -noout | {0} pkey -pubin -outform der | {0} dgst -sha256 -binary | {0} base64",
        openssl.display(),
        scene.gateway.path("a.pem").display(),
    )));
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(chromium);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--disable-dev-shm-usage")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--host-resolver-rules=MAP {NAME} 127.0.0.1"))
        .arg(format!("--ignore-certificate-errors-spki-list={}", key.trim()))
        .args(["--dump-dom", &scene.url("/page")])
        .stderr(Stdio::null());
    let page = printed(&mut command);
    assert!(page.contains("GET /page "), "{page}");
}

#[test]
fn sslyze_finds_only_the_certificate_at_fault() {
    let test = "tls sslyze";
    // Where `cargo xtask setup` puts it.
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools/sslyze/bin/sslyze");
    let found = if own.is_file() { Some(own) } else { tool::find(test, "sslyze") };
    let Some(sslyze) = found else { return };
    let scene = Scene::new();
    let server = format!("{NAME}:{}{{127.0.0.1}}", scene.gateway.address().port());
    let output =
        Command::new(sslyze).args(["--mozilla_config=intermediate", &server]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = text.split("COMPLIANCE AGAINST TLS CONFIGURATION").nth(1);
    let verdict = verdict.unwrap_or_else(|| panic!("no verdict: {text}"));
    let faults = verdict.lines().filter_map(|line| line.trim_start().strip_prefix("* "));
    let faults: Vec<&str> = faults.filter(|fault| !fault.contains("certificate")).collect();
    assert!(faults.is_empty() && verdict.contains("Checking results"), "{faults:?}: {verdict}");
}

#[test]
fn testssl_finds_nothing_grave() {
    let Some(testssl) = tool::find("tls testssl", "testssl") else { return };
    let scene = Scene::new();
    let report = scene.gateway.path("testssl.json");
    let target = format!("{NAME}:{}", scene.gateway.address().port());
    // Protocols, categories of suites, forward secrecy, preferences, defaults, known attacks: what a
    // server answers for, less the simulated clients, which take minutes.
    let status = Command::new(testssl)
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--jsonfile"])
        .arg(&report)
        .args(["-p", "-s", "-f", "-P", "-S", "-U", &target])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let asked = findings.iter().any(|finding| text(finding, "id") == "TLS1_3");
    assert!(asked, "it looked at something: {status} {findings:?}");
    // The certificate is the test's.
    let grave: Vec<&Value> = findings
        .iter()
        .filter(|finding| {
            matches!(&*text(finding, "severity"), "HIGH" | "CRITICAL" | "FATAL")
                && !text(finding, "id").starts_with("cert")
        })
        .collect();
    assert!(grave.is_empty(), "{grave:#?}");
}
