//! The parser beside one that is slow and obvious, on frames that are nearly good.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{Address, Frame, Opaque, Parsed, Segment, Shape, parse};

mod slow;

use slow::{HEADER_BYTES_MAX, InPieces, slowly};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn it_is_the_slow_parser_on_nearly_good_frames(frame in nearly_good_frame()) {
        prop_assert_eq!(parse(&frame.as_slice()), slowly(&frame));
    }

    #[test]
    fn it_is_the_slow_parser_on_any_bytes(frame in prop::collection::vec(any::<u8>(), 0..120)) {
        prop_assert_eq!(parse(&frame.as_slice()), slowly(&frame));
    }

    #[test]
    fn of_a_long_frame_it_reads_the_headers_only(frame in nearly_good_frame(), rest in 0..70_000_usize) {
        let mut first = frame;
        first.resize(first.len().max(HEADER_BYTES_MAX), 0);
        let mut whole = first.clone();
        whole.resize(first.len() + rest, 0);
        let pieces = InPieces { first: &first, length: whole.len() };
        prop_assert_eq!(parse(&pieces), slowly(&whole));
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
    let Parsed::Segment(segment) = parse(&frame.as_slice()) else { panic!("a segment") };
    assert_eq!((segment.destination_port, segment.shape), ([0x1f, 0x90], Shape::Other));
    frame.pop();
    let short = parse(&frame.as_slice());
    assert_eq!(short, Parsed::Opaque(Opaque::Unreadable), "one byte less fits into the field");
}
