//! What the eBPF programs and their loader share: map keys, map values and constants.
//!
//! Both sides are built from these types, but at different times by different compilers, so each
//! type has a fixed representation without padding, and its size and offsets are asserted.
#![no_std]

pub mod lookup;
pub mod shield;
pub mod splice;
pub mod steer;

#[cfg(feature = "loader")]
mod pod;

/// An IPv4 address as an IPv6 one, `::ffff:a.b.c.d`, so that one key serves both families.
#[must_use]
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}
