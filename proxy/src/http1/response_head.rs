//! The head of a response: parsed by httparse, then held to what RFC 9112 says and httparse does not.

use std::fmt;

use super::connection::{ConnectionFault, tunnelled_protocol};
use super::diagnosis::field_fault;
use super::fields::{Field, FieldFault, FieldSet, FieldSlots, Survey, survey};
use super::framing::{BodyLength, Declared, declared};
use super::{HeadLimits, Progress, ResponseError, Version};

/// A response head, valid throughout.
pub struct ResponseHead<'h, 'b> {
    /// The version that the status line names.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase; empty where there is none, or one that is not ASCII.
    pub reason: &'b str,
    /// All field lines, in order.
    pub fields: &'h [Field<'b>],
    /// Bytes of the head; the body begins there.
    pub head_bytes: usize,
    /// How long the body is. `None` where the request or the status allows no body.
    pub body: BodyLength,
    /// The length that Content-Length declares. Without a body, as after HEAD or with 304, it is
    /// that of the body which GET would have, and is sent on.
    pub declared_length: Option<u64>,
    /// Whether the upstream lets the connection live on after the body (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// With 101 alone: the protocol that the upstream goes on with.
    pub upgrade: Option<&'b [u8]>,
    withheld: FieldSet,
}

impl<'b> ResponseHead<'_, 'b> {
    /// The fields to forward: without those of this hop (RFC 9110 section 7.6.1), those that
    /// Connection lists, and the framing, which is written anew.
    pub fn end_to_end(&self) -> impl Iterator<Item = &Field<'b>> {
        self.withheld.others(self.fields)
    }

    /// Whether another response to the same request follows: 1xx other than 101.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Without the fields: they hold cookies.
impl fmt::Debug for ResponseHead<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("body", &self.body)
            .field("head_bytes", &self.head_bytes)
            .finish_non_exhaustive()
    }
}

/// Parses the head of a response to a request of `request_method` that `bytes` begins with.
///
/// # Errors
///
/// The first reason found to refuse the head.
pub fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut FieldSlots<'b>,
    limits: HeadLimits,
    request_method: &str,
) -> Result<Progress<ResponseHead<'h, 'b>>, ResponseError> {
    let head = &bytes[..bytes.len().min(limits.head_bytes)];
    // httparse skips empty lines before the status line; RFC 9112 has none there.
    if let Some(b'\r' | b'\n') = head.first() {
        return Err(ResponseError::StatusLine);
    }
    let mut parsed = httparse::Response::new(&mut []);
    let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        head,
        slots.up_to(limits.head_fields),
    );
    let head_bytes = match result {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() >= limits.head_bytes => {
            return Err(ResponseError::HeadTooLong);
        }
        Ok(httparse::Status::Partial) => return Ok(Progress::Partial),
        Err(error) => return Err(refusal(head, error)),
    };
    let (Some(minor), Some(status), Some(reason)) = (parsed.version, parsed.code, parsed.reason)
    else {
        return Err(ResponseError::StatusLine);
    };
    if !(100..=599).contains(&status) {
        return Err(ResponseError::Status);
    }
    if !status_line_ends_in_crlf(head) || !head[..head_bytes].ends_with(b"\r\n") {
        return Err(ResponseError::BareLf);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let fields: &'h [Field<'b>] = parsed.headers;
    let survey = survey(head, fields)?;
    let declared = declared(&survey, version)?;
    let body = body_length(request_method, status, declared);
    Ok(Progress::Complete(ResponseHead {
        version,
        status,
        reason,
        fields,
        head_bytes,
        body,
        declared_length: match declared {
            Declared::Length(length) => Some(length),
            Declared::Nothing | Declared::Chunked => None,
        },
        keep_alive: lives_on(version, status, body, &survey),
        upgrade: if status == 101 && survey.connection.upgrade {
            tunnelled_protocol(survey.upgrade)
        } else {
            None
        },
        withheld: survey.withheld,
    }))
}

/// RFC 9112 section 6.3, without what is refused before.
fn body_length(request_method: &str, status: u16, declared: Declared) -> BodyLength {
    let opens_tunnel = request_method == "CONNECT" && (200..=299).contains(&status);
    if request_method == "HEAD" || matches!(status, 100..=199 | 204 | 304) || opens_tunnel {
        return BodyLength::None;
    }
    match declared {
        Declared::Nothing => BodyLength::UntilClose,
        Declared::Length(length) => BodyLength::Length(length),
        Declared::Chunked => BodyLength::Chunked,
    }
}

/// RFC 9112 section 9.3; never after 101, which ends HTTP on the connection.
fn lives_on(version: Version, status: u16, body: BodyLength, survey: &Survey<'_>) -> bool {
    if status == 101 || body == BodyLength::UntilClose || survey.connection.close {
        return false;
    }
    version == Version::Http11 || survey.connection.keep_alive
}

fn status_line_ends_in_crlf(head: &[u8]) -> bool {
    memchr::memchr(b'\n', head).is_some_and(|end| head[..end].ends_with(b"\r"))
}

/// Why httparse refused a head: it tells which part is wrong, we what is wrong with it.
#[cold]
fn refusal(head: &[u8], error: httparse::Error) -> ResponseError {
    match error {
        httparse::Error::TooManyHeaders => ResponseError::TooManyFields,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            field_fault(head).into()
        }
        httparse::Error::Version if is_other_version(head) => ResponseError::VersionUnsupported,
        httparse::Error::Version | httparse::Error::Status | httparse::Error::Token => {
            ResponseError::StatusLine
        }
    }
}

/// Whether a head that httparse refused for its version names one that is not ours.
fn is_other_version(head: &[u8]) -> bool {
    // What follows a good version is httparse's to refuse under the same name: no space.
    !matches!(head, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..])
        && matches!(head, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..])
}

impl From<FieldFault> for ResponseError {
    fn from(fault: FieldFault) -> Self {
        match fault {
            FieldFault::Head(fault) => fault.into(),
            FieldFault::Connection(ConnectionFault::Syntax) => Self::ConnectionSyntax,
            FieldFault::Connection(ConnectionFault::TooManyOptions) => Self::ConnectionOptions,
        }
    }
}

#[cfg(test)]
mod tests;
