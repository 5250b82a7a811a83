//! Splicing's maps: flows of bytes from one socket to another, each with its credit.

use core::mem::{offset_of, size_of};

/// Flows at a time; a tunnel has two.
pub const FLOWS_MAX: u32 = 8192;

/// Bytes on their way from one socket to another. Each field has one writer.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Bytes handed to the other socket. Written by the program.
    pub forwarded: u64,
    /// [`SPLICED`](Self::SPLICED) until the program changes it, for good: to
    /// [`RETURNED`](Self::RETURNED) when the credit is used up, so that bytes after that are left
    /// for the gateway to read, or to [`BROKEN`](Self::BROKEN).
    pub state: u64,
    /// As far as `forwarded` may go. Written by the gateway.
    pub credit: u64,
    /// TCP's sequence number of the next byte. Written by the gateway before the flow begins, and
    /// by the program from then on.
    pub next: u64,
    /// Room to the end of the cache line.
    pub reserved: [u64; 4],
}

impl Flow {
    /// The kernel moves the bytes.
    pub const SPLICED: u64 = 0;
    /// The gateway moves the bytes.
    pub const RETURNED: u64 = 1;
    /// Something came that is not what has to come next, and was thrown away as all that came
    /// after it: the connections are of no use any more.
    pub const BROKEN: u64 = 2;
}

/// What the program `arrived` is run on: a frame with a question behind its Ethernet header, where
/// it leaves the answer.
pub mod question {
    /// Where the question is.
    pub const AT: usize = 14;
    /// Peer's address, own address, peer's port, own port, as in packets.
    pub const V4_LENGTH: usize = 12;
    /// The same, for IPv6.
    pub const V6_LENGTH: usize = 36;
    /// The answer, if there is an established connection of that name: TCP's sequence number of the
    /// next byte that has not arrived.
    pub const ANSWER_LENGTH: usize = 4;
    /// What the program returns if there is one.
    pub const ANSWERED: u32 = 1;
}

const _: () = assert!(size_of::<Flow>() == 64);
const _: () = assert!(offset_of!(Flow, forwarded) == 0);
const _: () = assert!(offset_of!(Flow, state) == 8);
const _: () = assert!(offset_of!(Flow, credit) == 16);
const _: () = assert!(offset_of!(Flow, next) == 24);
const _: () = assert!(offset_of!(Flow, reserved) == 32);
