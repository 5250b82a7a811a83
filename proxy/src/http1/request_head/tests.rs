//! Request heads, raw, with what becomes of each; both sides of every boundary.

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, head_fields: 8, target_bytes: 64 };

fn with_head<T>(
    raw: &str,
    limits: HeadLimits,
    look: impl FnOnce(RequestHead<'_, '_>) -> T,
) -> Result<Progress<T>, RequestError> {
    let mut slots = FieldSlots::new();
    // Obs-text in the tables is written as the char of the same number.
    let bytes: Vec<u8> = raw.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
    let progress = parse_request(&bytes, &mut slots, limits, PathNormalization::On)?;
    Ok(match progress {
        Progress::Complete(head) => Progress::Complete(look(head)),
        Progress::Partial => Progress::Partial,
    })
}

/// Looks at a head that must be accepted.
fn accepted<T>(raw: &str, look: impl FnOnce(RequestHead<'_, '_>) -> T) -> T {
    match with_head(raw, LIMITS, look) {
        Ok(Progress::Complete(seen)) => seen,
        Ok(Progress::Partial) => panic!("partial: {raw:?}"),
        Err(error) => panic!("{}: {raw:?}", error.code()),
    }
}

fn refused(cases: &[(&str, RequestError)]) {
    for &(raw, error) in cases {
        assert_eq!(with_head(raw, LIMITS, |_| ()), Err(error), "{raw:?}");
    }
}

/// A GET with the given field lines, which it adds to Host.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn reads_a_request() {
    let raw = "POST /a/b?c=d HTTP/1.1\r\nHost: api.example.com:8080\r\nContent-Length: 5\r\n\
        X-One:  1 \t\r\nx-empty:\r\nX-Obs: caf\u{e9}\r\n\r\nhello";
    accepted(raw, |head| {
        assert_eq!(head.method, "POST");
        assert_eq!(head.target, Target::Origin { path: "/a/b", query: Some("c=d") });
        assert_eq!((head.version, head.host), (Version::Http11, "api.example.com:8080"));
        assert_eq!((head.body, head.keep_alive), (BodyLength::Length(5), true));
        assert_eq!(head.head_bytes, raw.chars().count() - "hello".len());
        assert_eq!(head.fields.len(), 5);
        let forwarded: Vec<_> = head.end_to_end().map(|field| (field.name, field.value)).collect();
        let expected: [(&str, &[u8]); 3] =
            [("X-One", b"1"), ("x-empty", b""), ("X-Obs", b"caf\xe9")];
        assert_eq!(forwarded, expected);
    });
}

#[test]
fn waits_while_nothing_is_wrong() {
    for raw in [
        "",
        "\r",
        "\r\n",
        "\r\nG",
        "GET",
        "GET /",
        "GET / HTTP/1.",
        "GET / HTTP/1.1\r",
        "PRI * HTTP/",
    ] {
        assert_eq!(with_head(raw, LIMITS, |_| ()), Ok(Progress::Partial), "{raw:?}");
    }
    let whole = get("A: b\r\n");
    assert_eq!(with_head(&whole[..whole.len() - 1], LIMITS, |_| ()), Ok(Progress::Partial));
}

#[test]
fn one_empty_line_may_come_before() {
    let raw = format!("\r\n{}", get(""));
    assert_eq!(accepted(&raw, |head| head.head_bytes), raw.len());
    refused(&[
        ("\r\n\r\n", RequestError::LeadingEmptyLine),
        ("\r\n\n", RequestError::LeadingEmptyLine),
        ("\n", RequestError::BareLf),
        ("\rG", RequestError::BareCr),
    ]);
}

#[test]
fn lines_end_in_cr_lf() {
    refused(&[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a \t\n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nB:\n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nB: \n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", RequestError::BareLf),
        ("GET / HTTP/1.0\n\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\nB : c\r\n\r\n", RequestError::BareLf),
        ("GET / HTTP/1.1\r\rHost: a\r\n\r\n", RequestError::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n", RequestError::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rB: c\r\n\r\n", RequestError::BareCr),
    ]);
}

#[test]
fn field_lines_are_name_colon_value() {
    for (line, error) in [
        (" folded\r\n", RequestError::ObsoleteFold),
        ("\tfolded\r\n", RequestError::ObsoleteFold),
        ("B : c\r\n", RequestError::SpaceInName),
        ("B\t: c\r\n", RequestError::SpaceInName),
        ("B b: c\r\n", RequestError::SpaceInName),
        (": c\r\n", RequestError::FieldName),
        ("B\r\n", RequestError::FieldName),
        ("B(: c\r\n", RequestError::FieldName),
        ("B\0: c\r\n", RequestError::FieldName),
        ("B\u{e9}: c\r\n", RequestError::FieldName),
        ("B: \0\r\n", RequestError::ControlByte),
        ("B: a\0b\r\n", RequestError::ControlByte),
        ("B: a\x0bb\r\n", RequestError::ControlByte),
        ("B: a\x1fb\r\n", RequestError::ControlByte),
        ("B: a\x7fb\r\n", RequestError::ControlByte),
    ] {
        refused(&[(&get(line), error)]);
        refused(&[(&get(&format!("A: b\r\n{line}")), error)]);
    }
    refused(&[("GET / HTTP/1.1\r\n Host: a\r\n\r\n", RequestError::ObsoleteFold)]);
    assert_eq!(accepted(&get("!#$%&'*+-.^_`|~09aZ: a\tb\r\n"), |head| head.fields.len()), 2);
}

#[test]
fn the_request_line_is_method_target_version() {
    refused(&[
        (" / HTTP/1.1\r\n", RequestError::Method),
        ("G(T / HTTP/1.1\r\n", RequestError::Method),
        ("GET\t/ HTTP/1.1\r\n", RequestError::Method),
        ("\x16\x03\x01\x02\x00", RequestError::Method),
        ("GET\r\n", RequestError::Method),
        ("GET  / HTTP/1.1\r\n", RequestError::TargetByte),
        ("GET \r\n", RequestError::TargetByte),
        ("GET /\x01 HTTP/1.1\r\n", RequestError::TargetByte),
        ("GET /\t HTTP/1.1\r\n", RequestError::TargetByte),
        ("GET /\u{e9} HTTP/1.1\r\n", RequestError::TargetByte),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::TargetByte),
        ("GET /\r\n", RequestError::Http09),
        ("GET /\n", RequestError::Http09),
        ("GET /  HTTP/1.1\r\n", RequestError::Version),
        ("GET / HTTP/1.1 \r\n", RequestError::RequestLine),
        ("GET / HTTP/1.10\r\n", RequestError::RequestLine),
        ("GET / http/1.1\r\n", RequestError::Version),
        ("GET / HTTP/\r\n", RequestError::Version),
        ("GET / FTP/1.1\r\n", RequestError::Version),
        ("GET / HTTP/1.2\r\n", RequestError::VersionUnsupported),
        ("GET / HTTP/0.9\r\n", RequestError::VersionUnsupported),
        ("GET / HTTP/2.0\r\n", RequestError::VersionUnsupported),
        ("GET / HTTP/3\r\n", RequestError::VersionUnsupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestError::Http2Preface),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::TargetForm),
    ]);
}

#[test]
fn limits_hold_on_both_sides() {
    let method = |bytes| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(bytes));
    assert_eq!(accepted(&method(METHOD_BYTES_MAX), |head| head.method.len()), METHOD_BYTES_MAX);
    let target =
        |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(bytes - 1));
    assert_eq!(accepted(&target(64), |head| head.target.path().len()), 64);
    let fields = |count: usize| get(&"A: b\r\n".repeat(count - 1));
    assert_eq!(accepted(&fields(8), |head| head.fields.len()), 8);
    refused(&[
        (&method(METHOD_BYTES_MAX + 1), RequestError::MethodTooLong),
        (&method(METHOD_BYTES_MAX + 1)[..METHOD_BYTES_MAX + 1], RequestError::MethodTooLong),
        (&target(65), RequestError::TargetTooLong),
        (&target(65)[.."GET ".len() + 65], RequestError::TargetTooLong),
        (&fields(9), RequestError::TooManyFields),
    ]);

    let raw = get("A: b\r\n");
    let limited = |head_bytes| with_head(&raw, HeadLimits { head_bytes, ..LIMITS }, |_| ());
    assert_eq!(limited(raw.len()), Ok(Progress::Complete(())));
    assert_eq!(limited(raw.len() - 1), Err(RequestError::HeadTooLong));
    let part = &raw[..20];
    let part_of = |head_bytes| with_head(part, HeadLimits { head_bytes, ..LIMITS }, |_| ());
    assert_eq!(part_of(21), Ok(Progress::Partial));
    assert_eq!(part_of(20), Err(RequestError::HeadTooLong));
    let more_than_slots = HeadLimits { head_fields: 1000, ..LIMITS };
    assert_eq!(with_head(&fields(129), more_than_slots, |_| ()), Err(RequestError::TooManyFields));
    assert_eq!(
        with_head(&fields(128), more_than_slots, |head| head.fields.len()),
        Ok(Progress::Complete(128))
    );
}

#[test]
fn there_is_one_host() {
    let raw = |line: &str| format!("{line}\r\n\r\n");
    for (start, host) in [
        ("GET / HTTP/1.1\r\nhOST: A.example:80", "A.example:80"),
        ("GET / HTTP/1.0", ""),
        ("GET / HTTP/1.0\r\nHost: a", "a"),
        ("GET http://a.example/ HTTP/1.1\r\nHost: A.example:80", "a.example"),
        ("GET https://a.example:443/ HTTP/1.1\r\nHost: a.example", "a.example:443"),
        ("GET http://a.example/ HTTP/1.0", "a.example"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443", "a:443"),
    ] {
        assert_eq!(accepted(&raw(start), |head| head.host.to_owned()), host, "{start}");
    }
    for (start, error) in [
        ("GET / HTTP/1.1", RequestError::HostMissing),
        ("GET http://a/ HTTP/1.1", RequestError::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a", RequestError::HostDuplicate),
        ("GET / HTTP/1.0\r\nHost: a\r\nhost: b", RequestError::HostDuplicate),
        ("GET / HTTP/1.1\r\nHost:", RequestError::HostSyntax),
        ("GET / HTTP/1.0\r\nHost:", RequestError::HostSyntax),
        ("GET / HTTP/1.1\r\nHost: a, b", RequestError::HostSyntax),
        ("GET / HTTP/1.1\r\nHost: u@a", RequestError::HostSyntax),
        ("GET / HTTP/1.1\r\nHost: a:65536", RequestError::HostSyntax),
        ("GET http://a/ HTTP/1.1\r\nHost: b", RequestError::HostMismatch),
        ("GET http://a/ HTTP/1.1\r\nHost: a:443", RequestError::HostMismatch),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a", RequestError::HostSyntax),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a", RequestError::HostMismatch),
    ] {
        refused(&[(&raw(start), error)]);
    }
}

#[test]
fn the_body_ends_in_one_place() {
    for (lines, body) in [
        ("", BodyLength::None),
        ("Content-Length: 0\r\n", BodyLength::None),
        ("Content-Length: 5\r\n", BodyLength::Length(5)),
        ("content-length:0000000000000000005\r\n", BodyLength::Length(5)),
        ("Content-Length: 9999999999999999999\r\n", BodyLength::Length(9_999_999_999_999_999_999)),
        ("Transfer-Encoding: Chunked\r\n", BodyLength::Chunked),
    ] {
        assert_eq!(accepted(&get(lines), |head| head.body), body, "{lines:?}");
    }
    for (lines, error) in [
        ("Content-Length:\r\n", RequestError::LengthSyntax),
        ("Content-Length: +5\r\n", RequestError::LengthSyntax),
        ("Content-Length: -5\r\n", RequestError::LengthSyntax),
        ("Content-Length: 5, 5\r\n", RequestError::LengthSyntax),
        ("Content-Length: 5 5\r\n", RequestError::LengthSyntax),
        ("Content-Length: 0x5\r\n", RequestError::LengthSyntax),
        ("Content-Length: 5.0\r\n", RequestError::LengthSyntax),
        ("Content-Length: 00000000000000000005\r\n", RequestError::LengthSyntax),
        ("Content-Length: 18446744073709551616\r\n", RequestError::LengthSyntax),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", RequestError::LengthDuplicate),
        ("Content-Length: 5\r\ncontent-length: 6\r\n", RequestError::LengthDuplicate),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", RequestError::CodingAndLength),
        ("Transfer-Encoding: x\r\nContent-Length: 0\r\n", RequestError::CodingAndLength),
        ("Transfer-Encoding: gzip, chunked\r\n", RequestError::CodingUnknown),
        ("Transfer-Encoding: gzip;q=1, chunked\r\n", RequestError::CodingUnknown),
        ("Transfer-Encoding: gzip\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: identity\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: chunked, gzip\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: chunked, chunked\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: , chunked\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: chunked,\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: chunked;q=1\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: \"chunked\"\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding: xchunked\r\n", RequestError::CodingSyntax),
        ("Transfer-Encoding:\r\n", RequestError::CodingSyntax),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            RequestError::CodingDuplicate,
        ),
    ] {
        refused(&[(&get(lines), error)]);
    }
    refused(&[
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", RequestError::CodingHttp10),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n",
            RequestError::ConnectBody,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
            RequestError::ConnectBody,
        ),
    ]);
}

#[test]
fn persistence_follows_version_and_options() {
    for (version, lines, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: x, ,keep-alive\r\n", true),
        ("1.0", "Connection: close, keep-alive\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let raw = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(accepted(&raw, |head| head.keep_alive), keep_alive, "{raw:?}");
    }
}

#[test]
fn fields_of_this_hop_are_not_forwarded() {
    let forwarded = |lines: &str| {
        accepted(&get(lines), |head| {
            head.end_to_end().map(|field| field.name.to_owned()).collect::<Vec<_>>()
        })
    };
    for line in [
        "Connection: close",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "proxy-authorization: x",
        "Proxy-Anything: x",
        "Proxy: http://evil",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: x",
        "Expect: 100-continue",
        "HTTP2-Settings: x",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ] {
        assert_eq!(forwarded(&format!("{line}\r\nX-One: 1\r\n")), ["X-One"], "{line}");
    }
    for name in [
        "Proxied",
        "Proxy_",
        "T",
        "Te2",
        "Hosts",
        "Trailers",
        "Content-Lengths",
        "Authorization",
        "Cookie",
    ] {
        assert_eq!(forwarded(&format!("{name}: 1\r\n")), [name]);
    }
}

#[test]
fn connection_removes_what_it_lists_and_no_more() {
    let forwarded = |lines: &str| {
        accepted(&get(lines), |head| {
            head.end_to_end().map(|field| field.name.to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(
        forwarded("Connection: x-user\r\nX-User: a\r\nX-Users: b\r\nx-USER: c\r\n"),
        ["X-Users"]
    );
    assert_eq!(
        forwarded("X-A: 1\r\nX-B: 2\r\nX-C: 3\r\nConnection: close, x-a\r\nConnection: x-c\r\n"),
        ["X-B"]
    );
    assert_eq!(forwarded("Connection: x-absent\r\nX-A: 1\r\n"), ["X-A"]);
    for (value, error) in [
        ("Host", RequestError::ConnectionProtected),
        ("close, content-length", RequestError::ConnectionProtected),
        ("Transfer-Encoding", RequestError::ConnectionProtected),
        ("authorization", RequestError::ConnectionProtected),
        ("a b", RequestError::ConnectionSyntax),
        ("\"close\"", RequestError::ConnectionSyntax),
        ("a;b", RequestError::ConnectionSyntax),
    ] {
        refused(&[(&get(&format!("Connection: {value}\r\n")), error)]);
    }
    let options = |count| get(&format!("Connection: {}\r\n", "a,".repeat(count)));
    assert!(accepted(&options(16), |head| head.keep_alive));
    assert!(
        accepted(&get(&format!("Connection: x{}\r\n", ",".repeat(100))), |head| head.keep_alive)
    );
    refused(&[(&options(17), RequestError::ConnectionOptions)]);
}

#[test]
fn an_upgrade_is_honoured_where_it_may_be_tunnelled() {
    let upgrade = |raw: &str| accepted(raw, |head| head.upgrade.map(<[u8]>::to_vec));
    let websocket = get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(upgrade(&websocket), Some(b"websocket".to_vec()));
    assert_eq!(upgrade(&get("Connection: upgrade\r\nUpgrade: foo/2\r\n")), Some(b"foo/2".to_vec()));
    for lines in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade:\r\n",
        "Connection: upgrade\r\nUpgrade: a, b\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.3\r\n",
    ] {
        assert_eq!(upgrade(&get(lines)), None, "{lines:?}");
    }
    assert_eq!(upgrade(&websocket.replace("HTTP/1.1", "HTTP/1.0")), None);
}

#[test]
fn an_expectation_is_100_continue() {
    let post =
        |version: &str, lines: &str| format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
    let expects = |raw: &str| accepted(raw, |head| head.expect_continue);
    assert!(expects(&post("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n")));
    assert!(!expects(&post("1.1", "Content-Length: 1\r\n")));
    assert!(!expects(&post("1.1", "Expect: 100-continue\r\n")));
    assert!(!expects(&post("1.0", "Expect: other\r\nContent-Length: 1\r\n")));
    refused(&[
        (&post("1.1", "Expect: 200-ok\r\n"), RequestError::Expectation),
        (
            &post("1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n"),
            RequestError::Expectation,
        ),
    ]);
}

#[test]
fn idempotent_methods() {
    let idempotent =
        |method: &str| accepted(&get("").replace("GET", method), |head| head.is_idempotent());
    for (method, expected) in [
        ("GET", true),
        ("HEAD", true),
        ("PUT", true),
        ("DELETE", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("POST", false),
        ("PATCH", false),
        ("get", false),
        ("FOO", false),
    ] {
        assert_eq!(idempotent(method), expected, "{method}");
    }
}

#[test]
fn each_reason_has_its_status() {
    for (error, status) in [
        (RequestError::BareLf, 400),
        (RequestError::TargetTooLong, 414),
        (RequestError::Expectation, 417),
        (RequestError::HeadTooLong, 431),
        (RequestError::TooManyFields, 431),
        (RequestError::CodingUnknown, 501),
        (RequestError::MethodTooLong, 501),
        (RequestError::VersionUnsupported, 505),
        (RequestError::Http2Preface, 505),
    ] {
        assert_eq!(error.status(), status, "{}", error.code());
    }
}
