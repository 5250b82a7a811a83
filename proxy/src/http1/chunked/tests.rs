//! Bodies in and out: a table of both, and any split against a slow obvious decoder.

use proptest::prelude::*;

use super::*;
use crate::http1::{CHUNK_HEADER_MAX, HeadLimits, LAST_CHUNK, chunk_header};

const LIMITS: ChunkLimits = ChunkLimits {
    overhead_bytes: 1000,
    trailers: HeadLimits { head_bytes: 64, head_fields: 2, target_bytes: 0 },
};

/// What a body is: its data, the trailer lines to forward, and the bytes it took. `None` while it is
/// not whole.
type Body = Option<(Vec<u8>, Option<Vec<u8>>, usize)>;

/// Decodes `bytes` in pieces that end at `cuts`.
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Body, ChunkedError> {
    let mut decoder = ChunkedDecoder::new(LIMITS);
    let mut data = Vec::new();
    let mut start = 0;
    let mut total = 0;
    for &end in cuts.iter().chain([&bytes.len()]) {
        let mut piece = bytes[start..end].to_vec();
        let decoded = decoder.decode(&mut piece)?;
        assert_eq!(piece[decoded.consumed..], bytes[start + decoded.consumed..end]);
        data.extend_from_slice(&piece[..decoded.data]);
        total += decoded.consumed;
        if decoded.done {
            let after = decoder.decode(&mut piece)?;
            assert_eq!(after, Decoded { data: 0, consumed: 0, done: true });
            return Ok(Some((data, decoder.take_trailers(), total)));
        }
        assert_eq!(decoded.consumed, piece.len());
        start = end;
    }
    assert_eq!(decoder.take_trailers(), None);
    Ok(None)
}

/// The obvious decoder: a whole body at once, line by line, in the words of RFC 9112 section 7.1.
/// `None` for what is wrong or not whole; it does not say why.
fn obvious(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line = |from: usize| {
        let len = bytes[from..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = &bytes[from..from + len];
        let is_clean = !line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127));
        is_clean.then_some((line, from + len + 2))
    };
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let (size_line, after) = line(at)?;
        at = after;
        let size = size_line.split(|&byte| byte == b';').next()?;
        if size.is_empty() || size.len() > 16 || !size.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(bytes.get(at..end)?);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    let mut trailers = 0;
    loop {
        let (trailer, after) = line(at)?;
        at = after;
        if trailer.is_empty() {
            return Some((data, at));
        }
        trailers += 1;
        let colon = trailer.iter().position(|&byte| byte == b':')?;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if colon == 0
            || !trailer[..colon].iter().all(is_name)
            || trailers > LIMITS.trailers.head_fields
        {
            return None;
        }
    }
}

#[test]
fn decodes_what_is_whole_and_waits_for_what_is_not() {
    let body = |data: &str, trailers: Option<&str>, total| {
        Ok(Some((data.as_bytes().to_vec(), trailers.map(|lines| lines.as_bytes().to_vec()), total)))
    };
    for (bytes, expected) in [
        ("0\r\n\r\n", body("", None, 5)),
        ("0\r\n\r\nGET /", body("", None, 5)),
        ("3\r\nabc\r\n0\r\n\r\n", body("abc", None, 13)),
        ("3\r\nabc\r\n02\r\nde\r\n000\r\n\r\n3\r\n", body("abcde", None, 23)),
        ("A;x=\"y;z\";;\r\n0123456789\r\n0;\t\r\n\r\n", body("0123456789", None, 32)),
        ("a\r\n0123\r\n6789\r\n0\r\n\r\n", body("0123\r\n6789", None, 20)),
        ("0\r\nX-Sum:1\r\nHost: a\r\n\r\n", body("", Some("X-Sum: 1\r\n"), 23)),
        ("0\r\nHost: a\r\n\r\n", body("", None, 14)),
        ("", Ok(None)),
        ("3", Ok(None)),
        ("3\r\nab", Ok(None)),
        ("3\r\nabc\r\n0\r\n", Ok(None)),
        ("0\r\nX-Sum: 1\r\n", Ok(None)),
        ("ffffffffffffffff\r\nabc", Ok(None)),
    ] {
        assert_eq!(decode(bytes.as_bytes(), &[]), expected, "{bytes:?}");
    }
}

#[test]
fn refuses_each_misspelling() {
    for (bytes, error) in [
        ("\r\n", ChunkedError::Size),
        ("+3\r\n", ChunkedError::Size),
        ("-3\r\n", ChunkedError::Size),
        ("0x3\r\n", ChunkedError::Size),
        (" 3\r\n", ChunkedError::Size),
        ("3 \r\n", ChunkedError::Size),
        ("3 ;a\r\n", ChunkedError::Size),
        ("3_0\r\n", ChunkedError::Size),
        (";a\r\n", ChunkedError::Size),
        ("g\r\n", ChunkedError::Size),
        ("10000000000000000\r\n", ChunkedError::SizeTooLong),
        ("00000000000000003\r\n", ChunkedError::SizeTooLong),
        ("3\nabc", ChunkedError::LineEnd),
        ("3\rabc", ChunkedError::LineEnd),
        ("3;a\nabc", ChunkedError::LineEnd),
        ("3;a\r\rabc", ChunkedError::LineEnd),
        ("3;a\0\r\n", ChunkedError::Extension),
        ("3;a\x7f\r\n", ChunkedError::Extension),
        ("3\r\nabcd\r\n", ChunkedError::DataEnd),
        ("3\r\nabc\n", ChunkedError::DataEnd),
        ("3\r\nabc\rx", ChunkedError::DataEnd),
        ("3\r\nabc0\r\n", ChunkedError::DataEnd),
        ("0\r\n\n", ChunkedError::LineEnd),
        ("0\r\n\rx", ChunkedError::LineEnd),
        ("0\r\nA: b\n", ChunkedError::LineEnd),
        ("0\r\nA: b\rc", ChunkedError::LineEnd),
        ("0\r\n A: b\r\n\r\n", ChunkedError::Trailer),
        ("0\r\nA : b\r\n\r\n", ChunkedError::Trailer),
        ("0\r\nA: \0\r\n\r\n", ChunkedError::Trailer),
        ("0\r\nA\r\n\r\n", ChunkedError::Trailer),
        ("0\r\nA:\r\nB:\r\nC:\r\n\r\n", ChunkedError::TooManyTrailers),
    ] {
        assert_eq!(decode(bytes.as_bytes(), &[]), Err(error), "{bytes:?}");
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = ChunkedDecoder::new(LIMITS);
    assert_eq!(decoder.decode(&mut b"x".to_vec()), Err(ChunkedError::Size));
    assert_eq!(decoder.decode(&mut b"0\r\n\r\n".to_vec()), Err(ChunkedError::Size));
}

#[test]
fn trailers_keep_to_their_bytes() {
    let trailer_of = |bytes: usize| format!("0\r\n{:a<1$}\r\n\r\n", "A: ", bytes - 2);
    let decoded =
        decode(trailer_of(LIMITS.trailers.head_bytes).as_bytes(), &[]).expect("at the limit");
    assert!(decoded.is_some());
    let over = decode(trailer_of(LIMITS.trailers.head_bytes + 1).as_bytes(), &[]);
    assert_eq!(over, Err(ChunkedError::TrailersTooLong));
}

#[test]
fn the_bytes_beside_the_data_of_all_chunks_keep_to_their_number() {
    // Five bytes around a byte of data, eight of which it excuses.
    let chunk = |extension: usize| format!("1;{}\r\nx\r\n", "e".repeat(extension - 1));
    for (first, second, last, is_over) in [
        (chunk(3 + 497), chunk(3 + 498), "0", false),
        (chunk(3 + 498), chunk(3 + 498), "0", true),
        (chunk(3 + 497), chunk(3 + 498), "0;", true),
        (chunk(3 + 1000), String::new(), "", false),
        (chunk(3 + 1001), String::new(), "", true),
    ] {
        let end = if last.is_empty() { String::new() } else { format!("{last}\r\n\r\n") };
        let bytes = format!("{first}{second}{end}");
        let decoded = decode(bytes.as_bytes(), &[]);
        let expected = if is_over { Err(ChunkedError::Overhead) } else { Ok(()) };
        assert_eq!(decoded.map(drop), expected, "{} {} {last}", first.len(), second.len());
    }
}

#[test]
fn data_excuses_bytes_of_its_own_chunk_only() {
    // However many, as long as they are spelt as usual.
    let small = "1\r\nx\r\n".repeat(10_000);
    let decoded = decode(format!("{small}0\r\n\r\n").as_bytes(), &[]).expect("small chunks");
    assert_eq!(decoded.map(|(data, ..)| data.len()), Some(10_000));
    // Twelve bytes more than the data excuses, each.
    let padded = "0000000000000001\r\nx\r\n";
    assert!(decode(padded.repeat(1000 / 12).as_bytes(), &[]).is_ok());
    let over = decode(padded.repeat(1000 / 12 + 1).as_bytes(), &[]);
    assert_eq!(over, Err(ChunkedError::Overhead));
    let large = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(1500));
    let over = decode(format!("{large}{extension}").as_bytes(), &[]);
    assert_eq!(over, Err(ChunkedError::Overhead), "a large chunk is no credit");
    let signed = format!("1000;{}\r\n{}\r\n", "s".repeat(85), "x".repeat(0x1000));
    assert!(decode(signed.repeat(1000).as_bytes(), &[]).is_ok(), "of large chunks");
    assert_eq!(decode(b"ffffffffffffffff;a", &[]), Ok(None), "no size is too large to count by");
}

/// A chunk, mostly as it should be.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(prop::sample::select(b"ab\r\n0;".as_slice()), 1..20);
    let odd = prop::sample::select(&["", "0", ";a=b", " ", "\n", "x", "+"][..]);
    (data, prop::bool::weighted(0.9), odd.clone(), odd, any::<bool>()).prop_map(
        |(data, is_good, before, after, upper)| {
            let size =
                if upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            let (before, after) = if is_good { ("", "") } else { (before, after) };
            let header = format!("{before}{size}{after}\r\n");
            [header.as_bytes(), &data, b"\r\n"].concat()
        },
    )
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(
        &[
            "0\r\n\r\n",
            "0\r\nA: b\r\n\r\n",
            "0\r\nA: b\r\nHost: c\r\n\r\n",
            "00;x\r\n\r\nmore",
            "0\r\n",
            "0\n\n",
            "0\r\nA b\r\n\r\n",
        ][..],
    );
    (prop::collection::vec(chunk(), 0..5), end)
        .prop_map(|(chunks, end)| [chunks.concat(), end.as_bytes().to_vec()].concat())
}

fn cuts(len: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..=len, 0..8).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_decodes_as_the_obvious_decoder_does(
        (bytes, cuts) in body().prop_flat_map(|bytes| { let len = bytes.len(); (Just(bytes), cuts(len)) })
    ) {
        let whole = decode(&bytes, &[]);
        prop_assert_eq!(&decode(&bytes, &cuts), &whole);
        let each: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&decode(&bytes, &each), &whole);
        let decoded = whole.ok().flatten().map(|(data, _, total)| (data, total));
        prop_assert_eq!(decoded, obvious(&bytes));
    }

    #[test]
    fn what_is_encoded_decodes(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..5)) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            let mut header = [0; CHUNK_HEADER_MAX];
            let len = chunk_header(chunk.len(), &mut header);
            bytes.extend_from_slice(&header[..len]);
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(LAST_CHUNK);
        bytes.extend_from_slice(b"\r\n");
        let total = bytes.len();
        prop_assert_eq!(decode(&bytes, &[]), Ok(Some((chunks.concat(), None, total))));
    }

    #[test]
    fn arbitrary_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let each: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(decode(&bytes, &each), decode(&bytes, &[]));
    }
}
