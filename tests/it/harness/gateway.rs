//! The real binary in a directory of its own: started, watched, signalled and always ended.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use super::client::Client;
use super::config::Config;
use super::deadline::wait_until;
use super::message::Message;
use super::metrics::Metrics;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ringgate");

/// A running gateway. Dropping it kills it; what it wrote is shown when the test failed.
pub struct Gateway {
    child: Child,
    directory: TempDir,
    ready: Ready,
}

/// What `--ready-file` tells.
#[derive(Deserialize)]
struct Ready {
    listeners: HashMap<String, SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Gateway {
    /// Starts it and waits until every worker accepts.
    pub fn start(config: &Config) -> Self {
        let directory = TempDir::new().unwrap();
        Self::start_in(directory, config)
    }

    /// As [`Self::start`], by a program that gives it other rights or another place.
    pub fn start_by(launcher: &[&str], config: &Config) -> Self {
        Self::launch(TempDir::new().unwrap(), launcher, config)
    }

    /// As [`Self::start`], where files that the configuration names already are.
    pub fn start_in(directory: TempDir, config: &Config) -> Self {
        Self::launch(directory, &[], config)
    }

    fn launch(directory: TempDir, launcher: &[&str], config: &Config) -> Self {
        let path = directory.path();
        fs::write(path.join("gateway.json"), config.to_string()).unwrap();
        let ready = path.join("ready.json");
        let command: Vec<&str> = launcher.iter().copied().chain([BINARY, "run"]).collect();
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .arg(path.join("gateway.json"))
            .arg("--ready-file")
            .arg(&ready)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(File::create(path.join("stdout")).unwrap())
            .stderr(File::create(path.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let ready = wait_until("the gateway to accept", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the gateway ended with {status}: {}", written(path));
            }
            serde_json::from_slice(&fs::read(&ready).ok()?).ok()
        });
        Self { child, directory, ready }
    }

    /// Where the listener called `public` is.
    pub fn address(&self) -> SocketAddr {
        self.listener("public")
    }

    /// Where a listener is.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        *self.ready.listeners.get(name).unwrap_or_else(|| panic!("no listener {name}"))
    }

    /// A new connection to the listener called `public`.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Asks the admin listener on a connection of its own.
    pub fn admin(&self, path: &str) -> Message {
        let mut client = Client::connect(self.ready.admin.expect("an admin listener"));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"));
        client.response()
    }

    /// As [`Self::admin`], with a body and by POST.
    pub fn admin_post(&self, path: &str, body: &str) -> Message {
        self.admin_change("POST", path, body)
    }

    /// Asks the admin listener for a change, with a body.
    pub fn admin_change(&self, method: &str, target: &str, body: &str) -> Message {
        let length = body.len();
        self.admin_raw(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends raw bytes to the admin listener.
    pub fn admin_raw(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = Client::connect(self.ready.admin.expect("an admin listener"));
        client.send(request);
        client.response()
    }

    /// The counters as they are now.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").text())
    }

    /// Waits until the counters are as the condition asks.
    pub fn wait_for_metric(
        &self,
        name: &str,
        labels: &[&str],
        mut condition: impl FnMut(f64) -> bool,
    ) {
        wait_until(&format!("{name} {labels:?} to be as expected"), || {
            condition(self.metrics().sum(name, labels)).then_some(())
        });
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Open descriptors of the process.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Writes another configuration and sends SIGHUP. What became of it is to be waited for.
    pub fn reload(&self, config: impl std::fmt::Display) {
        // As an editor does it: a new file renamed over the old, so that no half is ever read.
        let next = self.path("gateway.json.next");
        fs::write(&next, config.to_string()).unwrap();
        fs::rename(next, self.path("gateway.json")).unwrap();
        self.signal(Signal::HUP);
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it has written to standard output.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.path("stdout")).unwrap()
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    /// Waits until it has written a line with all of these in it to either stream.
    pub fn wait_for_line(&self, parts: &[&str]) -> String {
        wait_until(&format!("a line with {parts:?}"), || {
            let text = self.stdout() + &self.stderr();
            let line = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
            line.map(str::to_owned)
        })
    }

    /// The lines of the access log so far; it goes to standard output.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        // A line without its end is still being written.
        let text = self.stdout();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for it to end.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_until("the gateway to end", || self.child.try_wait().unwrap())
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", written(self.directory.path()));
        }
    }
}

/// What a gateway wrote, for a failure message.
fn written(directory: &Path) -> String {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    format!("--- stdout\n{}--- stderr\n{}---", read("stdout"), read("stderr"))
}
