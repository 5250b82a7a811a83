//! What the shield reads off a frame, and how it rations handshakes.
//!
//! Sans-io: the same code runs in the kernel on a packet and in tests on a slice.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod frame;
mod ip;
mod rate;
mod tcp;
#[cfg(test)]
mod tests;

pub use frame::{Frame, parse};
pub use ip::Address;
pub use rate::{Rate, admit};
pub use tcp::Shape;

/// What a frame turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A TCP segment.
    Segment(Segment),
    /// Something that is left to the stack.
    Opaque(Opaque),
}

/// A TCP segment: who sent it, whom it is for, and whether it can be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Who sent it, or claims so.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// In network order.
    pub destination_port: [u8; 2],
    /// What its lengths, ports and flags make of it.
    pub shape: Shape,
}

/// Why nothing is said of a frame's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opaque {
    /// Not IP, or not TCP, or under more VLAN tags than two.
    NotTcp,
    /// An IPv4 header with options.
    Options,
    /// A fragment of an IPv4 packet.
    Fragment,
    /// IPv6 extension headers, fragments among them.
    Extension,
    /// Cut off before the ports, or an IP header that contradicts itself.
    Unreadable,
}
