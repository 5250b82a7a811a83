//! Why an assist is off.

use std::error::Error;
use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// One of the kernel's helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assist {
    /// XDP before the TCP stack.
    Shield,
    /// The choice of a worker.
    Steering,
    /// Many addresses and ports for one listener.
    Lookup,
    /// Bytes from socket to socket.
    Splice,
}

impl Assist {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shield, Self::Steering, Self::Lookup, Self::Splice];

    /// For logs, metrics and the probe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shield => "shield",
            Self::Steering => "steering",
            Self::Lookup => "lookup",
            Self::Splice => "splice",
        }
    }

    /// The kind of its program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Shield => "XDP",
            Self::Steering => "sk_reuseport",
            Self::Lookup => "sk_lookup",
            Self::Splice => "sk_skb",
        }
    }

    /// The first version of Linux that has everything: for the shield the length of a packet in
    /// pieces, for steering the choice for connections that are left over, for lookup its kind of
    /// program, for splicing a sockmap that sends each byte once.
    #[must_use]
    pub const fn since(self) -> &'static str {
        match self {
            Self::Shield => "5.18",
            Self::Steering => "5.14",
            Self::Lookup => "5.9",
            Self::Splice => "6.16",
        }
    }
}

/// Why an assist, or a part of what was asked of it, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Off {
    /// The process may not do it.
    #[error("needs {0}, which this process does not have")]
    Capability(String),
    /// The kernel cannot do it.
    #[error("this kernel has no {what}; it came with Linux {since}")]
    Kernel {
        /// What is missing.
        what: &'static str,
        /// The version that brought it.
        since: &'static str,
    },
    /// There is no interface of this name.
    #[error("there is no interface `{0}`")]
    NoInterface(String),
    /// The interface refuses the program.
    #[error("cannot attach to `{interface}` in {mode} mode: {why}")]
    Attach {
        /// The interface.
        interface: String,
        /// The mode of XDP.
        mode: &'static str,
        /// What the kernel said.
        why: String,
    },
    /// A worker for each CPU is asked for.
    #[error("more workers than one run on CPU {cpu}; each needs one of its own")]
    SharedCpu {
        /// Theirs.
        cpu: u32,
    },
    /// The map has no room for what the configuration has.
    #[error("{count} {what}; {max} at most")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The object and this loader do not belong together.
    #[error("the object of {assist} has no `{what}`")]
    NotInObject {
        /// Whose object.
        assist: &'static str,
        /// The map or program.
        what: &'static str,
    },
    /// The object was not taken.
    #[error("cannot load: {}", chain(.0.as_ref()))]
    Object(Box<EbpfError>),
    /// The kernel's verifier does not take a program.
    #[error("the kernel does not take the program: {error}: {why}")]
    Verifier {
        /// What the call said.
        error: io::Error,
        /// What the verifier's log ends with.
        why: String,
    },
    /// A program was not taken for another reason.
    #[error("cannot load or attach: {}", chain(.0.as_ref()))]
    Program(Box<ProgramError>),
    /// A map refused.
    #[error("cannot use a map: {}", chain(.0))]
    Map(#[from] MapError),
    /// A system call on a socket or on memory failed.
    #[error("{call}: {error}")]
    Call {
        /// The call.
        call: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl From<EbpfError> for Off {
    fn from(error: EbpfError) -> Self {
        Self::Object(Box::new(error))
    }
}

impl From<ProgramError> for Off {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError { io_error, verifier_log } => {
                let why = complaint(&verifier_log.to_string()).to_owned();
                Self::Verifier { error: io_error, why }
            }
            error => Self::Program(Box::new(error)),
        }
    }
}

/// The last line of a verifier's log before its statistics.
fn complaint(log: &str) -> &str {
    let statistics = ["verification time", "stack depth", "processed"];
    let is_statistics = |line: &&str| statistics.iter().any(|words| line.starts_with(words));
    let mut lines = log.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty() && !is_statistics(line)).unwrap_or("no word of the verifier")
}

/// An error and its causes in one line; the causes hold the system's own words.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::maps::MapError;

    use super::{Off, complaint};

    #[test]
    fn the_system_s_words_are_in_the_reason() {
        let io_error = io::Error::from_raw_os_error(libc::EPERM);
        let off = Off::from(MapError::CreateError { name: "RULES_V4".to_owned(), io_error });
        let expected = "cannot use a map: failed to create map `RULES_V4`: Operation not \
                        permitted (os error 1)";
        assert_eq!(off.to_string(), expected);
    }

    #[test]
    fn the_complaint_of_the_verifier_stands_before_its_statistics() {
        let log = "0: R1=ctx()\n5: (0f) r5 += r4\nR5 pointer arithmetic prohibited for !root\n\
                   verification time 1639 usec\nstack depth 288+0\nprocessed 308 insns (limit 1000000)\n";
        assert_eq!(complaint(log), "R5 pointer arithmetic prohibited for !root");
        assert_eq!(complaint(""), "no word of the verifier");
    }
}
