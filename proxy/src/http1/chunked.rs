//! Decodes a chunked body (RFC 9112 section 7.1), in place and in any split of its bytes.
//!
//! ```text
//!          digit      ;             CR        LF, size > 0
//!  Size <-------> , -----> Extension ---> SizeLf ---------> Data(left)
//!   ^                                        |                 | left = 0
//!   |            LF               CR         |                 v
//!   +--------- DataLf <------------------ DataCr <-------------+
//!                                            |
//!                                            | LF, size = 0
//!                                            v
//!    Done <-- LF -- EndLf <-- CR -- TrailerStart <-- LF -- TrailerLf <-- CR -- Trailer
//! ```
//!
//! One spelling of a chunk header is accepted beside extensions: digits, CR, LF. No sign, no prefix,
//! no whitespace after the size, which RFC 9112 forbids senders and recipients read differently.

use super::trailers::forwardable;
use super::{ChunkLimits, ChunkedError};

/// Bytes that are no data, for each byte of data in a chunk, that do not count as overhead: a chunk
/// of one byte in its usual spelling takes five.
const OVERHEAD_FREE: u64 = 8;

/// The line ends of a chunk: behind its size and behind its data.
const LINE_END_BYTES: u64 = 4;

/// Digits of a chunk size: what a u64 holds.
const SIZE_DIGITS_MAX: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or in the size. With `digits` read, `size` is their value.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
    Failed(ChunkedError),
}

/// The decoder of one chunked body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    limits: ChunkLimits,
    /// Bytes that are no data, less what the data of their chunk excuses; below zero only within a
    /// chunk, so that a large one is no credit for later ones.
    overhead: i64,
    /// The trailer section as received, until it is whole; then the lines to forward.
    trailers: Vec<u8>,
}

/// What one call of [`ChunkedDecoder::decode`] made of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of body data, now at the front.
    pub data: usize,
    /// Bytes used up. All of them, unless the body is done.
    pub consumed: usize,
    /// Whether the body is whole; what follows is the next message.
    pub done: bool,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body. Its trailer section keeps to the limits of a head.
    #[must_use]
    pub fn new(limits: ChunkLimits) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            limits,
            overhead: 0,
            trailers: Vec::new(),
        }
    }

    /// Decodes `bytes`, which follow those of the call before, and moves the data in them to their
    /// front. Bytes from `consumed` on are left as they are.
    ///
    /// # Errors
    ///
    /// The body is not chunked as it should be; every later call says the same.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkedError> {
        let mut data = 0;
        let mut consumed = 0;
        while consumed < bytes.len() && self.state != State::Done {
            if let State::Data { left } = self.state {
                let rest = bytes.len() - consumed;
                let here = usize::try_from(left).map_or(rest, |left| left.min(rest));
                bytes.copy_within(consumed..consumed + here, data);
                data += here;
                consumed += here;
                self.state = match left - here as u64 {
                    0 => State::DataCr,
                    left => State::Data { left },
                };
                continue;
            }
            let next = self.step(bytes[consumed]);
            self.state = next.unwrap_or_else(State::Failed);
            next?;
            consumed += 1;
        }
        Ok(Decoded { data, consumed, done: self.state == State::Done })
    }

    /// The trailer lines to forward, each `Name: value` with CR LF, once the body is done; `None` if
    /// there are none.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        let is_whole = self.state == State::Done && !self.trailers.is_empty();
        is_whole.then(|| std::mem::take(&mut self.trailers))
    }

    /// The edge that a byte outside chunk data takes.
    fn step(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match (self.state, byte) {
            (State::Size { digits: digits @ 1.., size }, b'\r') => self.sized(size, digits),
            (State::Size { digits: digits @ 1.., size }, b';') => {
                self.sized(size, digits)?;
                self.extension(size)
            }
            (State::Size { digits: 1.., .. }, b'\n') => Err(ChunkedError::LineEnd),
            (State::Size { digits, size }, _) => size_digit(size, digits, byte),
            (State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { .. }, b'\n') => Err(ChunkedError::LineEnd),
            (State::Extension { size }, b'\t' | b' '..=0x7e | 0x80..) => self.extension(size),
            (State::Extension { .. }, _) => Err(ChunkedError::Extension),
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::SizeLf { .. }, _) => Err(ChunkedError::LineEnd),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(ChunkedError::DataEnd),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::Trailer, b'\r') => self.trailer(byte, State::TrailerLf),
            (State::TrailerStart | State::Trailer, b'\n') => Err(ChunkedError::LineEnd),
            (State::TrailerStart | State::Trailer, _) => self.trailer(byte, State::Trailer),
            (State::TrailerLf, b'\n') => self.trailer(byte, State::TrailerStart),
            (State::EndLf, b'\n') => self.end(),
            (State::TrailerLf | State::EndLf, _) => Err(ChunkedError::LineEnd),
            (State::Failed(error), _) => Err(error),
            (State::Data { .. } | State::Done, _) => {
                debug_assert!(false, "data and what follows the body are not stepped through");
                Ok(self.state)
            }
        }
    }

    /// Counts the bytes around a chunk's data, without extensions.
    fn sized(&mut self, size: u64, digits: u8) -> Result<State, ChunkedError> {
        let excused = i64::try_from(size.saturating_mul(OVERHEAD_FREE)).unwrap_or(i64::MAX);
        let around = i64::from(digits) + LINE_END_BYTES.cast_signed();
        self.overhead = (self.overhead.max(0) + around).saturating_sub(excused);
        self.check_overhead(State::SizeLf { size })
    }

    fn extension(&mut self, size: u64) -> Result<State, ChunkedError> {
        self.overhead += 1;
        self.check_overhead(State::Extension { size })
    }

    fn check_overhead(&self, next: State) -> Result<State, ChunkedError> {
        let most = i64::try_from(self.limits.overhead_bytes).unwrap_or(i64::MAX);
        if self.overhead > most { Err(ChunkedError::Overhead) } else { Ok(next) }
    }

    fn trailer(&mut self, byte: u8, next: State) -> Result<State, ChunkedError> {
        if self.trailers.len() >= self.limits.trailers.head_bytes {
            return Err(ChunkedError::TrailersTooLong);
        }
        self.trailers.push(byte);
        Ok(next)
    }

    fn end(&mut self) -> Result<State, ChunkedError> {
        if !self.trailers.is_empty() {
            self.trailers.extend_from_slice(b"\r\n");
            self.trailers = forwardable(&self.trailers, self.limits.trailers)?;
        }
        Ok(State::Done)
    }
}

fn size_digit(size: u64, digits: u8, byte: u8) -> Result<State, ChunkedError> {
    let digit = char::from(byte).to_digit(16).ok_or(ChunkedError::Size)?;
    if digits == SIZE_DIGITS_MAX {
        return Err(ChunkedError::SizeTooLong);
    }
    Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
}

#[cfg(test)]
mod tests;
