//! What may differ between two runs of the same requests, taken out of the bytes.

/// Without what differs by nature: the time in `Date`, and where a chunked body is cut into chunks,
/// which goes by the pieces that the network delivers.
pub fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut out = Vec::with_capacity(bytes.len());
    while let Some(end) = find(rest, b"\r\n\r\n") {
        let (head, after) = rest.split_at(end + 4);
        out.extend(without_date(head));
        rest = after;
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        if text.contains("\r\ntransfer-encoding: chunked\r\n") {
            if let Some((data, trailers)) = joined_chunks(rest) {
                out.extend(format!("<{} bytes in chunks>", data.len()).into_bytes());
                out.extend(data);
                rest = trailers;
            }
        } else if let Some(length) = content_length(&text) {
            let (body, after) = rest.split_at(length.min(rest.len()));
            out.extend(body);
            rest = after;
        }
    }
    out.extend(rest);
    out
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, mark)
}

fn content_length(head: &str) -> Option<usize> {
    let (_, value) = head.split_once("\r\ncontent-length: ")?;
    value.split_once("\r\n")?.0.parse().ok()
}

/// The gateway's own field has this spelling; one of an upstream's differs in its value.
fn without_date(head: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"\r\nDate: ";
    const VALUE_BYTES: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();
    let Some(at) = find(head, FIELD) else { return head.to_vec() };
    let value = at + FIELD.len();
    [&head[..value], b"<now>", &head[value + VALUE_BYTES..]].concat()
}

/// The data of all chunks, and what follows the line of the last one; none if these are no chunks
/// to the end, as after a response to HEAD or where the body was cut.
fn joined_chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut data = Vec::new();
    loop {
        let line_end = find(bytes, b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..line_end]).ok()?;
        let size = usize::from_str_radix(line, 16).ok()?;
        bytes = &bytes[line_end + 2..];
        if size == 0 {
            return Some((data, bytes));
        }
        data.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[test]
fn the_cut_of_chunks_and_the_time_do_not_matter_and_all_else_does() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: ";
    let one = format!("{head}Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n3\r\nabc\r\n0\r\n\r\nrest");
    let two =
        format!("{head}Mon, 07 Nov 1994 09:50:38 GMT\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\nrest");
    assert_eq!(masked(one.as_bytes()), masked(two.as_bytes()));
    for other in [one.replace("abc", "abd"), one.replace("OK", "Ok"), one.replace("rest", "r")] {
        assert_ne!(masked(one.as_bytes()), masked(other.as_bytes()));
    }
    let cut = &one.as_bytes()[..one.len() - "0\r\n\r\nrest".len()];
    assert!(masked(cut).ends_with(b"3\r\nabc\r\n"), "what is no whole body stays as it is");
}
