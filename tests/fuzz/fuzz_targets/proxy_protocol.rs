//! The header of the PROXY protocol: no panic, the same answer in any split, none longer than its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::proxy_protocol::{HEADER_BYTES_MAX, Parsed, parse};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    let decided = (0..=input.len()).map(|end| parse(&input[..end])).find(|now| *now != Parsed::Partial);
    assert_eq!(decided.unwrap_or(Parsed::Partial), whole);
    match whole {
        Parsed::Complete(header) => {
            assert!(header.bytes <= input.len().min(HEADER_BYTES_MAX));
            assert_eq!(parse(&input[..header.bytes]), whole);
        }
        Parsed::Partial => assert!(input.len() < HEADER_BYTES_MAX),
        Parsed::Absent | Parsed::Malformed => {}
    }
});
