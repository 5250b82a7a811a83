//! The HTTP/1.1 message layer: bytes in, typed messages out, no I/O, no heap on the accepted path.
//!
//! ```text
//! bytes -> parse_request  -> RequestHead  -> end_to_end() -> HeadWriter -> bytes
//!          parse_response -> ResponseHead
//! body  -> ChunkedDecoder (in place)      -> chunk_header + data -> bytes
//! ```
//!
//! RFC 9110 and RFC 9112 are the law. Where they leave a recipient a choice, the answer here is the
//! one that no other implementation can read differently: doubtful messages are refused, never
//! repaired, and what goes out is written anew from the parsed message, so that the two sides of the
//! gateway cannot disagree on where a message ends.

mod authority;
mod chunked;
mod connection;
mod diagnosis;
mod encode;
mod error;
mod fields;
mod forwarded;
mod framing;
mod path;
mod request_head;
mod response_head;
mod target;
mod trailers;

pub use authority::without_port;
pub use chunked::{ChunkedDecoder, Decoded};
pub use connection::CONNECTION_OPTIONS_MAX;
pub use encode::{
    CHUNK_HEADER_MAX, HeadOverflow, HeadWriter, LAST_CHUNK, chunk_header, reason_phrase,
};
pub use error::{ChunkedError, RequestError, ResponseError};
pub use fields::{Field, FieldSlots, names_alike};
pub use forwarded::ToldClient;
pub use framing::BodyLength;
pub use request_head::{METHOD_BYTES_MAX, RequestHead, parse_request};
pub use response_head::{ResponseHead, parse_response};
pub use target::{Target, is_normal_path};
pub use trailers::retain_trailers;

/// Bounds on a message head and on a trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, its start line and its empty line included.
    pub head_bytes: usize,
    /// Field lines; what [`FieldSlots`] holds bounds it too.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
}

/// Bounds on what a chunked body has beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of sizes, extensions and line ends beyond eight for each byte of data in their chunk.
    pub overhead_bytes: usize,
    /// On the trailer section.
    pub trailers: HeadLimits,
}

/// What a parser made of the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<T> {
    /// The message head is whole.
    Complete(T),
    /// Nothing is wrong yet and more bytes are needed.
    Partial,
}

/// The protocol version a message head names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, not persistent unless it says so.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Whether an empty line ends in `bytes` at or after `from`: only then can a head be complete.
///
/// A caller that has parsed `bytes[..from]` to [`Progress::Partial`] asks this before it parses
/// again, so that a client which sends one byte at a time costs one look at each byte and not a
/// parse of the whole head each time. Bare LF counts as a line end here: the parser refuses it, and
/// must be asked to. At `limits.head_bytes` the caller parses whatever this says.
#[must_use]
pub fn head_end(bytes: &[u8], from: usize) -> bool {
    // The line end before the empty line may be among the bytes already seen: LF CR | LF.
    let rest = &bytes[from.saturating_sub(2).min(bytes.len())..];
    memchr::memchr_iter(b'\n', rest)
        .any(|at| matches!(rest.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}

#[cfg(test)]
mod tests;
