//! The compact serialisation (RFC 7515 section 3.1): three segments of canonical base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refusal::Reason;
use super::trace::{Detail, Trace};

/// The segments of a token, each of base64url characters and not empty.
pub(super) struct Compact<'t> {
    pub(super) header: &'t [u8],
    pub(super) payload: &'t [u8],
    pub(super) signature: &'t [u8],
    /// Header and payload with the dot between them.
    pub(super) signed: &'t [u8],
}

impl<'t> Compact<'t> {
    /// Splits a token of at most `bytes_max` bytes; nothing is decoded yet.
    pub(super) fn split(
        token: &'t [u8],
        bytes_max: usize,
        trace: &mut impl Trace,
    ) -> Result<Self, Reason> {
        let fits = token.len() <= bytes_max;
        trace.check(
            "size",
            || Detail::new(format!("{} bytes", token.len()), format!("at most {bytes_max}")),
            if fits { Ok(()) } else { Err(Reason::TokenTooLong) },
        )?;
        // Without an early end, which would keep the compiler from looking at many bytes at once.
        let all_known = token.iter().fold(true, |all, byte| all & is_token_byte(*byte));
        trace.check(
            "characters",
            || {
                let foreign = token.iter().position(|byte| !is_token_byte(*byte));
                let found = foreign.map_or("all".into(), |at| format!("another at byte {at}"));
                Detail::new(found, "base64url and dots")
            },
            if all_known { Ok(()) } else { Err(Reason::TokenCharacters) },
        )?;
        let parts = Self::parts(token);
        trace.check(
            "segments",
            || {
                let lengths: Vec<_> =
                    token.split(|b| *b == b'.').map(|part| part.len().to_string()).collect();
                Detail::new(format!("of {} bytes", lengths.join(", ")), "three, none empty")
            },
            parts.ok_or(Reason::TokenSegments),
        )
    }

    /// The length of the token as a whole.
    pub(super) fn token_bytes(&self) -> usize {
        self.signed.len() + 1 + self.signature.len()
    }

    fn parts(token: &'t [u8]) -> Option<Self> {
        let first = memchr::memchr(b'.', token)?;
        let (header, rest) = (&token[..first], &token[first + 1..]);
        let second = memchr::memchr(b'.', rest)?;
        let (payload, signature) = (&rest[..second], &rest[second + 1..]);
        let empty = header.is_empty() || payload.is_empty() || signature.is_empty();
        if empty || memchr::memchr(b'.', signature).is_some() {
            return None;
        }
        Some(Self { header, payload, signature, signed: &token[..first + 1 + second] })
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_') | (byte == b'.')
}

/// The bytes of a segment, put into `room`, which grows to what the longest token needs. A segment
/// that has another spelling of the same bytes (padding, bits set beyond the last byte) is
/// refused, so that a token has exactly one.
pub(super) fn decode<'r>(
    check: &'static str,
    segment: &[u8],
    room: &'r mut Vec<u8>,
    trace: &mut impl Trace,
) -> Result<&'r [u8], Reason> {
    let most = base64::decoded_len_estimate(segment.len());
    if room.len() < most {
        room.resize(most, 0);
    }
    let decoded = URL_SAFE_NO_PAD.decode_slice(segment, room);
    let found = decoded.as_ref().map_or(0, |length| *length);
    trace.check(
        check,
        || Detail::new(format!("{found} bytes"), "canonical base64url"),
        decoded.map(|length| &room[..length]).map_err(|_| Reason::TokenEncoding),
    )
}
