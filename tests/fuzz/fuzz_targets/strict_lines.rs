//! The lines of an accepted head, whoever sent it.

/// Every line ends in CR LF, and there is no other CR or LF and no control byte.
pub fn assert_lines_are_strict(head: &[u8]) {
    assert!(head.ends_with(b"\r\n\r\n"));
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            b'\n' => assert_eq!(head[at - 1], b'\r'),
            b'\r' => assert_eq!(head[at + 1], b'\n'),
            _ => assert!(byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        }
    }
}
