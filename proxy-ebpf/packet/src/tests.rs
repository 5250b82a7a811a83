//! The parser beside one that is slow and obvious, on frames that are nearly good.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{Address, Opaque, Parsed, Segment, Shape, parse};

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

fn slowly(frame: &[u8]) -> Result<Segment, Opaque> {
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

/// A frame whose headers agree, before something is done to it.
fn good_frame() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::collection::vec(select(vec![0x8100_u16, 0x88a8]), 0..=3);
    (tags, any::<bool>(), any::<[u8; 20]>(), 0_usize..40).prop_map(|(tags, is_v6, tcp, data)| {
        let mut segment = tcp.to_vec();
        segment[12] = 5 << 4;
        segment.resize(20 + data, 0xda);
        let length = u16::try_from(segment.len()).expect("a short segment");
        let mut frame = vec![2; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        if is_v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(0..32);
        } else {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            frame.extend(0..8);
        }
        frame.extend(segment);
        frame
    })
}

/// Up to three bytes are others, and it may end early.
fn nearly_good_frame() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..=3);
    (good_frame(), changes, prop::option::of(any::<Index>())).prop_map(|(frame, changes, end)| {
        let mut frame = frame;
        for (at, byte) in changes {
            *at.get_mut(&mut frame) = byte;
        }
        if let Some(end) = end {
            frame.truncate(end.index(frame.len() + 1));
        }
        frame
    })
}

fn parsed(frame: &[u8]) -> Result<Segment, Opaque> {
    match parse(&frame) {
        Parsed::Segment(segment) => Ok(segment),
        Parsed::Opaque(why) => Err(why),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn it_is_the_slow_parser_on_nearly_good_frames(frame in nearly_good_frame()) {
        prop_assert_eq!(parsed(&frame), slowly(&frame));
    }

    #[test]
    fn it_is_the_slow_parser_on_any_bytes(frame in prop::collection::vec(any::<u8>(), 0..120)) {
        prop_assert_eq!(parsed(&frame), slowly(&frame));
    }
}

/// The kernel joins segments of one connection to more than a length field can say.
#[test]
fn a_length_of_nothing_is_believed_of_what_the_kernel_joined() {
    let mut frame = vec![0; 14 + 20 + 65_536];
    frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
    frame[23] = 6;
    frame[34..38].copy_from_slice(&[0x9c, 0x40, 0x1f, 0x90]);
    frame[46] = 5 << 4;
    let segment = parsed(&frame).expect("a segment");
    assert_eq!((segment.destination_port, segment.shape), ([0x1f, 0x90], Shape::Other));
    frame.pop();
    assert_eq!(parsed(&frame), Err(Opaque::Unreadable), "one byte less fits into the field");
}
