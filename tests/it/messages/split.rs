//! How the bytes of a case arrive.

use std::time::Duration;

use crate::harness::deadline::pace;
use crate::harness::wire::Wire;

/// How the bytes of a case are cut into what is sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// All of them.
    Whole,
    /// Behind each CR, so inside each line end.
    LineEnds,
    /// One by one.
    Bytes,
}

/// Longer messages are not sent byte by byte.
const BYTE_BY_BYTE_MAX: usize = 400;

const PAUSE: Duration = Duration::from_millis(4);

impl Split {
    /// Those that make a difference for this message.
    pub fn for_message(bytes: &[u8]) -> &'static [Self] {
        if bytes.len() > BYTE_BY_BYTE_MAX {
            &[Self::Whole, Self::LineEnds]
        } else {
            &[Self::Whole, Self::LineEnds, Self::Bytes]
        }
    }

    /// Sends a message as a slow peer: behind the first piece, the middle one and the last but one,
    /// which so have mostly been read before the next. Where they have not, less is shown, and
    /// nothing wrongly.
    pub fn send(self, wire: &mut Wire, bytes: &[u8]) {
        let pieces: Vec<&[u8]> = match self {
            Self::Whole => vec![bytes],
            Self::LineEnds => bytes.split_inclusive(|byte| *byte == b'\r').collect(),
            Self::Bytes => bytes.chunks(1).collect(),
        };
        let pauses = [1, pieces.len() / 2, pieces.len().saturating_sub(1)];
        for (at, piece) in pieces.into_iter().enumerate() {
            if at > 0 && pauses.contains(&at) {
                pace(PAUSE);
            }
            // A gateway that has refused the beginning reads on for a while only.
            if wire.try_send(piece).is_err() {
                break;
            }
        }
    }
}
