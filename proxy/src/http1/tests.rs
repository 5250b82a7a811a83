//! Properties of whole messages: any split, any bytes, and what is written anew.

use proptest::prelude::*;

use super::*;
use crate::snapshot::path_normalization::PathNormalization;

/// Small enough for generated heads to be over each of them.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 400, head_fields: 8, target_bytes: 40 };

#[test]
fn head_end_sees_an_empty_line_wherever_it_is_split() {
    for (bytes, ends) in [
        ("GET / HTTP/1.1\r\nA: b\r\n\r\n", true),
        ("GET / HTTP/1.1\nA: b\n\n", true),
        ("GET / HTTP/1.1\r\nA: b\n\r\n", true),
        ("GET / HTTP/1.1\r\nA: b\r\n", false),
        ("GET / HTTP/1.1\r\nA: b\r\n\r", false),
        ("\r\nGET / HTTP/1.1\r\n", false),
    ] {
        let bytes = bytes.as_bytes();
        let seen_whole = head_end(bytes, 0);
        let seen_by_byte = (0..bytes.len()).any(|from| head_end(&bytes[..=from], from));
        assert_eq!((seen_whole, seen_by_byte), (ends, ends), "{bytes:?}");
    }
    assert!(!head_end(b"\r\n\r\nGET / HTTP/1.1\r\n", 6), "the empty line was seen before");
}

/// What a request is, for comparison: everything but how its lines are spelled.
#[derive(Debug, Clone, PartialEq)]
struct Meaning {
    method: String,
    path: String,
    query: Option<String>,
    host: String,
    body: BodyLength,
    fields: Vec<(String, Vec<u8>)>,
    head_bytes: usize,
}

fn meaning(bytes: &[u8], limits: HeadLimits) -> Result<Progress<Meaning>, RequestError> {
    let mut slots = FieldSlots::new();
    Ok(match parse_request(bytes, &mut slots, limits, PathNormalization::On)? {
        Progress::Partial => Progress::Partial,
        Progress::Complete(head) => Progress::Complete(Meaning {
            method: head.method.to_owned(),
            path: head.path.clone().into_owned(),
            query: head.target.query().map(str::to_owned),
            host: head.host.to_owned(),
            body: head.body,
            fields: head
                .end_to_end()
                .map(|field| (field.name.to_owned(), field.value.to_vec()))
                .collect(),
            head_bytes: head.head_bytes,
        }),
    })
}

/// Writes the head as a gateway sends it on.
fn written(request: &Meaning) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut head = HeadWriter::new(&mut out);
    head.request_line(&request.method, &request.path, request.query.as_deref());
    head.field("host", if request.host.is_empty() { "none" } else { &request.host }.as_bytes());
    for (name, value) in &request.fields {
        head.field(name, value);
    }
    match request.body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Length(length) => head.number_field("content-length", length),
        BodyLength::Chunked => head.field("transfer-encoding", b"chunked"),
    }
    let len = head.end().expect("4096 bytes are enough");
    out.truncate(len);
    out
}

/// The obvious reading of RFC 9112 section 2.2 and 5: every line ends in CR LF, there is no other CR
/// or LF, no control byte, and each field line is a name and, right after it, a colon.
fn assert_lines_are_strict(head: &[u8]) {
    let text: String = head.iter().copied().map(char::from).collect();
    let lines = text.strip_suffix("\r\n\r\n").expect("ends in an empty line");
    let lines = lines.strip_prefix("\r\n").unwrap_or(lines);
    for (at, line) in lines.split("\r\n").enumerate() {
        assert!(!line.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f'), "{line:?}");
        if at > 0 {
            let (name, _) = line.split_once(':').expect("a colon");
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "{line:?}");
        }
    }
}

fn assert_written_anew_is_the_same(bytes: &[u8]) {
    let Ok(Progress::Complete(request)) = meaning(bytes, LIMITS) else { return };
    assert_lines_are_strict(&bytes[..request.head_bytes]);
    if request.method == "CONNECT" {
        return;
    }
    let mut expected = request.clone();
    if expected.host.is_empty() {
        expected.host = "none".to_owned();
    }
    let anew = written(&request);
    expected.head_bytes = anew.len();
    let roomy = HeadLimits { head_bytes: 4096, head_fields: 128, target_bytes: 4096 };
    assert_eq!(meaning(&anew, roomy), Ok(Progress::Complete(expected)));
}

/// Feeds one byte more each time: the first answer must be the one to the whole.
fn assert_split_does_not_matter<T: PartialEq + std::fmt::Debug, E: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Progress<T>, E>,
) {
    let whole = parse(bytes);
    let first = (0..=bytes.len())
        .map(|len| parse(&bytes[..len]))
        .find(|answer| *answer != Ok(Progress::Partial));
    assert_eq!(first.unwrap_or(Ok(Progress::Partial)), whole, "{:?}", bytes.escape_ascii());
}

fn piece(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(pieces).prop_map(str::to_owned)
}

fn line_end() -> impl Strategy<Value = String> {
    prop_oneof![30 => Just("\r\n".to_owned()), 1 => piece(&["\n", "\r", "\r\r\n", " \r\n", "\n\r\n"])]
}

fn field_line() -> impl Strategy<Value = String> {
    let likely = piece(&[
        "Host: a.example",
        "hOsT:b:80",
        "Content-Length: 5",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Connection: x-one, Upgrade",
        "Upgrade: websocket",
        "X-One:  1 \t",
        "x-two:",
        "Expect: 100-continue",
        "Accept: */*",
        "TE: trailers",
    ]);
    let unlikely = piece(&[
        " folded",
        "X-One : 1",
        ": nameless",
        "no colon",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Content-Length: +5",
        "Connection: host",
        "X-Obs: caf\u{e9}",
        "X-Nul: a\0b",
        "Host: a b",
    ]);
    prop_oneof![8 => likely, 1 => unlikely]
}

fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let method = piece(&[
        "GET",
        "POST",
        "OPTIONS",
        "CONNECT",
        "get",
        "G(T",
        "",
        "PRI",
        "LONGLONGLONGLONGLONGLONGLONGLONGX",
    ]);
    let target = piece(&[
        "/",
        "/a?b",
        "*",
        "http://a.example/x?y",
        "http://a.example",
        "b:80",
        "/a/../b",
        "/%2e",
        "",
        "/0123456789012345678901234567890123456789",
    ]);
    let version = prop_oneof![
        8 => Just(" HTTP/1.1".to_owned()),
        1 => piece(&[" HTTP/1.0", " HTTP/1.2", " HTTP/2.0", " HTTP/x", "", " HTTP/1.1 "])
    ];
    let prefix =
        prop_oneof![8 => Just(String::new()), 1 => piece(&["\r\n", "\r\n\r\n", "\n", "\r"])];
    let lines = prop::collection::vec((field_line(), line_end()), 0..11);
    (prefix, method, target, version, line_end(), lines, line_end()).prop_map(
        |(prefix, method, target, version, end, lines, last)| {
            let lines: String = lines.into_iter().map(|(line, end)| line + &end).collect();
            format!("{prefix}{method} {target}{version}{end}{lines}{last}body").into_bytes()
        },
    )
}

fn response_bytes() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        8 => piece(&["HTTP/1.1 200 OK", "HTTP/1.0 404 Not Found", "HTTP/1.1 204", "HTTP/1.1 101 "]),
        1 => piece(&["HTTP/2 200", "HTTP/1.1 20", "HTTP/1.1  200", "HTTP/1.1 700 x", "", "\r\nHTTP/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 099 x"]),
    ];
    let lines = prop::collection::vec((field_line(), line_end()), 0..11);
    (start, line_end(), lines, line_end()).prop_map(|(start, end, lines, last)| {
        let lines: String = lines.into_iter().map(|(line, end)| line + &end).collect();
        format!("{start}{end}{lines}{last}body").into_bytes()
    })
}

/// One byte of a message exchanged for one that matters to a parser.
fn mutated(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"\r\n\0\t :,;/?#%.\x7f\xc3\xffA1".as_slice());
    (bytes, prop::option::of((any::<prop::sample::Index>(), byte))).prop_map(
        |(mut bytes, change)| {
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

fn response_meaning(
    bytes: &[u8],
) -> Result<Progress<(u16, BodyLength, usize, bool)>, ResponseError> {
    let mut slots = FieldSlots::new();
    Ok(match parse_response(bytes, &mut slots, LIMITS, "GET")? {
        Progress::Partial => Progress::Partial,
        Progress::Complete(head) => {
            assert_lines_are_strict(&bytes[..head.head_bytes]);
            Progress::Complete((head.status, head.body, head.head_bytes, head.keep_alive))
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn requests_mean_the_same_in_any_split_and_written_anew(bytes in mutated(request_bytes())) {
        assert_split_does_not_matter(&bytes, |bytes| meaning(bytes, LIMITS));
        assert_written_anew_is_the_same(&bytes);
    }

    #[test]
    fn responses_mean_the_same_in_any_split(bytes in mutated(response_bytes())) {
        assert_split_does_not_matter(&bytes, response_meaning);
    }

    #[test]
    fn arbitrary_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        assert_split_does_not_matter(&bytes, |bytes| meaning(bytes, LIMITS));
        assert_split_does_not_matter(&bytes, response_meaning);
    }
}
