//! The parser once more, slow and obvious, and a frame that watches how it is read: for the tests here
//! and for the fuzz target.

use super::{Address, Frame, Opaque, Parsed, Segment, Shape};

/// Two VLAN tags, and IPv6 and TCP headers of fixed length.
pub(crate) const HEADER_BYTES_MAX: usize = 14 + 2 * 4 + 40 + 20;

/// A frame of which only the beginning can be read at once, as the kernel hands out long ones.
pub(crate) struct InPieces<'a> {
    pub(crate) first: &'a [u8],
    pub(crate) length: usize,
}

impl Frame for InPieces<'_> {
    fn length(&self) -> usize {
        self.length
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        assert!(offset + N <= HEADER_BYTES_MAX, "{N} bytes at {offset} are no header");
        Some(array(self.first.get(offset..offset + N)?))
    }
}

/// Reads from the front, a piece at a time.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Opaque> {
        let (piece, rest) = self.0.split_at_checked(count).ok_or(Opaque::Unreadable)?;
        self.0 = rest;
        Ok(piece)
    }

    fn number(&mut self) -> Result<u16, Opaque> {
        Ok(u16::from_be_bytes(array(self.take(2)?)))
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as were taken")
}

/// What the parser is to find in a frame.
pub(crate) fn slowly(frame: &[u8]) -> Parsed {
    match segment_of(frame) {
        Ok(segment) => Parsed::Segment(segment),
        Err(why) => Parsed::Opaque(why),
    }
}

fn segment_of(frame: &[u8]) -> Result<Segment, Opaque> {
    let mut reader = Reader(frame);
    reader.take(12)?;
    let mut kind = reader.number()?;
    for _ in 0..2 {
        if [0x8100, 0x88a8].contains(&kind) {
            reader.take(2)?;
            kind = reader.number()?;
        }
    }
    match kind {
        0x0800 => v4(reader),
        0x86dd => v6(reader),
        _ => Err(Opaque::NotTcp),
    }
}

fn v4(mut reader: Reader<'_>) -> Result<Segment, Opaque> {
    let header = reader.take(20)?;
    let (version, header_words) = (header[0] / 16, header[0] % 16);
    let total = u16::from_be_bytes([header[2], header[3]]);
    let more_fragments = header[6] & 0b0010_0000 != 0;
    let fragment_offset = u16::from_be_bytes([header[6] & 0b0001_1111, header[7]]);
    if header[9] != 6 {
        return Err(Opaque::NotTcp);
    }
    if version != 4 || header_words < 5 {
        return Err(Opaque::Unreadable);
    }
    if header_words > 5 {
        return Err(Opaque::Options);
    }
    if more_fragments || fragment_offset > 0 {
        return Err(Opaque::Fragment);
    }
    let claimed = match total {
        0 => None,
        1..20 => return Err(Opaque::Unreadable),
        _ => Some(usize::from(total) - 20),
    };
    let (source, destination) = (array(&header[12..16]), array(&header[16..20]));
    segment(reader.0, claimed, Address::V4(source), Address::V4(destination))
}

fn v6(mut reader: Reader<'_>) -> Result<Segment, Opaque> {
    let header = reader.take(40)?;
    if header[0] / 16 != 6 {
        return Err(Opaque::Unreadable);
    }
    if [0, 43, 44, 50, 51, 60, 135, 139, 140, 253, 254].contains(&header[6]) {
        return Err(Opaque::Extension);
    }
    if header[6] != 6 {
        return Err(Opaque::NotTcp);
    }
    let claimed = Some(usize::from(u16::from_be_bytes([header[4], header[5]])));
    let (source, destination) = (array(&header[8..24]), array(&header[24..40]));
    let claimed = claimed.filter(|bytes| *bytes > 0);
    segment(reader.0, claimed, Address::V6(source), Address::V6(destination))
}

fn segment(
    bytes: &[u8],
    claimed: Option<usize>,
    source: Address,
    destination: Address,
) -> Result<Segment, Opaque> {
    let joined_by_the_kernel = (bytes.len() > 65_535).then_some(bytes.len());
    let claimed = claimed.or(joined_by_the_kernel).ok_or(Opaque::Unreadable)?;
    if claimed < 4 || bytes.len() < 4 {
        return Err(Opaque::Unreadable);
    }
    let shape = shape(bytes, claimed);
    Ok(Segment { source, destination, destination_port: array(&bytes[2..4]), shape })
}

fn shape(bytes: &[u8], claimed: usize) -> Shape {
    if bytes.len() < 20 || bytes.len() < claimed {
        return Shape::BadLength;
    }
    let header_bytes = usize::from(bytes[12] / 16) * 4;
    if !(20..=claimed).contains(&header_bytes) {
        return Shape::BadLength;
    }
    if bytes[..2] == [0, 0] {
        return Shape::ZeroPort;
    }
    let [fin, syn, rst, ack] = [0, 1, 2, 4].map(|bit| bytes[13] >> bit & 1 == 1);
    match (syn, fin || rst, ack) {
        (true, true, _) => Shape::BadFlags,
        (true, false, false) => Shape::Syn,
        (true, false, true) | (false, _, _) => Shape::Other,
    }
}
