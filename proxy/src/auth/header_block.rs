//! Request fields made from claims, encoded so that no claim can end a field or look like another.
//!
//! A string, number or boolean is written as it is; the scalars of an array are joined by commas,
//! a comma or backslash inside one being escaped by a backslash. Every byte that is not visible
//! ASCII or an inner space, and `%` itself, is percent-encoded: two different claims never give
//! one value. A claim that is missing, `null`, an object, or an array with one of these gives no
//! field.
//!
//! As JSON, or as JSON in base64url, every claim can be told but one that is missing or `null`.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::Claims;
use super::json::{Value, write_json};
use super::refusal::Reason;
use crate::snapshot::provider::{ClaimEncoding, ClaimHeader};

/// Bytes of all fields made from one token: with the largest head it still fits the send buffer.
pub(super) const BLOCK_BYTES_MAX: usize = 8 * 1024;

/// The fields, each ended by CRLF, ready to be sent; `block` is room to write them in.
pub(super) fn build(
    headers: &[ClaimHeader],
    claims: Claims<'_>,
    block: &mut Vec<u8>,
) -> Result<Box<[u8]>, Reason> {
    block.clear();
    for header in headers {
        let start = block.len();
        block.extend_from_slice(header.name.as_bytes());
        block.extend_from_slice(b": ");
        let value = block.len();
        let written = claims.find(&header.claim).is_some_and(|claim| match header.encoding {
            ClaimEncoding::Text => {
                let written = write_claim(claim, block);
                encode_outer_spaces(block, value);
                written
            }
            ClaimEncoding::Json => write_as_json(claim, block),
            ClaimEncoding::Base64Url => {
                let mut json = Vec::new();
                let written = write_as_json(claim, &mut json);
                block.extend_from_slice(URL_SAFE_NO_PAD.encode(&json).as_bytes());
                written
            }
        });
        if written {
            block.extend_from_slice(b"\r\n");
        } else {
            block.truncate(start);
        }
        if block.len() > BLOCK_BYTES_MAX {
            return Err(Reason::ClaimHeaders);
        }
    }
    Ok(block.as_slice().into())
}

/// Nothing for `null`: a field that is there says that there is a claim.
fn write_as_json(claim: Value<'_>, out: &mut Vec<u8>) -> bool {
    if matches!(claim, Value::Null) {
        return false;
    }
    write_json(claim, out);
    true
}

fn write_claim(claim: Value<'_>, block: &mut Vec<u8>) -> bool {
    match claim {
        Value::Array(array) => {
            for (index, element) in array.elements().enumerate() {
                if index > 0 {
                    block.push(b',');
                }
                if !write_scalar(element, true, block) {
                    return false;
                }
            }
            true
        }
        scalar => write_scalar(scalar, false, block),
    }
}

fn write_scalar(scalar: Value<'_>, in_list: bool, block: &mut Vec<u8>) -> bool {
    match scalar {
        Value::Bool(value) => block.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Number(text) => block.extend_from_slice(text.as_bytes()),
        Value::String(text) => write_text(text.to_cow().as_bytes(), in_list, block),
        Value::Null | Value::Array(_) | Value::Object(_) => return false,
    }
    true
}

fn write_text(mut text: &[u8], in_list: bool, block: &mut Vec<u8>) {
    let is_plain = |byte: u8| match byte {
        b',' | b'\\' => !in_list,
        b'%' | 0..=0x1f | 0x7f.. => false,
        _visible => true,
    };
    while let Some(at) = text.iter().position(|byte| !is_plain(*byte)) {
        block.extend_from_slice(&text[..at]);
        match text[at] {
            mark @ (b',' | b'\\') => block.extend_from_slice(&[b'\\', mark]),
            byte => percent_encode(byte, block),
        }
        text = &text[at + 1..];
    }
    block.extend_from_slice(text);
}

fn percent_encode(byte: u8, block: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = write!(block, "%{byte:02X}");
}

/// Receivers trim a field value, so a space at either end would be lost.
fn encode_outer_spaces(block: &mut Vec<u8>, start: usize) {
    if block.len() > start && block.last() == Some(&b' ') {
        block.pop();
        block.extend_from_slice(b"%20");
    }
    if block.get(start) == Some(&b' ') {
        block.splice(start..=start, *b"%20");
    }
}

#[cfg(test)]
mod tests;
