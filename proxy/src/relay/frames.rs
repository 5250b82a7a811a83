//! Where the frames of one direction of a WebSocket end (RFC 6455 section 5.2): headers are read,
//! payloads only counted.
//!
//! A frame of the gateway's own may stand only between two others.

/// The longest header but for the masking key, which counts with the payload here.
const HEADER_MAX: usize = 10;
const MASK_BYTES: u64 = 4;

/// The status of a close frame: policy violation (RFC 6455 section 7.4.1).
const POLICY_VIOLATION: u16 = 1008;
const FINAL_CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;

/// How far one direction has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frames {
    header: [u8; HEADER_MAX],
    /// Bytes of the header that have passed; 0 between two frames.
    filled: usize,
    /// Bytes still to come behind the header, once that is whole.
    left: u64,
    closed: bool,
}

impl Frames {
    /// Follows bytes that pass.
    pub fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.follow_frame(rest)..];
        }
    }

    /// Follows the bytes up to the first place between two frames, and says how many these are: none
    /// at such a place, all where there is none.
    pub fn advance_to_boundary(&mut self, bytes: &[u8]) -> usize {
        if self.is_at_boundary() { 0 } else { self.follow_frame(bytes) }
    }

    /// Whether a frame may stand here.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.filled == 0
    }

    /// Whether a close frame has passed: none may follow.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes up to the end of a frame, of the one that has begun or of the first.
    fn follow_frame(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.filled < self.header_bytes() {
            let Some(byte) = bytes.get(used) else { return used };
            self.header[self.filled] = *byte;
            self.filled += 1;
            used += 1;
            if self.filled == self.header_bytes() {
                self.left = self.behind_header();
                self.closed |= self.header[0] & 0x0f == 8;
            }
        }
        let taken = self.left.min((bytes.len() - used) as u64);
        self.left -= taken;
        if self.left == 0 {
            self.filled = 0;
        }
        // Not more than there are bytes.
        used + taken as usize
    }

    /// As far as it can be told by now.
    fn header_bytes(&self) -> usize {
        match self.header[1] & 0x7f {
            _ if self.filled < 2 => 2,
            126 => 4,
            127 => HEADER_MAX,
            _ => 2,
        }
    }

    fn behind_header(&self) -> u64 {
        let length = &self.header[2..self.header_bytes()];
        let payload = match self.header[1] & 0x7f {
            short @ 0..=125 => u64::from(short),
            _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let mask = if self.header[1] & MASKED == 0 { 0 } else { MASK_BYTES };
        payload.saturating_add(mask)
    }
}

/// A close frame for policy reasons; `reason` is cut after 123 bytes. A client masks its own
/// frames, a server does not.
#[must_use]
pub fn close_frame(reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = POLICY_VIOLATION.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    // At most 125.
    let length = payload.len() as u8;
    let mut frame = vec![FINAL_CLOSE, length | if mask.is_some() { MASKED } else { 0 }];
    if let Some(mask) = mask {
        frame.extend(mask);
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match payload {
            0..126 => bytes.push(mask | payload as u8),
            126..65536 => {
                bytes.push(mask | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0xff, payload + if masked { 4 } else { 0 }));
        bytes
    }

    #[test]
    fn frames_end_where_their_headers_say() {
        for masked in [false, true] {
            for payload in [0, 1, 125, 126, 65_535, 65_536] {
                let bytes = frame(0x82, payload, masked);
                let mut frames = Frames::default();
                frames.advance(&bytes[..bytes.len() - 1]);
                assert!(!frames.is_at_boundary(), "{payload} {masked}");
                frames.advance(&bytes[bytes.len() - 1..]);
                assert!(frames.is_at_boundary(), "{payload} {masked}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_longer_than_any_stream_never_ends() {
        let mut frames = Frames::default();
        frames.advance(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        frames.advance(&[0; 1000]);
        assert!(!frames.is_at_boundary());
    }

    #[test]
    fn a_close_frame_is_noticed_once_its_header_is_whole() {
        let mut frames = Frames::default();
        frames.advance(&[0x89, 0]);
        assert!(!frames.is_closed());
        frames.advance(&[0x88]);
        assert!(!frames.is_closed());
        frames.advance(&[2]);
        assert!(frames.is_closed() && !frames.is_at_boundary());
    }

    #[test]
    fn a_close_frame_says_policy_violation_and_why() {
        assert_eq!(close_frame("no", None), [0x88, 4, 0x03, 0xf0, b'n', b'o']);
        let masked = close_frame("no", Some([1, 2, 3, 4]));
        assert_eq!(masked, [0x88, 0x84, 1, 2, 3, 4, 0x03 ^ 1, 0xf0 ^ 2, b'n' ^ 3, b'o' ^ 4]);
        assert_eq!(close_frame(&"x".repeat(200), None).len(), 127);
    }

    proptest! {
        /// However the bytes are cut, the boundaries are those between the frames.
        #[test]
        fn boundaries_do_not_depend_on_how_bytes_arrive(
            payloads in proptest::collection::vec((0_usize..300, any::<bool>()), 1..8),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
        ) {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for (payload, masked) in payloads {
                bytes.extend(frame(0x82, payload, masked));
                ends.push(bytes.len());
            }
            let (mut frames, mut at, mut cuts) = (Frames::default(), 0, cuts.iter().cycle());
            while at < bytes.len() {
                let cut = (at + cuts.next().unwrap()).min(bytes.len());
                let mut probe = frames.clone();
                let to_boundary = at + probe.advance_to_boundary(&bytes[at..cut]);
                let is_end = |place: usize| place == 0 || ends.contains(&place);
                let expected = (at..=cut).find(|place| is_end(*place)).unwrap_or(cut);
                prop_assert_eq!(to_boundary, expected);
                frames.advance(&bytes[at..cut]);
                at = cut;
                prop_assert_eq!(frames.is_at_boundary(), is_end(at));
            }
        }
    }
}
