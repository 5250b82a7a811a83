//! Frames from the network as the shield reads them: no panic, no read but of headers, and what a slower
//! parser finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate_packet::{Address, Frame, Opaque, Parsed, Segment, Shape, parse};

#[path = "../../../proxy-ebpf/packet/src/tests/slow.rs"]
mod slow;

fuzz_target!(|frame: &[u8]| {
    let expected = slow::slowly(frame);
    assert_eq!(parse(&frame), expected);
    assert_eq!(parse(&slow::InPieces { first: frame, length: frame.len() }), expected);
});
