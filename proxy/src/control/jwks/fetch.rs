//! One fetch of a key set's text, over HTTP or from a file, bounded in time and size.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::Body;
use ureq::http::header::{
    AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderMap, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use ureq::http::uri::Authority;
use ureq::http::{Response, StatusCode, Uri};

use super::address_guard::OutOfReach;
use super::connector::SlowHandshake;
use super::discovery::MetadataError;
use super::freshness::{CachingFields, time_to_live};
use super::location::unix;
use super::transport::Transport;
use crate::control::regular_file::read_at_most;

#[cfg(test)]
mod tests;

/// The most bytes of a key set, after decoding. 128 RSA-4096 keys with certificates fit.
pub const BODY_BYTES_MAX: usize = 512 * 1024;
/// Longer validators are not sent back.
const VALIDATOR_BYTES_MAX: usize = 256;

/// What makes the next fetch conditional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
    /// Of what, where that may change: of a discovered key set.
    url: Option<Box<str>>,
}

impl Validators {
    /// Those of this URL.
    pub(super) fn for_url(self, url: &str) -> Self {
        Self { url: Some(url.into()), ..self }
    }

    /// These if they are of this URL, else none.
    pub(super) fn of(&self, url: &str) -> Self {
        if self.url.as_deref() == Some(url) { self.clone() } else { Self::default() }
    }
}

#[cfg(test)]
impl Validators {
    /// With this entity tag.
    pub(super) fn for_test(etag: &str) -> Self {
        Self { etag: Some(etag.to_owned()), ..Self::default() }
    }
}

/// A fetch that worked.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A text.
    Text {
        /// As received, decoded.
        body: Vec<u8>,
        /// For the next fetch.
        validators: Validators,
        /// How long it is good for.
        life: Duration,
    },
    /// The text fetched before is still the right one.
    NotModified {
        /// How long it is good for.
        life: Duration,
    },
}

/// A fetch that did not work. Nothing of the body is ever part of the message.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Slow at one of the stages.
    #[error("timed out ({stage}); {total:?} are allowed in all")]
    TimedOut {
        /// What was being done.
        stage: String,
        /// As allowed.
        total: Duration,
    },
    /// The name has no address.
    #[error("the host name does not resolve")]
    HostNotFound,
    /// The connection or the exchange on it broke.
    #[error("{0}")]
    Io(io::Error),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// What came back is no HTTP.
    #[error("HTTP: {0}")]
    Protocol(String),
    /// A redirect that is not followed: too many, or to another host or scheme.
    #[error(
        "status {status} redirects; {allowed} to the same host or redirect_hosts over https are followed, configure the final URL"
    )]
    Redirected {
        /// 3xx.
        status: u16,
        /// As configured.
        allowed: u32,
    },
    /// The issuer's metadata does not lead to keys.
    #[error(transparent)]
    Metadata(MetadataError),
    /// No address of the host may be connected to.
    #[error(transparent)]
    OutOfReach(OutOfReach),
    /// Any other answer.
    #[error("status {status}; only 200 and, with a validator, 304 are good")]
    Status {
        /// As received.
        status: u16,
    },
    /// Most often an HTML page of a login form or proxy.
    #[error("content type {found:?}; application/json or application/jwk-set+json is expected")]
    ContentType {
        /// As received, cut, or empty.
        found: String,
    },
    /// The client is broken; the log has more.
    #[error("the HTTP client panicked")]
    Panicked,
    /// Too long.
    #[error("longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
}

/// Fetches from a URL, within the patience of the transport.
///
/// # Errors
/// When no good answer came in time.
pub fn from_url(
    transport: &Transport,
    url: &str,
    known: &Validators,
) -> Result<Fetched, FetchError> {
    keys(transport, url, known, Instant::now() + transport.patience.total)
}

/// As [`from_url`], until the deadline.
pub(super) fn keys(
    transport: &Transport,
    url: &str,
    known: &Validators,
    deadline: Instant,
) -> Result<Fetched, FetchError> {
    let conditional = [
        (IF_NONE_MATCH, known.etag.as_deref()),
        (IF_MODIFIED_SINCE, known.last_modified.as_deref()),
    ];
    let conditional: Vec<_> =
        conditional.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let response = get(transport, url, &conditional, deadline)?;
    let life = life_of(response.headers());
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if !conditional.is_empty() => {
            return Ok(Fetched::NotModified { life });
        }
        status => return Err(FetchError::Status { status: status.as_u16() }),
    }
    check_content_type(response.headers())?;
    let validators = Validators {
        etag: validator(response.headers(), &ETAG),
        last_modified: validator(response.headers(), &LAST_MODIFIED),
        url: None,
    };
    Ok(Fetched::Text { body: read_body(transport, response)?, validators, life })
}

/// Fetches a JSON document.
///
/// # Errors
/// When there was none in time.
pub(super) fn document(
    transport: &Transport,
    url: &str,
    deadline: Instant,
) -> Result<Vec<u8>, FetchError> {
    let response = get(transport, url, &[], deadline)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status { status: response.status().as_u16() });
    }
    check_content_type(response.headers())?;
    read_body(transport, response)
}

/// The response to a GET, after as many redirects as are allowed.
fn get(
    transport: &Transport,
    url: &str,
    fields: &[(HeaderName, &str)],
    deadline: Instant,
) -> Result<Response<Body>, FetchError> {
    let (socket, first) = match unix(url) {
        Some((socket, path)) => (Some(socket), &*format!("http://localhost{path}")),
        None => (None, url),
    };
    let first: Uri = first.parse().map_err(|_| FetchError::Protocol("not a URL".to_owned()))?;
    let mut url = first.clone();
    let mut followed = 0;
    loop {
        let elsewhere;
        let transport = if url.authority() == first.authority() {
            transport
        } else {
            elsewhere = transport.elsewhere();
            &elsewhere
        };
        let response = get_one(transport, &url, socket, fields, deadline)?;
        let status = response.status();
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let allowed = transport.redirects_max;
        let next = text(response.headers(), &LOCATION)
            .and_then(|to| redirected(&url, to, &transport.redirect_hosts));
        match next {
            Some(next) if followed < allowed => url = next,
            _ => return Err(FetchError::Redirected { status: status.as_u16(), allowed }),
        }
        followed += 1;
    }
}

/// The response to one GET.
fn get_one(
    transport: &Transport,
    url: &Uri,
    socket: Option<&Path>,
    fields: &[(HeaderName, &str)],
    deadline: Instant,
) -> Result<Response<Body>, FetchError> {
    if socket.is_none() {
        transport.check_literal(url).map_err(FetchError::OutOfReach)?;
    }
    let mut request = transport.client(url, socket, deadline).get(url.clone());
    for (name, value) in &transport.headers {
        request = request.header(name, value);
    }
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    request.call().map_err(|error| failure(error, transport))
}

/// Where a redirect leads, if that is the same host and port or an allowed one, over https.
fn redirected(from: &Uri, location: &str, allowed: &[Authority]) -> Option<Uri> {
    let authority = from.authority()?;
    let to: Uri = if location.starts_with('/') && !location.starts_with("//") {
        format!("https://{authority}{location}").parse().ok()?
    } else {
        location.parse().ok()?
    };
    // Compares as names of hosts do, in any case.
    let known = to.authority()? == authority || allowed.contains(to.authority()?);
    let encrypted = from.scheme_str() == Some("https") && to.scheme_str() == Some("https");
    (known && encrypted).then_some(to)
}

/// Reads from a file.
///
/// # Errors
/// When it cannot be read or is too long.
pub fn from_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    let body = read_at_most(path, BODY_BYTES_MAX + 1).map_err(FetchError::Io)?;
    if body.len() > BODY_BYTES_MAX { Err(FetchError::TooLong) } else { Ok(body) }
}

fn read_body(transport: &Transport, response: Response<Body>) -> Result<Vec<u8>, FetchError> {
    // ureq counts bytes after decoding and fails on the first one too many.
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = response.into_body().into_with_config().limit(limit).read_to_vec();
    let body = read.map_err(|error| failure(error, transport))?;
    if body.len() > BODY_BYTES_MAX { Err(FetchError::TooLong) } else { Ok(body) }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), FetchError> {
    let value = text(headers, &CONTENT_TYPE).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let good = ["application/json", "application/jwk-set+json"];
    if good.iter().any(|name| media_type.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(FetchError::ContentType { found: media_type.chars().take(64).collect() })
}

fn life_of(headers: &HeaderMap) -> Duration {
    let cache_control: Vec<&str> =
        headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()).collect();
    time_to_live(CachingFields {
        cache_control: &cache_control,
        age: text(headers, &AGE),
        expires: text(headers, &EXPIRES),
        date: text(headers, &DATE),
    })
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    text(headers, name).filter(|value| value.len() <= VALIDATOR_BYTES_MAX).map(str::to_owned)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn failure(error: ureq::Error, transport: &Transport) -> FetchError {
    let timed_out = |stage: &dyn std::fmt::Display| FetchError::TimedOut {
        stage: stage.to_string(),
        total: transport.patience.total,
    };
    match error {
        ureq::Error::Timeout(stage) => timed_out(&stage),
        ureq::Error::HostNotFound => FetchError::HostNotFound,
        ureq::Error::Io(error) => FetchError::Io(error),
        ureq::Error::Rustls(error) => FetchError::Tls(error.to_string()),
        ureq::Error::Tls(what) => FetchError::Tls(what.to_owned()),
        ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong,
        ureq::Error::Other(cause) if cause.is::<SlowHandshake>() => timed_out(&SlowHandshake),
        ureq::Error::Other(cause) => match cause.downcast::<OutOfReach>() {
            Ok(refused) => FetchError::OutOfReach(*refused),
            Err(other) => FetchError::Protocol(other.to_string()),
        },
        other => FetchError::Protocol(other.to_string()),
    }
}
