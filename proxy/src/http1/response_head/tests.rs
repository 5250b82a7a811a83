//! Response heads, raw, with what becomes of each; both sides of every boundary.

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 256, head_fields: 4, target_bytes: 0 };

fn with_head<T>(
    raw: &str,
    method: &str,
    look: impl FnOnce(ResponseHead<'_, '_>) -> T,
) -> Result<Progress<T>, ResponseError> {
    let mut slots = FieldSlots::new();
    Ok(match parse_response(raw.as_bytes(), &mut slots, LIMITS, method)? {
        Progress::Complete(head) => Progress::Complete(look(head)),
        Progress::Partial => Progress::Partial,
    })
}

fn accepted<T>(raw: &str, look: impl FnOnce(ResponseHead<'_, '_>) -> T) -> T {
    match with_head(raw, "GET", look) {
        Ok(Progress::Complete(seen)) => seen,
        Ok(Progress::Partial) => panic!("partial: {raw:?}"),
        Err(error) => panic!("{}: {raw:?}", error.code()),
    }
}

fn refused(cases: &[(&str, ResponseError)]) {
    for &(raw, error) in cases {
        assert_eq!(with_head(raw, "GET", |_| ()), Err(error), "{raw:?}");
    }
}

#[test]
fn reads_a_response() {
    let raw = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n\r\nno";
    accepted(raw, |head| {
        assert_eq!((head.version, head.status, head.reason), (Version::Http11, 404, "Not Found"));
        assert_eq!((head.body, head.declared_length), (BodyLength::Length(2), Some(2)));
        assert_eq!((head.keep_alive, head.upgrade), (true, None));
        assert_eq!(head.head_bytes, raw.len() - 2);
        assert_eq!(head.fields.len(), 4);
        let forwarded: Vec<_> = head.end_to_end().map(|field| field.name).collect();
        assert_eq!(forwarded, ["X-One"]);
    });
}

#[test]
fn the_status_line_is_strict() {
    for (line, status, reason) in [
        ("HTTP/1.1 100 Continue", 100, "Continue"),
        ("HTTP/1.1 599 ", 599, ""),
        ("HTTP/1.1 200", 200, ""),
        ("HTTP/1.0 200 all  is\twell ", 200, "all  is\twell "),
        ("HTTP/1.1 200 caf\u{e9}", 200, ""),
    ] {
        let seen =
            accepted(&format!("{line}\r\n\r\n"), |head| (head.status, head.reason.to_owned()));
        assert_eq!(seen, (status, reason.to_owned()), "{line}");
    }
    refused(&[
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
        ("\nHTTP/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200\tOK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.1 200 OK\rX: y\r\n\r\n", ResponseError::StatusLine),
        ("ICY 200 OK\r\n\r\n", ResponseError::StatusLine),
        ("http/1.1 200 OK\r\n\r\n", ResponseError::StatusLine),
        ("HTTP/1.2 200 OK\r\n\r\n", ResponseError::VersionUnsupported),
        ("HTTP/2 200 OK\r\n\r\n", ResponseError::VersionUnsupported),
        ("HTTP/1.1 099 x\r\n\r\n", ResponseError::Status),
        ("HTTP/1.1 600 x\r\n\r\n", ResponseError::Status),
    ]);
}

#[test]
fn lines_are_held_to_the_same_rules_as_in_requests() {
    refused(&[
        ("HTTP/1.1 200 OK\n\r\n", ResponseError::BareLf),
        ("HTTP/1.1 200\n\r\n", ResponseError::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", ResponseError::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\n", ResponseError::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", ResponseError::BareCr),
        ("HTTP/1.1 200 OK\r\n\rx", ResponseError::BareCr),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ResponseError::ObsoleteFold),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ResponseError::SpaceInName),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", ResponseError::FieldName),
        ("HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", ResponseError::ControlByte),
        ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", ResponseError::ConnectionSyntax),
        (
            &format!("HTTP/1.1 200 OK\r\nConnection: {}\r\n\r\n", "a,".repeat(17)),
            ResponseError::ConnectionOptions,
        ),
    ]);
}

#[test]
fn limits_hold_on_both_sides() {
    let fields = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(accepted(&fields(4), |head| head.fields.len()), 4);
    refused(&[(&fields(5), ResponseError::TooManyFields)]);
    let long = |bytes: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(bytes - 24));
    assert_eq!(accepted(&long(256), |head| head.head_bytes), 256);
    refused(&[
        (&long(257), ResponseError::HeadTooLong),
        (&long(300)[..256], ResponseError::HeadTooLong),
    ]);
    assert_eq!(with_head(&long(300)[..255], "GET", |_| ()), Ok(Progress::Partial));
}

#[test]
fn the_body_ends_where_method_status_and_fields_say() {
    let body = |method: &str, start: &str, lines: &str| match with_head(
        &format!("HTTP/{start}\r\n{lines}\r\n"),
        method,
        |head| (head.body, head.declared_length),
    ) {
        Ok(Progress::Complete(seen)) => seen,
        other => panic!("{other:?}"),
    };
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (method, start, lines, expected) in [
        ("GET", "1.1 200 OK", length, (BodyLength::Length(5), Some(5))),
        ("GET", "1.1 200 OK", "Content-Length: 0\r\n", (BodyLength::Length(0), Some(0))),
        ("GET", "1.1 200 OK", chunked, (BodyLength::Chunked, None)),
        ("GET", "1.1 200 OK", "", (BodyLength::UntilClose, None)),
        ("GET", "1.0 200 OK", length, (BodyLength::Length(5), Some(5))),
        ("GET", "1.0 200 OK", "", (BodyLength::UntilClose, None)),
        ("HEAD", "1.1 200 OK", length, (BodyLength::None, Some(5))),
        ("HEAD", "1.1 200 OK", chunked, (BodyLength::None, None)),
        ("HEAD", "1.1 200 OK", "", (BodyLength::None, None)),
        ("GET", "1.1 100 Continue", length, (BodyLength::None, Some(5))),
        ("GET", "1.1 101 Switching", "", (BodyLength::None, None)),
        ("GET", "1.1 204 No Content", chunked, (BodyLength::None, None)),
        ("GET", "1.1 304 Not Modified", length, (BodyLength::None, Some(5))),
        ("GET", "1.1 205 Reset", length, (BodyLength::Length(5), Some(5))),
        ("CONNECT", "1.1 200 OK", length, (BodyLength::None, Some(5))),
        ("CONNECT", "1.1 403 No", length, (BodyLength::Length(5), Some(5))),
    ] {
        assert_eq!(body(method, start, lines), expected, "{method} {start} {lines}");
    }
}

#[test]
fn doubtful_framing_is_refused_with_or_without_a_body() {
    for (lines, error) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", ResponseError::LengthDuplicate),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", ResponseError::LengthDuplicate),
        ("Content-Length: 5, 5\r\n", ResponseError::LengthSyntax),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ResponseError::CodingAndLength),
        ("Transfer-Encoding: gzip, chunked\r\n", ResponseError::CodingUnknown),
        ("Transfer-Encoding: gzip\r\n", ResponseError::CodingSyntax),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            ResponseError::CodingDuplicate,
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let raw = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(with_head(&raw, method, |_| ()), Err(error), "{method} {lines}");
        }
    }
    refused(&[(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ResponseError::CodingHttp10,
    )]);
}

#[test]
fn persistence_follows_version_options_and_body() {
    for (start, lines, keep_alive) in [
        ("1.1 200 OK", "Content-Length: 0\r\n", true),
        ("1.1 200 OK", "Transfer-Encoding: chunked\r\n", true),
        ("1.1 204 No", "", true),
        ("1.1 200 OK", "Content-Length: 0\r\nConnection: close\r\n", false),
        ("1.1 200 OK", "", false),
        ("1.1 200 OK", "Connection: keep-alive\r\n", false),
        ("1.0 200 OK", "Content-Length: 0\r\n", false),
        ("1.0 200 OK", "Content-Length: 0\r\nConnection: keep-alive\r\n", true),
        ("1.1 101 Switching", "Connection: upgrade\r\nUpgrade: websocket\r\n", false),
    ] {
        let raw = format!("HTTP/{start}\r\n{lines}\r\n");
        assert_eq!(accepted(&raw, |head| head.keep_alive), keep_alive, "{raw:?}");
    }
}

#[test]
fn only_101_names_the_protocol_it_goes_on_with() {
    let upgrade = |status: u16, lines: &str| {
        accepted(&format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), |head| {
            (head.is_interim(), head.upgrade.map(<[u8]>::to_vec))
        })
    };
    let both = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(upgrade(101, both), (false, Some(b"websocket".to_vec())));
    assert_eq!(upgrade(101, "Upgrade: websocket\r\n"), (false, None));
    assert_eq!(upgrade(101, ""), (false, None));
    assert_eq!(upgrade(100, both), (true, None));
    assert_eq!(upgrade(426, both), (false, None));
}
