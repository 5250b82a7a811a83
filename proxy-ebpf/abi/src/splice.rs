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
    /// Becomes [`RETURNED`](Self::RETURNED) when the credit is used up, and stays so: bytes after
    /// that are left for the gateway to read. Written by the program.
    pub state: u64,
    /// As far as `forwarded` may go. Written by the gateway.
    pub credit: u64,
    /// Room to the end of the cache line.
    pub reserved: [u64; 5],
}

impl Flow {
    /// The kernel moves the bytes.
    pub const SPLICED: u64 = 0;
    /// The gateway moves the bytes.
    pub const RETURNED: u64 = 1;
}

const _: () = assert!(size_of::<Flow>() == 64);
const _: () = assert!(offset_of!(Flow, forwarded) == 0);
const _: () = assert!(offset_of!(Flow, state) == 8);
const _: () = assert!(offset_of!(Flow, credit) == 16);
const _: () = assert!(offset_of!(Flow, reserved) == 24);
