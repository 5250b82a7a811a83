//! `ringgate probe`: what this kernel and these rights allow, and why each other thing is not.

mod assists;
mod capabilities;
mod ring;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::control::descriptors::carried_by;

/// Descriptors below which a gateway is of little use.
const DESCRIPTORS_MIN: u64 = 1024;

/// Say what this kernel and these rights allow; exit 0 if `run` would work, 1 if not.
#[derive(Debug, clap::Args)]
pub struct Probe {}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    name: &'static str,
    /// Whether `run` works without it.
    need: Need,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    /// Its lack costs speed or an assist.
    Optional,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// There, with what there is to say.
    Available(String),
    /// Not there, with the reason.
    Missing(String),
}

impl Finding {
    fn required(name: &'static str, outcome: Outcome) -> Self {
        Self { name, need: Need::Required, outcome }
    }

    fn optional(name: &'static str, outcome: Outcome) -> Self {
        Self { name, need: Need::Optional, outcome }
    }

    fn stops_a_run(&self) -> bool {
        self.need == Need::Required && matches!(self.outcome, Outcome::Missing(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match (&self.outcome, self.need) {
            (Outcome::Available(text), _) => ("yes", text),
            (Outcome::Missing(text), Need::Optional) => ("no", text),
            (Outcome::Missing(text), Need::Required) => ("NO", text),
        };
        write!(f, "{mark:<3}  {:<20} {text}", self.name)
    }
}

impl Probe {
    /// Prints one line a finding.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let findings = probe();
        let mut out = io::stdout().lock();
        for finding in &findings {
            // A closed pipe changes nothing about the verdict.
            let _ = writeln!(out, "{finding}");
        }
        let works = !findings.iter().any(Finding::stops_a_run);
        let verdict = if works { "`ringgate run` works here" } else { "`ringgate run` fails here" };
        let _ = writeln!(out, "{verdict}");
        if works { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn probe() -> Vec<Finding> {
    let mut findings = vec![kernel()];
    findings.extend(ring::probe());
    findings.push(reuse_port());
    findings.push(descriptors());
    findings.push(locked_memory());
    findings.extend(capabilities::probe());
    findings.push(type_information());
    findings.extend(assists::probe());
    findings
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    let text = format!("{} {}", name.release().to_string_lossy(), name.machine().to_string_lossy());
    Finding::optional("kernel", Outcome::Available(text))
}

/// Two sockets on one port: one for each of two workers.
fn reuse_port() -> Finding {
    let outcome = match two_sockets_on_one_port() {
        Ok(()) => Outcome::Available("each worker has its own listening socket".to_owned()),
        Err(error) => Outcome::Missing(error.to_string()),
    };
    Finding::required("SO_REUSEPORT", outcome)
}

fn two_sockets_on_one_port() -> io::Result<()> {
    let socket = |port: u16| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        socket.set_reuse_port(true)?;
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        Ok::<_, io::Error>(socket)
    };
    let first = socket(0)?;
    let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    socket(address.port()).map(drop)
}

fn descriptors() -> Finding {
    // `run` raises the soft limit to the hard one.
    let outcome = match getrlimit(Resource::Nofile).maximum {
        None => Outcome::Available("unlimited".to_owned()),
        Some(hard) if hard >= DESCRIPTORS_MIN => {
            Outcome::Available(format!("{hard}, enough for {} connections", carried_by(hard)))
        }
        Some(hard) => Outcome::Missing(format!(
            "{hard}, enough for {} connections only; raise RLIMIT_NOFILE (LimitNOFILE=)",
            carried_by(hard)
        )),
    };
    Finding::optional("descriptor limit", outcome)
}

fn locked_memory() -> Finding {
    let text = match getrlimit(Resource::Memlock).current {
        None => "unlimited".to_owned(),
        Some(bytes) => format!("{} KiB; kernels since 5.12 do not count rings", bytes / 1024),
    };
    Finding::optional("locked memory", Outcome::Available(text))
}

/// BTF lets one eBPF object run on many kernels.
fn type_information() -> Finding {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    let outcome = match fs::metadata(PATH) {
        Ok(metadata) => Outcome::Available(format!("{PATH}, {} KiB", metadata.len() / 1024)),
        Err(error) => Outcome::Missing(format!("{PATH}: {error}; CONFIG_DEBUG_INFO_BTF is off")),
    };
    Finding::optional("BTF", outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_and_missing_stops_a_run() {
        let missing = || Outcome::Missing("why".to_owned());
        let available = || Outcome::Available("what".to_owned());
        assert!(Finding::required("x", missing()).stops_a_run());
        assert!(!Finding::required("x", available()).stops_a_run());
        assert!(!Finding::optional("x", missing()).stops_a_run());
    }

    #[test]
    fn a_line_says_whether_and_why() {
        let line =
            Finding::optional("BTF", Outcome::Missing("no such file".to_owned())).to_string();
        assert_eq!(line, "no   BTF                  no such file");
    }

    #[test]
    fn this_kernel_has_shared_ports() {
        assert_eq!(two_sockets_on_one_port().map_err(|error| error.kind()), Ok(()));
    }
}
