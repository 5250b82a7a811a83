//! Lookup's maps: which addresses and ports lead to which listener.

use core::mem::{offset_of, size_of};

/// Prefixes. Each family's map holds twice as many, for the new ones are there before the old ones
/// go.
pub const PREFIXES_MAX: u32 = 4096;
/// Ranges of ports of one prefix.
pub const RANGES_MAX: usize = 16;
/// Listeners that can be led to.
pub const LISTENERS_MAX: u32 = 256;

/// Ports from `first` to `last`, and the listener that takes them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The lowest port.
    pub first: u16,
    /// The highest port, itself included.
    pub last: u16,
    /// Its place in the map of listeners.
    pub listener: u32,
}

/// The ranges of a prefix; the first that holds the port counts.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// How many of `ranges` are used.
    pub count: u32,
    /// Used from the front.
    pub ranges: [Range; RANGES_MAX],
}

const _: () = assert!(size_of::<Range>() == 8);
const _: () = assert!(offset_of!(Range, last) == 2);
const _: () = assert!(offset_of!(Range, listener) == 4);
const _: () = assert!(size_of::<Ports>() == 4 + 8 * RANGES_MAX);
const _: () = assert!(offset_of!(Ports, ranges) == 4);
