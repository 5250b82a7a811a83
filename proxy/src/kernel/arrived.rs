//! How far a connection's stream has come, as TCP's sequence number. No system call tells that of a
//! socket in use, but a program can be run that looks it up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use ringgate_ebpf_abi::splice::question;
use rustix::net::{getpeername, getsockname};

use super::Off;

/// Tries, where each time more has arrived meanwhile.
const TRIES: u32 = 100;

/// The sequence number of the first byte that was not read, where nobody reads meanwhile.
///
/// # Errors
///
/// There is no established TCP connection of that name in this thread's network namespace, or one
/// that is bound to an interface.
pub(super) fn next_to_read(
    program: &SchedClassifier,
    socket: &(impl AsFd + AsRawFd),
) -> Result<u32, Off> {
    let question = Question::about(socket)
        .map_err(|error| Off::Call { call: "getsockname and getpeername", error })?;
    let mut next = next_to_arrive(program, &question)?;
    for _ in 0..TRIES {
        let unread = unread(socket).map_err(|error| Off::Call { call: "MSG_PEEK", error })?;
        let after = next_to_arrive(program, &question)?;
        if after == next {
            return Ok(next.wrapping_sub(unread));
        }
        next = after;
    }
    Err(Off::Call { call: "MSG_PEEK", error: io::ErrorKind::WouldBlock.into() })
}

/// A frame with the name of a connection.
struct Question {
    frame: [u8; question::AT + question::V6_LENGTH],
    length: usize,
}

impl Question {
    fn about(socket: &impl AsFd) -> io::Result<Self> {
        let own = SocketAddr::try_from(getsockname(socket)?)?;
        let peer = getpeername(socket)?.ok_or(io::ErrorKind::NotConnected)?;
        let peer = SocketAddr::try_from(peer)?;
        let mut question =
            Self { frame: [0; question::AT + question::V6_LENGTH], length: question::AT };
        for ip in [peer.ip(), own.ip()] {
            match ip.to_canonical() {
                IpAddr::V4(ip) => question.append(&ip.octets()),
                IpAddr::V6(ip) => question.append(&ip.octets()),
            }
        }
        question.append(&peer.port().to_be_bytes());
        question.append(&own.port().to_be_bytes());
        Ok(question)
    }

    fn append(&mut self, bytes: &[u8]) {
        self.frame[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// The sequence number of the first byte that has not arrived.
fn next_to_arrive(program: &SchedClassifier, question: &Question) -> Result<u32, Off> {
    let mut answer = question.frame;
    let result = program.test_run(TestRunOptions {
        data_in: Some(&question.frame[..question.length]),
        data_out: Some(&mut answer),
        ..TestRunOptions::new()
    })?;
    if result.return_value != question::ANSWERED {
        let error = io::ErrorKind::NotConnected.into();
        return Err(Off::Call { call: "bpf_sk_lookup_tcp", error });
    }
    let Some(next) = answer[question::AT..].first_chunk() else { unreachable!("it is longer") };
    Ok(u32::from_ne_bytes(*next))
}

/// Bytes that have arrived and were not read. FIONREAD says the same of a plain socket, but later
/// kernels count something else where it is in a map.
fn unread(socket: &impl AsRawFd) -> io::Result<u32> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with MSG_TRUNC the kernel counts the bytes of a TCP socket and writes none.
    let result =
        unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), i32::MAX as usize, flags) };
    match u32::try_from(result) {
        Ok(unread) => Ok(unread),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            error => Err(error),
        },
    }
}
