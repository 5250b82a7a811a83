//! The message layer alone, without sockets: the cases cut at every place, and messages made of
//! pieces of theirs, mean the same however they arrive, and written anew the same to every reader.

use std::sync::LazyLock;

use proptest::prelude::*;
use ringgate::http1::{
    BodyLength, CHUNK_HEADER_MAX, ChunkLimits, ChunkedDecoder, FieldSlots, HeadLimits, HeadWriter,
    LAST_CHUNK, Progress, chunk_header, parse_request, parse_response,
};
use ringgate::snapshot::path_normalization::PathNormalization;

use super::cases::all;
use super::lenient::{Side, agree};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, head_fields: 20, target_bytes: 1024 };
const CHUNK_LIMITS: ChunkLimits = ChunkLimits { overhead_bytes: 16 * 1024, trailers: LIMITS };

/// What there is to a request, apart from how it was spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    host: String,
    body: BodyLength,
    fields: Vec<(String, Vec<u8>)>,
    data: Vec<u8>,
    trailers: Vec<u8>,
}

/// What becomes of a stream of requests: those that are whole, and how it ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stream {
    requests: Vec<Request>,
    /// The code of the refusal that ended it.
    refused: Option<&'static str>,
    /// Bytes of what is not whole yet.
    left: usize,
}

/// Where a reader of such a stream stands.
#[derive(Default)]
struct Reader {
    stream: Stream,
    input: Vec<u8>,
    begun: Option<(Request, Body)>,
}

enum Body {
    Length(usize),
    Chunked(Box<ChunkedDecoder>),
}

impl Reader {
    fn feed(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        while self.stream.refused.is_none() && self.step() {}
        self.stream.left = self.input.len();
    }

    /// Whether there may be more to do with what is there.
    fn step(&mut self) -> bool {
        match self.begun.take() {
            None => self.head(),
            Some((request, body)) => self.body(request, body),
        }
    }

    fn head(&mut self) -> bool {
        let mut slots = FieldSlots::new();
        let head = match parse_request(&self.input, &mut slots, LIMITS, PathNormalization::On) {
            Ok(Progress::Complete(head)) => head,
            Ok(Progress::Partial) => return false,
            Err(error) => {
                self.stream.refused = Some(error.code());
                return false;
            }
        };
        let fields = head.end_to_end().map(|field| (field.name.to_owned(), field.value.to_vec()));
        let request = Request {
            method: head.method.to_owned(),
            path: head.path.clone().into_owned(),
            query: head.target.query().map(str::to_owned),
            host: head.host.to_owned(),
            body: head.body,
            fields: fields.collect(),
            data: Vec::new(),
            trailers: Vec::new(),
        };
        let body = match head.body {
            BodyLength::Chunked => Body::Chunked(Box::new(ChunkedDecoder::new(CHUNK_LIMITS))),
            BodyLength::Length(length) => Body::Length(usize::try_from(length).unwrap()),
            BodyLength::None | BodyLength::UntilClose => Body::Length(0),
        };
        let used = head.head_bytes;
        self.input.drain(..used);
        self.begun = Some((request, body));
        true
    }

    fn body(&mut self, mut request: Request, mut body: Body) -> bool {
        let done = match &mut body {
            Body::Length(left) => {
                let here = (*left).min(self.input.len());
                request.data.extend(self.input.drain(..here));
                *left -= here;
                *left == 0
            }
            Body::Chunked(decoder) => match decoder.decode(&mut self.input) {
                Ok(decoded) => {
                    request.data.extend_from_slice(&self.input[..decoded.data]);
                    self.input.drain(..decoded.consumed);
                    request.trailers = decoder.take_trailers().unwrap_or_default();
                    decoded.done
                }
                Err(error) => {
                    self.stream.refused = Some(error.code());
                    self.input.clear();
                    return false;
                }
            },
        };
        if done {
            self.stream.requests.push(request);
        } else {
            self.begun = Some((request, body));
        }
        done
    }
}

fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Stream {
    let mut reader = Reader::default();
    for piece in pieces {
        reader.feed(piece);
    }
    if reader.stream.refused.is_some() {
        // How much came behind a fault does not matter.
        reader.stream.left = 0;
    }
    reader.stream
}

/// The request as a gateway sends it on.
fn written(request: &Request) -> Vec<u8> {
    let mut out = vec![0; 64 * 1024];
    let mut head = HeadWriter::new(&mut out);
    head.request_line(&request.method, &request.path, request.query.as_deref());
    head.field("Host", request.host.as_bytes());
    for (name, value) in &request.fields {
        head.field(name, value);
    }
    match request.body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Length(length) => head.number_field("Content-Length", length),
        BodyLength::Chunked => head.field("Transfer-Encoding", b"chunked"),
    }
    let length = head.end().unwrap();
    out.truncate(length);
    if request.body == BodyLength::Chunked {
        for chunk in request.data.chunks(7) {
            let mut header = [0; CHUNK_HEADER_MAX];
            let length = chunk_header(chunk.len(), &mut header);
            out.extend_from_slice(&header[..length]);
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(LAST_CHUNK);
        out.extend_from_slice(&request.trailers);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(&request.data);
    }
    out
}

fn assert_written_anew_is_the_same(stream: &Stream) {
    for request in &stream.requests {
        // CONNECT is never forwarded; a request of HTTP/1.0 may have come without a host.
        if request.method != "CONNECT" && !request.host.is_empty() {
            let bytes = written(request);
            let anew = read(std::iter::once(bytes.as_slice()));
            assert_eq!(anew.requests, std::slice::from_ref(request));
            assert_eq!((anew.refused, anew.left), (None, 0));
            assert_eq!(agree(&bytes, Side::Request), Ok(()));
        }
    }
}

#[test]
fn the_cases_mean_the_same_cut_anywhere_and_written_anew() {
    for case in all("requests").iter().flat_map(|section| &section.cases) {
        let bytes = &case.bytes;
        let whole = read(std::iter::once(bytes.as_slice()));
        assert_written_anew_is_the_same(&whole);
        assert_eq!(read(bytes.chunks(1)), whole, "{}", case.name);
        for at in 0..bytes.len().min(1000) {
            let (one, other) = bytes.split_at(at);
            assert_eq!(read([one, other].into_iter()), whole, "{} at {at}", case.name);
        }
    }
}

#[test]
fn heads_of_the_response_cases_mean_the_same_cut_anywhere() {
    for case in all("responses").iter().flat_map(|section| &section.cases) {
        let read = |bytes: &[u8]| {
            let mut slots = FieldSlots::new();
            parse_response(bytes, &mut slots, LIMITS, "GET").map(|progress| match progress {
                Progress::Complete(head) => Some((head.status, head.body, head.head_bytes)),
                Progress::Partial => None,
            })
        };
        let first = (0..=case.bytes.len()).map(|end| read(&case.bytes[..end]));
        let first = first.into_iter().find(|answer| *answer != Ok(None)).unwrap_or(Ok(None));
        assert_eq!(first, read(&case.bytes), "{}", case.name);
    }
}

/// The bytes of all request cases that are not long.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let sections = all("requests");
    let cases = sections.into_iter().flat_map(|section| section.cases);
    cases.map(|case| case.bytes).filter(|bytes| bytes.len() < 400).collect()
});

/// Some cases one after the other, each a little changed or not.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"\r\n\0\t :,;/?#%.\x7f\xc3\xff05aA+-_".as_slice());
    let change = prop::option::of((any::<prop::sample::Index>(), prop::option::of(byte)));
    let one = (any::<prop::sample::Index>(), change).prop_map(|(seed, change)| {
        let mut bytes = seed.get(&SEEDS).clone();
        match change.filter(|_| !bytes.is_empty()) {
            Some((at, Some(byte))) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Some((at, None)) => {
                bytes.remove(at.index(bytes.len()));
            }
            None => {}
        }
        bytes
    });
    prop::collection::vec(one, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_stream_means_the_same_cut_anywhere_and_written_anew(
        bytes in streams(),
        cuts in prop::collection::vec(1_usize..60, 1..20),
    ) {
        let whole = read(std::iter::once(bytes.as_slice()));
        assert_written_anew_is_the_same(&whole);
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(read(pieces.into_iter()), whole);
    }
}
