//! Ethernet and VLAN tags: where the packet begins, and of which kind it is.

use crate::ip;
use crate::{Opaque, Parsed};

const VLAN: [u8; 2] = 0x8100_u16.to_be_bytes();
/// The outer tag of two, IEEE 802.1ad.
const SERVICE_VLAN: [u8; 2] = 0x88a8_u16.to_be_bytes();
const IPV4: [u8; 2] = 0x0800_u16.to_be_bytes();
const IPV6: [u8; 2] = 0x86dd_u16.to_be_bytes();

/// Bytes that can be read at an offset. The kernel's verifier wants to see each read of a packet
/// checked against the packet's end, which it does not for an index into a slice.
pub trait Frame {
    /// How many bytes there are.
    fn length(&self) -> usize;
    /// The bytes from `offset`, if all of them are there.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Frame for &[u8] {
    fn length(&self) -> usize {
        self.len()
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// Reads an Ethernet frame, up to two VLAN tags included.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F) -> Parsed {
    let Some(kind) = frame.read::<2>(12) else { return Parsed::Opaque(Opaque::Unreadable) };
    if !is_tag(kind) {
        return packet::<F, 14>(frame, kind);
    }
    let Some(kind) = frame.read::<2>(16) else { return Parsed::Opaque(Opaque::Unreadable) };
    if !is_tag(kind) {
        return packet::<F, 18>(frame, kind);
    }
    let Some(kind) = frame.read::<2>(20) else { return Parsed::Opaque(Opaque::Unreadable) };
    packet::<F, 22>(frame, kind)
}

#[inline(always)]
fn is_tag(kind: [u8; 2]) -> bool {
    kind == VLAN || kind == SERVICE_VLAN
}

/// The packet at the offset `AT`: a constant, because the verifier lets only the privileged add
/// what it cannot foresee to a packet's address.
#[inline(always)]
fn packet<F: Frame, const AT: usize>(frame: &F, kind: [u8; 2]) -> Parsed {
    match kind {
        IPV4 => ip::v4::<F, AT>(frame),
        IPV6 => ip::v6::<F, AT>(frame),
        _ => Parsed::Opaque(Opaque::NotTcp),
    }
}
