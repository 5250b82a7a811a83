//! The header of the PROXY protocol: no panic, the same answer in any split, none longer than its bound,
//! and what is written of it is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::proxy_protocol::{HEADER_BYTES_MAX, Parsed, header, parse};
use ringgate::snapshot::upstream_set::ProxyVersion;

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    let decided =
        (0..=input.len()).map(|end| parse(&input[..end])).find(|now| *now != Parsed::Partial);
    assert_eq!(decided.unwrap_or(Parsed::Partial), whole);
    match whole {
        Parsed::Complete(read) => {
            assert!(read.bytes <= input.len().min(HEADER_BYTES_MAX));
            assert_eq!(parse(&input[..read.bytes]), whole);
            let Some(source) = read.source else { return };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let written = header(version, source, source);
                let Parsed::Complete(again) = parse(&written) else { panic!("{written:?}") };
                let again = again.source.map(|again| (again.ip().to_canonical(), again.port()));
                assert_eq!(again, Some((source.ip().to_canonical(), source.port())));
            }
        }
        Parsed::Partial => assert!(input.len() < HEADER_BYTES_MAX),
        Parsed::Absent | Parsed::Malformed => {}
    }
});
