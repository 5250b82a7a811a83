//! A program under test: started pinned, waited for, stopped when dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::placement::Placement;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running server. Dropping it stops it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Server {
    /// The upstream, on the core of the load. It prints its address when it listens.
    pub(super) fn upstream(program: &Path, placement: &Placement) -> Result<Self> {
        let mut command = placement.load(&Command::new(program));
        let mut child = command.stdout(Stdio::piped()).spawn().context("the upstream")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("the upstream said {line:?}"))?;
        Ok(Self { address, child })
    }

    /// A proxy, placed by the caller; what it writes goes to a file in the folder.
    pub(super) fn start(
        name: &str,
        placed: &Command,
        address: SocketAddr,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join("output");
        let file = File::create(&log)?;
        let mut command = Command::new(placed.get_program());
        command.args(placed.get_args()).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let mut server = Self { address, child: command.spawn().context(name.to_owned())? };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{name} does not accept on {address} ({ended:?}):\n{said}");
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(server)
    }

    /// ringgate on all cores, with an admin listener, whose address comes along.
    pub(super) fn everywhere(command: &mut Command, ready: &Path) -> Result<(Self, SocketAddr)> {
        let child = command.arg("--ready-file").arg(ready).stdin(Stdio::null()).spawn()?;
        let mut server = Self { address: (Ipv4Addr::UNSPECIFIED, 0).into(), child };
        let deadline = Instant::now() + START_TIMEOUT;
        let text = loop {
            match std::fs::read(ready) {
                Ok(text) => break text,
                Err(_) if server.child.try_wait()?.is_none() && Instant::now() < deadline => {
                    thread::sleep(POLL_INTERVAL);
                }
                Err(error) => return Err(error).context("ringgate does not start"),
            }
        };
        let told: serde_json::Value = serde_json::from_slice(&text)?;
        let address = |place: &str| -> Result<SocketAddr> {
            let text = told.pointer(place).and_then(serde_json::Value::as_str);
            Ok(text.context("an address in the ready file")?.parse()?)
        };
        server.address = address("/listeners/public")?;
        Ok((server, address("/admin")?))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    /// SIGINT stops each of them at once, nginx with its worker; SIGKILL is for one that hangs.
    fn drop(&mut self) {
        // A failed signal means that it is gone.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::INT);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                eprintln!("bench: process {} does not stop: killed", self.pid());
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// A loopback address that was free a moment ago: nginx and haproxy report no port of their own.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
