//! TCP headers: what lengths, ports and flags make of a segment.

use crate::frame::Frame;

const HEADER_BYTES: usize = 20;
/// The two ports at the front.
pub(crate) const PORT_BYTES: usize = 4;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What a segment is to the shield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The first segment of a handshake.
    Syn,
    /// Any other that can be.
    Other,
    /// Shorter than its headers say.
    BadLength,
    /// SYN together with FIN or RST.
    BadFlags,
    /// From port 0.
    ZeroPort,
}

/// `claimed` bytes of segment by the IP header, `present` in the frame.
#[inline(always)]
pub(crate) fn shape<F: Frame, const AT: usize>(frame: &F, claimed: usize, present: usize) -> Shape {
    let Some(header) = frame.read::<HEADER_BYTES>(AT) else { return Shape::BadLength };
    let header_bytes = usize::from(header[12] >> 4) * 4;
    if claimed > present || header_bytes < HEADER_BYTES || header_bytes > claimed {
        return Shape::BadLength;
    }
    if header[0] == 0 && header[1] == 0 {
        return Shape::ZeroPort;
    }
    let flags = header[13];
    if flags & SYN == 0 {
        return Shape::Other;
    }
    if flags & (FIN | RST) != 0 {
        return Shape::BadFlags;
    }
    if flags & ACK == 0 { Shape::Syn } else { Shape::Other }
}
