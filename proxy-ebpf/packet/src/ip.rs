//! IPv4 and IPv6 headers of fixed length; what has more is left to the stack.

use crate::frame::Frame;
use crate::tcp;
use crate::{Opaque, Parsed, Segment};

const TCP: u8 = 6;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
/// More fragments follow, or an offset other than 0; the bit before says not to fragment.
const FRAGMENT: u16 = 0x3fff;

/// An address of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

#[inline(always)]
pub(crate) fn v4<F: Frame, const AT: usize>(frame: &F) -> Parsed {
    let Some(header) = frame.read::<V4_BYTES>(AT) else { return opaque(Opaque::Unreadable) };
    if header[9] != TCP {
        return opaque(Opaque::NotTcp);
    }
    match header[0] {
        0x45 => {}
        0x46..=0x4f => return opaque(Opaque::Options),
        _ => return opaque(Opaque::Unreadable),
    }
    if u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0 {
        return opaque(Opaque::Fragment);
    }
    let total = u16::from_be_bytes([header[2], header[3]]) as usize;
    let claimed = match total.checked_sub(V4_BYTES) {
        Some(claimed) => Some(claimed),
        None if total == 0 => None,
        None => return opaque(Opaque::Unreadable),
    };
    let source = Address::V4([header[12], header[13], header[14], header[15]]);
    let destination = Address::V4([header[16], header[17], header[18], header[19]]);
    match AT {
        14 => segment::<F, 34>(frame, claimed, source, destination),
        18 => segment::<F, 38>(frame, claimed, source, destination),
        _ => segment::<F, 42>(frame, claimed, source, destination),
    }
}

#[inline(always)]
pub(crate) fn v6<F: Frame, const AT: usize>(frame: &F) -> Parsed {
    let Some(header) = frame.read::<V6_BYTES>(AT) else { return opaque(Opaque::Unreadable) };
    if header[0] >> 4 != 6 {
        return opaque(Opaque::Unreadable);
    }
    match header[6] {
        TCP => {}
        kind if is_extension(kind) => return opaque(Opaque::Extension),
        _ => return opaque(Opaque::NotTcp),
    }
    let payload = u16::from_be_bytes([header[4], header[5]]) as usize;
    let claimed = if payload == 0 { None } else { Some(payload) };
    let (Some(source), Some(destination)) = (frame.read::<16>(AT + 8), frame.read::<16>(AT + 24))
    else {
        return opaque(Opaque::Unreadable);
    };
    let (source, destination) = (Address::V6(source), Address::V6(destination));
    match AT {
        14 => segment::<F, 54>(frame, claimed, source, destination),
        18 => segment::<F, 58>(frame, claimed, source, destination),
        _ => segment::<F, 62>(frame, claimed, source, destination),
    }
}

/// Headers that may stand between IPv6 and TCP, and those that hide what follows (RFC 7045).
#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 50 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}

/// The segment at the offset `AT`, of which the IP header claims so many bytes. None is claimed for
/// what the kernel has put together from segments to more than 65535 bytes, which no wire carries.
#[inline(always)]
fn segment<F: Frame, const AT: usize>(
    frame: &F,
    claimed: Option<usize>,
    source: Address,
    destination: Address,
) -> Parsed {
    let present = frame.length().saturating_sub(AT);
    let claimed = match claimed {
        Some(claimed) => claimed,
        None if present > u16::MAX as usize => present,
        None => return opaque(Opaque::Unreadable),
    };
    if claimed < tcp::PORT_BYTES {
        return opaque(Opaque::Unreadable);
    }
    let Some(ports) = frame.read::<4>(AT) else { return opaque(Opaque::Unreadable) };
    Parsed::Segment(Segment {
        source,
        destination,
        destination_port: [ports[2], ports[3]],
        shape: tcp::shape::<F, AT>(frame, claimed, present),
    })
}

#[inline(always)]
fn opaque(why: Opaque) -> Parsed {
    Parsed::Opaque(why)
}
