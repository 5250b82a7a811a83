//! The framing of a body on either side: decoded where it comes from, encoded anew where it goes.

use crate::http1::{
    BodyLength, CHUNK_HEADER_MAX, ChunkLimits, ChunkedDecoder, ChunkedError, LAST_CHUNK,
    chunk_header,
};
use crate::uring::Buffer;

/// Where a body comes from: what tells its end.
#[derive(Debug)]
pub enum Source {
    /// This many bytes are still to come.
    Length(u64),
    /// Chunks until the last one.
    Chunked(ChunkedDecoder),
    /// All bytes until the sender closes.
    UntilClose,
}

/// How a body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// As it is: the head has told its length, or closing tells its end.
    Raw,
    /// In chunks.
    Chunked,
}

/// What was found in a buffer.
#[derive(Debug)]
pub struct Step {
    /// Whether the body has ended.
    pub done: bool,
    /// What came behind the end: the beginning of the next message, or rubbish.
    pub leftover: Option<Buffer>,
    /// The trailer section as it is to be sent on, whole field lines, at the end of a body that
    /// has one.
    pub trailers: Option<Vec<u8>>,
}

impl Source {
    /// The source for a body of this framing; no body is a length of 0.
    #[must_use]
    pub fn new(length: BodyLength, limits: ChunkLimits) -> Self {
        match length {
            BodyLength::None => Self::Length(0),
            BodyLength::Length(bytes) => Self::Length(bytes),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new(limits)),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Reduces `buffer`, which holds the next bytes of the connection, to the body bytes in it.
    ///
    /// # Errors
    /// When the chunks are malformed.
    pub fn step(&mut self, buffer: &mut Buffer) -> Result<Step, ChunkedError> {
        match self {
            Self::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= data as u64;
                let leftover = buffer.split_off(data);
                Ok(Step { done: *left == 0, leftover, trailers: None })
            }
            Self::Chunked(decoder) => {
                let decoded = decoder.decode(buffer.filled_mut())?;
                let leftover = buffer.split_off(decoded.consumed);
                buffer.truncate(decoded.data);
                let trailers = if decoded.done { decoder.take_trailers() } else { None };
                Ok(Step { done: decoded.done, leftover, trailers })
            }
            Self::UntilClose => Ok(Step { done: false, leftover: None, trailers: None }),
        }
    }

    /// How many bytes may be received without taking any that belong to the next message.
    pub(super) fn receivable(&self) -> usize {
        match self {
            Self::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Self::Chunked(_) | Self::UntilClose => usize::MAX,
        }
    }

    /// Whether more than `bytes` are known to be still to come.
    pub(super) fn is_longer_than(&self, bytes: usize) -> bool {
        matches!(self, Self::Length(left) if *left > bytes as u64)
    }

    /// Whether the sender's closing is a proper end.
    pub(super) fn ends_at_close(&self) -> bool {
        matches!(self, Self::UntilClose)
    }
}

impl Sink {
    /// Bytes that framing needs in front of the data.
    #[must_use]
    pub fn front_room(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Chunked => CHUNK_HEADER_MAX,
        }
    }

    /// Frames the data in `buffer`, which has [`Self::front_room`] in front of it and
    /// [`crate::uring::TAIL_ROOM`] behind it. At the end of a body with trailers, these and an
    /// empty line are still to be sent.
    pub fn frame(self, buffer: &mut Buffer, done: bool, trailers: bool) {
        if self == Self::Raw {
            return;
        }
        let mut fits = true;
        if !buffer.is_empty() {
            let mut header = [0; CHUNK_HEADER_MAX];
            let length = chunk_header(buffer.len(), &mut header);
            buffer.prepend(&header[..length]);
            fits &= buffer.append(b"\r\n");
        }
        if done {
            fits &= buffer.append(LAST_CHUNK);
            fits &= trailers || buffer.append(b"\r\n");
        }
        assert!(fits, "a receive leaves TAIL_ROOM behind what it fills");
    }
}
