//! The head of a request: parsed by httparse, then held to what RFC 9112 says and httparse does not.

use std::borrow::Cow;
use std::fmt;

use super::authority::{self, Authority};
use super::connection::{ConnectionFault, is_token_byte, tunnelled_protocol};
use super::diagnosis::field_fault;
use super::fields::{Field, FieldFault, FieldSet, FieldSlots, Sole, Survey, survey};
use super::framing::{BodyLength, Declared, declared};
use super::target::{self, ParsedTarget, Target};
use super::{HeadLimits, Progress, RequestError, Version};
use crate::snapshot::path_normalization::PathNormalization;

/// Bytes of a method. The longest that is registered with IANA has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// A request head, valid throughout: whoever has one need not check it again.
pub struct RequestHead<'h, 'b> {
    /// The method, as sent: methods are case-sensitive.
    pub method: &'b str,
    /// What is asked for, as sent.
    pub target: Target<'b>,
    /// The path of the target in the form asked for: the one to route by and to send on.
    pub path: Cow<'b, str>,
    /// The version that the request line names.
    pub version: Version,
    /// The authority that the request is for, as sent; empty only in HTTP/1.0 without Host.
    pub host: &'b str,
    /// All field lines, in order.
    pub fields: &'h [Field<'b>],
    /// Bytes of the head, and of one empty line before it; the body begins there.
    pub head_bytes: usize,
    /// How long the body is. Never `UntilClose`, and `None` for a length of zero.
    pub body: BodyLength,
    /// Whether the client lets the connection live on (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// The one protocol that the client offers to go on with and that may be tunnelled.
    pub upgrade: Option<&'b [u8]>,
    /// Whether the client waits for 100 (Continue) before it sends its body.
    pub expect_continue: bool,
    withheld: FieldSet,
}

impl<'b> RequestHead<'_, 'b> {
    /// The fields to forward: without those of this hop (RFC 9110 section 7.6.1), those that
    /// Connection lists, and those that are written anew (Host and the framing).
    pub fn end_to_end(&self) -> impl Iterator<Item = &Field<'b>> {
        self.withheld.others(self.fields)
    }

    /// Whether a repeat of the request has the effect of one (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }

    /// Whether it is what a browser asks before it makes another request (Fetch standard,
    /// section 3.3.2).
    #[must_use]
    pub fn is_cors_preflight(&self) -> bool {
        let has =
            |name: &str| self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        self.method == "OPTIONS" && has("origin") && has("access-control-request-method")
    }
}

/// Without target and fields: they hold tokens.
impl fmt::Debug for RequestHead<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("body", &self.body)
            .field("head_bytes", &self.head_bytes)
            .finish_non_exhaustive()
    }
}

/// Parses the request head that `bytes` begins with.
///
/// The answer does not depend on how much of what follows the head, or follows the first fault, has
/// arrived.
///
/// # Errors
///
/// The first reason found to refuse the head.
pub fn parse_request<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut FieldSlots<'b>,
    limits: HeadLimits,
    paths: PathNormalization,
) -> Result<Progress<RequestHead<'h, 'b>>, RequestError> {
    let in_limit = &bytes[..bytes.len().min(limits.head_bytes)];
    let Some(skipped) = leading_empty_line(in_limit)? else { return partial(bytes, b"", limits) };
    let head = &in_limit[skipped..];
    let mut parsed = httparse::Request::new(&mut []);
    let head_bytes = match parsed.parse_with_uninit_headers(head, slots.up_to(limits.head_fields)) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return partial(bytes, head, limits),
        Err(error) => return Err(refusal(head, error, limits)),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(RequestError::RequestLine);
    };
    if method.len() > METHOD_BYTES_MAX {
        return Err(RequestError::MethodTooLong);
    }
    if target.len() > limits.target_bytes {
        return Err(RequestError::TargetTooLong);
    }
    let line_end = method.len() + target.len() + "  HTTP/1.1".len();
    if head.get(line_end) != Some(&b'\r') || !head[..head_bytes].ends_with(b"\r\n") {
        return Err(RequestError::BareLf);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let start = RequestStart { method, version, target: target::parse(method, target, paths)? };
    let fields: &'h [Field<'b>] = parsed.headers;
    let survey = survey(head, fields)?;
    assemble(start, fields, &survey, skipped + head_bytes).map(Progress::Complete)
}

/// What the request line says.
struct RequestStart<'b> {
    method: &'b str,
    version: Version,
    target: ParsedTarget<'b>,
}

/// Draws the conclusions from the request line and the fields.
fn assemble<'h, 'b>(
    start: RequestStart<'b>,
    fields: &'h [Field<'b>],
    survey: &Survey<'b>,
    head_bytes: usize,
) -> Result<RequestHead<'h, 'b>, RequestError> {
    let RequestStart { method, version, target } = start;
    let host = effective_host(&target, survey.host, version)?;
    let body = match declared(survey, version)? {
        Declared::Nothing | Declared::Length(0) => BodyLength::None,
        Declared::Length(length) => BodyLength::Length(length),
        Declared::Chunked => BodyLength::Chunked,
    };
    if method == "CONNECT" && body != BodyLength::None {
        return Err(RequestError::ConnectBody);
    }
    let connection = survey.connection;
    if connection.protected {
        return Err(RequestError::ConnectionProtected);
    }
    let may_upgrade = version == Version::Http11 && connection.upgrade && body == BodyLength::None;
    Ok(RequestHead {
        method,
        target: target.target,
        path: target.path,
        version,
        host,
        fields,
        head_bytes,
        body,
        keep_alive: match version {
            _ if connection.close => false,
            Version::Http11 => true,
            Version::Http10 => connection.keep_alive,
        },
        upgrade: if may_upgrade { tunnelled_protocol(survey.upgrade) } else { None },
        expect_continue: expects_continue(survey.expect, version)? && body != BodyLength::None,
        withheld: survey.withheld,
    })
}

/// The one authority of a request (RFC 9112 section 3.2): Host, or the target where it names one.
///
/// RFC 9112 has the target win over a differing Host; a recipient behind us may not, so that
/// difference is refused.
fn effective_host<'b>(
    target: &ParsedTarget<'b>,
    host: Sole<'b>,
    version: Version,
) -> Result<&'b str, RequestError> {
    let host: Option<Authority<'b>> = match host {
        Sole::Once(value) => Some(authority::parse(value).ok_or(RequestError::HostSyntax)?),
        Sole::Several => return Err(RequestError::HostDuplicate),
        Sole::Absent if version == Version::Http11 => return Err(RequestError::HostMissing),
        Sole::Absent => None,
    };
    match (target.authority, host) {
        (Some(named), Some(host)) if !named.agrees_with(&host, target.default_port) => {
            Err(RequestError::HostMismatch)
        }
        (Some(named), _) => Ok(named.text),
        (None, Some(host)) => Ok(host.text),
        (None, None) => Ok(""),
    }
}

/// Whether the client asks for 100 (Continue). HTTP/1.0 knows no Expect (RFC 9110 section 10.1.1).
fn expects_continue(expect: Sole<'_>, version: Version) -> Result<bool, RequestError> {
    match expect {
        Sole::Absent => Ok(false),
        Sole::Once(_) | Sole::Several if version == Version::Http10 => Ok(false),
        Sole::Once(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Sole::Once(_) | Sole::Several => Err(RequestError::Expectation),
    }
}

/// How many bytes of one empty line precede the request line (RFC 9112 section 2.2), `None` while
/// that cannot be known.
fn leading_empty_line(bytes: &[u8]) -> Result<Option<usize>, RequestError> {
    match bytes {
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(RequestError::LeadingEmptyLine),
        [] | [b'\r'] | [b'\r', b'\n'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\r', ..] => Err(RequestError::BareCr),
        [b'\n', ..] => Err(RequestError::BareLf),
        _ => Ok(Some(0)),
    }
}

/// The answer to a head that has not ended: more bytes, or the limit they already are over.
fn partial<'h, 'b>(
    bytes: &[u8],
    head: &[u8],
    limits: HeadLimits,
) -> Result<Progress<RequestHead<'h, 'b>>, RequestError> {
    match start_line_over_limit(head, limits) {
        Some(error) => Err(error),
        None if bytes.len() >= limits.head_bytes => Err(RequestError::HeadTooLong),
        None => Ok(Progress::Partial),
    }
}

/// The limit that a request line, whole or not, is over.
fn start_line_over_limit(head: &[u8], limits: HeadLimits) -> Option<RequestError> {
    let method = method_bytes(head);
    if method > METHOD_BYTES_MAX {
        return Some(RequestError::MethodTooLong);
    }
    let target = head[method..].strip_prefix(b" ").filter(|_| method > 0)?;
    (target_bytes(target) > limits.target_bytes).then_some(RequestError::TargetTooLong)
}

fn method_bytes(head: &[u8]) -> usize {
    head.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(head.len())
}

fn target_bytes(target: &[u8]) -> usize {
    target.iter().position(|&byte| byte <= b' ' || byte == 0x7f).unwrap_or(target.len())
}

/// Why httparse refused a head: it tells which part is wrong, we what is wrong with it.
#[cold]
fn refusal(head: &[u8], error: httparse::Error, limits: HeadLimits) -> RequestError {
    if let Some(error) = start_line_over_limit(head, limits) {
        return error;
    }
    match error {
        httparse::Error::TooManyHeaders => RequestError::TooManyFields,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => field_fault(head).into(),
        httparse::Error::Token
        | httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status => {
            start_line_fault(head).unwrap_or_else(|| field_fault(head).into())
        }
    }
}

/// The fault of a request line; `None` if it has none.
fn start_line_fault(head: &[u8]) -> Option<RequestError> {
    // What an HTTP/2 client says first (RFC 9113 section 3.4).
    if head.starts_with(b"PRI * HTTP/2") {
        return Some(RequestError::Http2Preface);
    }
    let method = method_bytes(head);
    let Some(target) = head[method..].strip_prefix(b" ").filter(|_| method > 0) else {
        return Some(RequestError::Method);
    };
    let target_bytes = target_bytes(target);
    let version = match &target[target_bytes..] {
        [b' ', version @ ..] if target_bytes > 0 => version,
        [b'\r' | b'\n', ..] if target_bytes > 0 => return Some(RequestError::Http09),
        _ => return Some(RequestError::TargetByte),
    };
    if std::str::from_utf8(&target[..target_bytes]).is_err() {
        return Some(RequestError::TargetByte);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', end @ ..] => match end {
            [b'\r', b'\n', ..] => None,
            [b'\n', ..] => Some(RequestError::BareLf),
            [b'\r', ..] => Some(RequestError::BareCr),
            _ => Some(RequestError::RequestLine),
        },
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Some(RequestError::VersionUnsupported),
        _ => Some(RequestError::Version),
    }
}

impl From<FieldFault> for RequestError {
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
