//! Refusals as a gRPC client reads them: status 200, and what is wrong in `grpc-status`.
//!
//! A refused call is answered with a head alone, which gRPC calls "Trailers-Only".

use crate::http1::Field;

/// The media type to answer with where the request is a gRPC call.
pub(super) fn media_type(fields: &[Field<'_>]) -> Option<&'static str> {
    let asked = fields.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"))?.value;
    let rest = cut_prefix(asked, b"application/grpc")?;
    if let Some(rest) = cut_prefix(rest, b"-web-text") {
        return ends_name(rest).then_some("application/grpc-web-text");
    }
    if let Some(rest) = cut_prefix(rest, b"-web") {
        return ends_name(rest).then_some("application/grpc-web");
    }
    ends_name(rest).then_some("application/grpc")
}

fn cut_prefix<'v>(value: &'v [u8], prefix: &[u8]) -> Option<&'v [u8]> {
    let (head, rest) = value.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether the name of the media type ends here: `+proto` and parameters may follow.
fn ends_name(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// The code for an HTTP status (gRPC's "HTTP to gRPC Status Code Mapping", and RESOURCE_EXHAUSTED
/// for what is over a limit).
pub(super) fn code(status: u16) -> u64 {
    match status {
        401 | 407 => 16,
        403 => 7,
        404 => 12,
        408 => 4,
        413 | 414 | 429 | 431 => 8,
        502..=504 => 14,
        400..=499 => 13,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_media_type() {
        let of =
            |value: &str| media_type(&[Field { name: "Content-Type", value: value.as_bytes() }]);
        for (value, answer) in [
            ("application/grpc", Some("application/grpc")),
            ("Application/GRPC+proto; charset=x", Some("application/grpc")),
            ("application/grpc-web+proto", Some("application/grpc-web")),
            ("application/grpc-web-text", Some("application/grpc-web-text")),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(of(value), answer, "{value}");
        }
        assert_eq!(media_type(&[]), None);
    }
}
