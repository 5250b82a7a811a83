//! Request heads: no panic, the same answer in any split, strict lines, and what is written anew is
//! the same message.
#![no_main]

mod strict_lines;

use libfuzzer_sys::fuzz_target;
use ringgate::http1::{
    BodyLength, FieldSlots, HeadLimits, HeadWriter, Progress, RequestHead, parse_request,
};
use ringgate::snapshot::path_normalization::PathNormalization;
use strict_lines::assert_lines_are_strict;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 2048, head_fields: 32, target_bytes: 512 };
const ROOMY: HeadLimits = HeadLimits { head_bytes: 8192, head_fields: 128, target_bytes: 8192 };

fuzz_target!(|bytes: &[u8]| {
    let mut slots = FieldSlots::new();
    let whole = parse_request(bytes, &mut slots, LIMITS, PathNormalization::On);
    let end = match &whole {
        Ok(Progress::Complete(head)) => head.head_bytes,
        Ok(Progress::Partial) | Err(_) => bytes.len(),
    };
    for len in 0..end {
        let mut slots = FieldSlots::new();
        match parse_request(&bytes[..len], &mut slots, LIMITS, PathNormalization::On) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete(head)) => panic!("complete at {len}: {head:?}"),
            Err(error) => {
                assert_eq!(whole.as_ref().err(), Some(&error), "at {len}");
                return;
            }
        }
    }
    if let Ok(Progress::Complete(head)) = &whole {
        assert_lines_are_strict(&bytes[..head.head_bytes]);
        if head.method != "CONNECT" {
            assert_written_anew_is_the_same(head);
        }
    }
});

fn assert_written_anew_is_the_same(head: &RequestHead<'_, '_>) {
    let mut out = [0; 8192];
    let mut writer = HeadWriter::new(&mut out);
    writer.request_line(head.method, &head.path, head.target.query());
    let host = if head.host.is_empty() { "none" } else { head.host };
    writer.field("host", host.as_bytes());
    for field in head.end_to_end() {
        writer.field(field.name, field.value);
    }
    match head.body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Length(length) => writer.number_field("content-length", length),
        BodyLength::Chunked => writer.field("transfer-encoding", b"chunked"),
    }
    let len = writer.end().expect("a head within the limits fits");
    let mut slots = FieldSlots::new();
    let Ok(Progress::Complete(anew)) =
        parse_request(&out[..len], &mut slots, ROOMY, PathNormalization::Off)
    else {
        panic!("refused: {}", out[..len].escape_ascii());
    };
    assert_eq!(anew.head_bytes, len);
    assert_eq!((anew.method, anew.host, anew.body), (head.method, host, head.body));
    assert_eq!(anew.path, head.path);
    assert_eq!(anew.target.query(), head.target.query());
    assert!(anew.end_to_end().eq(head.end_to_end()));
}
