//! Bytes that differ from place to place, so that a lost, doubled or moved one shows.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

/// No power of two, so that no buffer size is a multiple of it.
const PERIOD: usize = (1 << 20) + 7;

/// A stream of bytes that begins at a place of its own.
#[derive(Debug, Clone)]
pub struct Noise {
    at: usize,
}

impl Noise {
    pub fn new(seed: u64) -> Self {
        // Streams of neighbouring seeds are far from each other.
        let at = usize::try_from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap();
        Self { at: at % PERIOD }
    }

    /// The next bytes, at most so many.
    fn next(&mut self, most: usize) -> &'static [u8] {
        let rest = &block()[self.at..];
        let part = &rest[..most.min(rest.len())];
        self.at = (self.at + part.len()) % PERIOD;
        part
    }

    /// Writes the next `length` bytes; says how many were taken where not all were.
    pub fn write(&mut self, to: &mut impl Write, length: usize) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < length {
            let mut ahead = self.clone();
            match to.write(ahead.next(length - written)) {
                Ok(taken) => {
                    self.next(taken);
                    written += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// These have to be the next bytes; `behind` says how many came before.
    #[track_caller]
    pub fn check(&mut self, bytes: &[u8], behind: usize) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let expected = self.next(rest.len());
            if !rest.starts_with(expected) {
                let mut pairs = rest.iter().zip(expected);
                let equal = pairs.position(|(one, other)| one != other).unwrap_or_default();
                let at = behind + bytes.len() - rest.len() + equal;
                let found = &rest[equal..];
                let of = found.get(..8).and_then(|found| memchr::memmem::find(block(), found));
                panic!(
                    "wrong bytes at {at}: those of {of:?} + n * {PERIOD} where those of {} belong",
                    (self.at + PERIOD - expected.len() + equal) % PERIOD
                );
            }
            rest = &rest[expected.len()..];
        }
    }

    /// Reads exactly `length` bytes, which have to be the next ones.
    #[track_caller]
    pub fn expect(&mut self, from: &mut impl Read, length: usize) {
        let mut buffer = vec![0; length.min(256 << 10)];
        let mut left = length;
        while left > 0 {
            let most = left.min(buffer.len());
            let read = from.read(&mut buffer[..most]).unwrap();
            assert!(read > 0, "the stream ends {left} bytes of {length} early");
            self.check(&buffer[..read], length - left);
            left -= read;
        }
    }
}

fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut random = super::random::Random::new(1);
        let words = std::iter::repeat_with(|| random.next().to_le_bytes());
        words.flatten().take(PERIOD).collect()
    })
}
