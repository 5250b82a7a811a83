//! What a message head costs: parsing, beside httparse alone, and writing it anew.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use ringgate::http1::{
    ChunkLimits, ChunkedDecoder, FieldSlots, HeadLimits, HeadWriter, Progress, RequestHead, parse_request,
    parse_response,
};
use ringgate::snapshot::path_normalization::PathNormalization;

fn main() {
    divan::main();
}

const LIMITS: HeadLimits =
    HeadLimits { head_bytes: 16 * 1024, head_fields: 100, target_bytes: 8 * 1024 };

/// A browser's request of ten fields and about 1.1 KB, with a bearer token of 700 bytes.
fn request() -> Vec<u8> {
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ".repeat(21);
    format!(
        "GET /orders/2026/11/0001?expand=items&page=2 HTTP/1.1\r\n\
         Host: api.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: application/json, text/plain, */*\r\n\
         Accept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Authorization: Bearer {}\r\n\
         Referer: https://app.example.com/orders\r\n\
         Cookie: session=0123456789abcdef0123456789abcdef\r\n\
         Connection: keep-alive\r\n\
         X-Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n\r\n",
        &token[..700]
    )
    .into_bytes()
}

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: upstream\r\n\
    Date: Mon, 23 Nov 2026 21:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 128\r\n\
    Cache-Control: no-store\r\n\
    Connection: keep-alive\r\n\r\n";

fn complete<'h, 'b>(bytes: &'b [u8], slots: &'h mut FieldSlots<'b>) -> RequestHead<'h, 'b> {
    match parse_request(bytes, slots, LIMITS, PathNormalization::On) {
        Ok(Progress::Complete(head)) => head,
        Ok(Progress::Partial) => panic!("the head is whole"),
        Err(error) => panic!("{error}"),
    }
}

#[divan::bench]
fn request_httparse_alone(bencher: Bencher) {
    let bytes = request();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let mut slots = [const { std::mem::MaybeUninit::uninit() }; 128];
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(black_box(&bytes), &mut slots);
        black_box((status.is_ok(), request.headers.len()))
    });
}

#[divan::bench]
fn request_parse(bencher: Bencher) {
    let bytes = request();
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = complete(black_box(&bytes), &mut slots);
        black_box((head.host.len(), head.fields.len()))
    });
}

#[divan::bench]
fn request_parse_and_write_anew(bencher: Bencher) {
    let bytes = request();
    let mut out = vec![0; 4096];
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = complete(black_box(&bytes), &mut slots);
        let mut writer = HeadWriter::new(&mut out);
        writer.request_line(head.method, &head.path, head.target.query());
        writer.field("host", head.host.as_bytes());
        for field in head.end_to_end() {
            writer.field(field.name, field.value);
        }
        black_box(writer.end())
    });
}

#[divan::bench]
fn response_httparse_alone(bencher: Bencher) {
    bencher.counter(BytesCount::of_slice(RESPONSE)).bench_local(|| {
        let mut slots = [const { std::mem::MaybeUninit::uninit() }; 128];
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            black_box(RESPONSE),
            &mut slots,
        );
        black_box((status.is_ok(), response.headers.len()))
    });
}

#[divan::bench]
fn response_parse(bencher: Bencher) {
    bencher.counter(BytesCount::of_slice(RESPONSE)).bench_local(|| {
        let mut slots = FieldSlots::new();
        match parse_response(black_box(RESPONSE), &mut slots, LIMITS, "GET") {
            Ok(Progress::Complete(head)) => black_box((head.status, head.fields.len())),
            Ok(Progress::Partial) | Err(_) => panic!("the head is whole and good"),
        }
    });
}

/// Chunks of 4 KiB in 64 KiB of receive buffer.
#[divan::bench]
fn chunked_decode(bencher: Bencher) {
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let body = chunk.repeat(16);
    bencher.counter(BytesCount::of_slice(&body)).with_inputs(|| body.clone()).bench_local_refs(
        |bytes| {
            let mut decoder = ChunkedDecoder::new(ChunkLimits { overhead_bytes: 64, trailers: LIMITS });
            black_box(decoder.decode(bytes).map(|decoded| decoded.data))
        },
    );
}
