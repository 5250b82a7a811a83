//! Values as compact JSON of visible ASCII, fit for a header field.

use std::io::Write as _;

use super::{Text, Value};

/// Appends a value: numbers as they are written, members in their order.
pub(in crate::auth) fn write_json(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::String(text) => write_string(text, out),
        // As deep as a document may be.
        Value::Array(array) => {
            out.push(b'[');
            for (index, element) in array.elements().enumerate() {
                separate(index, out);
                write_json(element, out);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (index, (name, member)) in object.members().enumerate() {
                separate(index, out);
                write_string(name, out);
                out.push(b':');
                write_json(member, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

/// What is not visible ASCII becomes `\u` escapes (RFC 8259 section 7).
fn write_string(text: Text<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.to_cow().chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.push(character as u8),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a Vec does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push(b'"');
}
