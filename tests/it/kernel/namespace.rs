//! Network namespaces without names: gone with the last thread and descriptor, however a test ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace with loopback up and nothing else.
pub struct Namespace {
    file: File,
}

impl Namespace {
    pub fn new() -> Self {
        // The shell holds the namespace until it is opened here; it ends with its input.
        let mut shell = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo up && read _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "a namespace with loopback");
        let file = File::open(format!("/proc/{}/ns/net", shell.id())).unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        Self { file }
    }

    /// Runs a function on a thread in this namespace, and hands on its panic. Threads that it
    /// starts are in the namespace too.
    pub fn run<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.file.as_fd(), kind).unwrap();
                function()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip` with these arguments, in this namespace; what it wrote.
    pub fn ip(&self, arguments: &str) -> String {
        let output = self.run(|| {
            Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap()
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A cable between two namespaces: `here` in this one, `there` in the other, both up.
    pub fn connect(&self, here: &str, there: &str, other: &Self) {
        let other_path = format!("/proc/{}/fd/{}", std::process::id(), other.file.as_raw_fd());
        self.ip(&format!("link add {here} type veth peer name {there} netns {other_path}"));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("link set {there} up"));
    }
}

/// Two namespaces and a cable: `rg0` with 10.88.0.1 and fd88::1 on the side of the server, `rg1`
/// with 10.88.0.2 and fd88::2 on the side of the client.
pub struct Pair {
    pub server: Namespace,
    pub client: Namespace,
}

impl Pair {
    pub fn new() -> Self {
        let (server, client) = (Namespace::new(), Namespace::new());
        server.connect("rg0", "rg1", &client);
        for (namespace, interface, last) in [(&server, "rg0", 1), (&client, "rg1", 2)] {
            namespace.ip(&format!("addr add 10.88.0.{last}/24 dev {interface}"));
            namespace.ip(&format!("addr add fd88::{last}/64 dev {interface} nodad"));
        }
        Self { server, client }
    }
}
