//! Frames of a WebSocket: no panic, and the same boundaries in any split and by a slower reading. The
//! first byte of the input says how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::relay::Frames;

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let mut frames = Frames::default();
    let mut at = 0;
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        let mut cut = frames.clone();
        let passed = cut.advance_to_boundary(piece);
        assert!(passed == piece.len() || cut.is_at_boundary());
        frames.advance(piece);
        at += piece.len();
        assert_eq!(frames.is_at_boundary(), ends_here(&bytes[..at]));
    }
});

/// Whether the bytes are whole frames, read from the front (RFC 6455 section 5.2).
fn ends_here(mut bytes: &[u8]) -> bool {
    while let [_, second, ..] = bytes {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(length) = bytes.get(2..2 + extended) else { return false };
        let length = match extended {
            0 => u128::from(second & 0x7f),
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte)),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let whole = 2 + extended as u128 + mask + length;
        let Some(rest) = usize::try_from(whole).ok().and_then(|whole| bytes.get(whole..)) else {
            return false;
        };
        bytes = rest;
    }
    bytes.is_empty()
}
