//! Response heads: no panic, the same answer in any split, strict lines.
#![no_main]

mod strict_lines;

use libfuzzer_sys::fuzz_target;
use ringgate::http1::{FieldSlots, HeadLimits, Progress, parse_response};
use strict_lines::assert_lines_are_strict;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 2048, head_fields: 32, target_bytes: 0 };

fuzz_target!(|bytes: &[u8]| {
    for method in ["GET", "HEAD"] {
        let mut slots = FieldSlots::new();
        let whole = parse_response(bytes, &mut slots, LIMITS, method);
        let end = match &whole {
            Ok(Progress::Complete(head)) => head.head_bytes,
            Ok(Progress::Partial) | Err(_) => bytes.len(),
        };
        let early = (0..end).find_map(|len| {
            let mut slots = FieldSlots::new();
            match parse_response(&bytes[..len], &mut slots, LIMITS, method) {
                Ok(Progress::Partial) => None,
                Ok(Progress::Complete(head)) => panic!("complete at {len}: {head:?}"),
                Err(error) => Some(error),
            }
        });
        match (whole, early) {
            (Ok(Progress::Complete(head)), None) => {
                assert_lines_are_strict(&bytes[..head.head_bytes])
            }
            (Ok(Progress::Partial), None) | (Err(_), None) => {}
            (Err(whole), Some(early)) => assert_eq!(whole, early),
            (Ok(_), Some(early)) => panic!("refused in parts only: {early:?}"),
        }
    }
});
