//! Chunked bodies: no panic, and the same data, trailers and end in any split. The first byte of the
//! input says how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::http1::{ChunkLimits, ChunkedDecoder, ChunkedError, HeadLimits};

const LIMITS: ChunkLimits = ChunkLimits {
    overhead_bytes: 64,
    trailers: HeadLimits { head_bytes: 512, head_fields: 8, target_bytes: 0 },
};

#[derive(Debug, PartialEq)]
struct Body {
    data: Vec<u8>,
    trailers: Option<Vec<u8>>,
    consumed: usize,
    done: bool,
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, 1), whole);
    assert_eq!(decode(bytes, usize::from(piece).max(1)), whole);
});

fn decode(bytes: &[u8], piece: usize) -> Result<Body, ChunkedError> {
    let mut decoder = ChunkedDecoder::new(LIMITS);
    let mut body = Body { data: Vec::new(), trailers: None, consumed: 0, done: false };
    for piece in bytes.chunks(piece) {
        let mut buffer = piece.to_vec();
        let decoded = decoder.decode(&mut buffer)?;
        assert!(decoded.data <= decoded.consumed);
        assert_eq!(buffer[decoded.consumed..], piece[decoded.consumed..]);
        assert!(decoded.done || decoded.consumed == piece.len());
        body.data.extend_from_slice(&buffer[..decoded.data]);
        body.consumed += decoded.consumed;
        if decoded.done {
            body.trailers = decoder.take_trailers();
            body.done = true;
            break;
        }
    }
    Ok(body)
}
