//! `jwks`: where a provider's keys come from and how that place is reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::DnsName;
use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::limits::DAY;
use super::upstreams::UNIX_PATH_BYTES_MAX;
use super::{JsonPath, Reader, secrets};
use crate::control::config::KeyFiles;
use crate::control::config::quantity::Span;
use crate::control::config::raw::jwt::{
    InlineJwks, Jwks, Places, Startup as RawStartup, default_startup_wait,
};
use crate::control::config::settings::{JwksSource, Startup};
use crate::control::jwks::address_guard::{Reach, is_loopback_host, literal};
use crate::control::jwks::location::unix;
use crate::control::jwks::parse::{ParsedSet, SET_BYTES_MAX, parse_set};
use crate::control::jwks::transport::{Identity, Patience, PemError, Proxy, Roots, Transport};
use crate::control::regular_file::read_at_most;
use crate::snapshot::key_set::Algorithm;

/// More often is a load on the issuer without use: an unknown `kid` fetches at once anyway.
const REFRESH_MIN: Span = Span(Duration::from_secs(1));
/// Longer, and whoever has started the process takes it for dead.
const STARTUP_WAIT_MIN: Span = Span(Duration::from_secs(1));
const STARTUP_WAIT_MAX: Span = Span(Duration::from_secs(300));
/// Request fields that the fetch writes itself, or that frame the message.
const RESERVED_HEADERS: [&str; 11] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "if-modified-since",
    "if-none-match",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// The keys that say something beside the URL of a Unix socket.
const OVER_UNIX: [&str; 2] = ["refresh_interval", "headers"];

/// More are a mistake: each is fetched all the time.
const PLACES_MAX: usize = 8;

/// Where fetched key sets are kept.
pub(super) fn cache_directory(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let path = JsonPath::from(["jwt", "cache_directory"]);
    let typed: String = reader.read(&path)?;
    let directory = reader.resolve(&typed);
    if !directory.is_dir() {
        reader.problem(&path, format!("{} is no directory", directory.display()));
    }
    Some(directory)
}

/// What a start does about keys that are not there yet.
pub(super) fn startup(reader: &mut Reader<'_>) -> Startup {
    let mode = reader.read(&JsonPath::from(["jwt", "startup"])).unwrap_or_default();
    let path = JsonPath::from(["jwt", "startup_wait"]);
    let wait = reader.read(&path).unwrap_or_else(default_startup_wait);
    reader.in_range(&path, &wait, &STARTUP_WAIT_MIN, &STARTUP_WAIT_MAX);
    match mode {
        RawStartup::Serve => Startup::Serve,
        RawStartup::Wait => Startup::Wait(wait.0),
        RawStartup::Fail => Startup::Fail(wait.0),
    }
}

/// Where the keys come from; `path` is that of `jwks`.
pub(super) fn sources(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Places,
    issuer: &str,
    algorithms: &[Algorithm],
) -> Option<Vec<JwksSource>> {
    let list = match raw {
        Places::One(one) => {
            return source(reader, path, one, issuer, algorithms).map(|source| vec![source]);
        }
        Places::InOrder(list) => list,
    };
    if list.len() > PLACES_MAX {
        reader.problem(path, format!("more places than {PLACES_MAX}"));
    }
    let mut sources = Vec::with_capacity(list.len());
    for (index, raw) in list.iter().enumerate() {
        let path = path.join(index);
        let source = source(reader, &path, raw, issuer, algorithms);
        if matches!(source, Some(JwksSource::Inline { .. })) && index + 1 < list.len() {
            let what = "inline keys are always there, so what follows is never used; allowed: last";
            reader.problem(&path, what);
        }
        sources.push(source);
    }
    sources.into_iter().collect()
}

fn source(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Jwks,
    issuer: &str,
    algorithms: &[Algorithm],
) -> Option<JwksSource> {
    if raw.url.is_none() && !raw.discover {
        for key in keys_beside_url(raw) {
            reader.problem(&path.join(key), "says nothing without url; allowed: beside url");
        }
    }
    let issuer = raw.discover.then_some(issuer);
    match (&raw.url, issuer, &raw.file, &raw.inline, &raw.secret_file) {
        (Some(url), None, None, None, None) => remote(reader, path, raw, (url, "url")),
        (None, Some(issuer), None, None, None) => remote(reader, path, raw, (issuer, "discover")),
        (None, None, Some(file), None, None) => {
            let at = path.join("file");
            let file = reader.resolve(file);
            check_file(reader, &at, &file);
            Some(JwksSource::File(file))
        }
        (None, None, None, Some(inline), None) => {
            let at = path.join("inline");
            let set = match inline {
                InlineJwks::Object => keys(reader, &at, reader.typed(&at).as_bytes()),
                InlineJwks::Text(text) => keys(reader, &at, text.as_bytes()),
            };
            set.map(|ParsedSet { keys, ignored }| JwksSource::Inline {
                keys: Arc::new(keys),
                ignored: ignored.into(),
            })
        }
        (None, None, None, None, Some(file)) => {
            Some(secrets::source(reader, &path.join("secret_file"), file, algorithms))
        }
        (url, issuer, file, inline, secret) => {
            let given = [
                url.is_some(),
                issuer.is_some(),
                file.is_some(),
                inline.is_some(),
                secret.is_some(),
            ];
            let count = given.iter().filter(|given| **given).count();
            let allowed = "exactly one of url, discover, file, inline, secret_file";
            let what = format!("has {count} sources of keys; allowed: {allowed}");
            reader.problem(path, what);
            None
        }
    }
}

/// A file is read when it is needed; here it is only seen to be good.
fn check_file(reader: &mut Reader<'_>, path: &JsonPath, file: &Path) {
    let checked = match read_bounded(file) {
        Ok(bytes) => parse_set(&bytes).map_err(|error| format!("no usable keys: {error}")),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    };
    match checked {
        Ok(set) => warn_of_ignored(reader, path, &set),
        Err(what) => unusable_file(reader, path, what),
    }
}

/// A file of keys that cannot be used: of a running provider, the keys before it go on.
pub(super) fn unusable_file(reader: &mut Reader<'_>, path: &JsonPath, what: String) {
    match reader.key_files {
        KeyFiles::Needed => reader.problem(path, what),
        KeyFiles::Replaceable => {
            reader.warning(path, format!("{what}; the provider keeps the keys it has"));
        }
    }
}

/// The keys that are typed and only mean something beside `url`.
fn keys_beside_url(raw: &Jwks) -> impl Iterator<Item = &'static str> {
    let given = [
        ("refresh_interval", raw.refresh_interval.is_some()),
        ("allow_http", raw.allow_http),
        ("allow_private", raw.allow_private),
        ("ca_file", raw.ca_file.is_some()),
        ("client_certificate", raw.client_certificate.is_some()),
        ("client_key", raw.client_key.is_some()),
        ("headers", !raw.headers.is_empty()),
        ("proxy", raw.proxy.is_some()),
        ("server_name", raw.server_name.is_some()),
        ("redirects", raw.redirects > 0),
        ("redirect_hosts", !raw.redirect_hosts.is_empty()),
    ];
    given.into_iter().filter_map(|(key, given)| given.then_some(key))
}

fn remote(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Jwks,
    (url, key): (&str, &str),
) -> Option<JwksSource> {
    if let Some(interval) = raw.refresh_interval {
        reader.in_range(&path.join("refresh_interval"), &interval, &REFRESH_MIN, &DAY);
    }
    let over_unix = !raw.discover && url.starts_with("unix:");
    if over_unix {
        for key in keys_beside_url(raw).filter(|key| !OVER_UNIX.contains(key)) {
            reader
                .problem(&path.join(key), "says nothing for a Unix socket; allowed: beside https");
        }
    }
    let parsed = if over_unix { parse_unix_url(url) } else { parse_url(url, raw.allow_http) };
    let parsed = match parsed {
        Ok(parsed) => Some(parsed),
        Err(what) => {
            reader.problem(&path.join(key), what);
            None
        }
    };
    let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
    let reach = Reach { private: raw.allow_private, loopback: is_loopback_host(host) };
    if let Some(Err(error)) = literal(host).map(|address| reach.check(address)) {
        reader.problem(&path.join(key), error);
    }
    let transport = Transport {
        allow_http: over_unix || url.starts_with("http:"),
        reach,
        roots: pem(reader, &path.join("ca_file"), raw.ca_file.as_deref(), Roots::from_pem),
        identity: identity(reader, path, raw),
        headers: headers(reader, &path.join("headers"), raw),
        proxy: proxy(reader, &path.join("proxy"), raw),
        server_name: server_name(reader, &path.join("server_name"), raw),
        redirects_max: raw.redirects,
        redirect_hosts: redirect_hosts(reader, &path.join("redirect_hosts"), raw),
        patience: Patience::default(),
    };
    Some(JwksSource::Url {
        url: url.into(),
        discover: raw.discover,
        refresh_interval: raw.refresh_interval.map(|interval| interval.0),
        transport: Arc::new(transport),
    })
}

/// What a PEM file holds, or a problem.
fn pem<T>(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    file: Option<&str>,
    parse: impl FnOnce(&[u8]) -> Result<T, PemError>,
) -> Option<T> {
    let file = reader.resolve(file?);
    let parsed = match read_bounded(&file) {
        Ok(text) => parse(&text).map_err(|error| format!("{}: {error}", file.display())),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    };
    parsed.map_err(|what| reader.problem(path, what)).ok()
}

fn identity(reader: &mut Reader<'_>, path: &JsonPath, raw: &Jwks) -> Option<Identity> {
    let lacks = "needs the other of client_certificate and client_key; allowed: both or none";
    match (&raw.client_certificate, &raw.client_key) {
        (None, None) => None,
        (Some(_), None) => {
            reader.problem(&path.join("client_certificate"), lacks);
            None
        }
        (None, Some(_)) => {
            reader.problem(&path.join("client_key"), lacks);
            None
        }
        (Some(chain), Some(key)) => {
            let at = path.join("client_certificate");
            let chain = pem(reader, &at, Some(chain), |text| Ok(text.to_vec()))?;
            let at = path.join("client_key");
            pem(reader, &at, Some(key), |key| Identity::from_pem(&chain, key))
        }
    }
}

fn headers(reader: &mut Reader<'_>, path: &JsonPath, raw: &Jwks) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (typed, value) in &raw.headers {
        let path = path.join(typed.as_str());
        let name = typed.to_ascii_lowercase();
        if RESERVED_HEADERS.contains(&&*name) {
            let reserved = RESERVED_HEADERS.join(", ");
            reader.problem(&path, format!("cannot be set; allowed: any but {reserved}"));
            continue;
        }
        // The value may be a credential: it is in no message.
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                if headers.insert(name, value).is_some() {
                    reader.problem(&path, "is set twice, in different case; allowed: once");
                }
            }
            (Err(_), _) => reader.problem(&path, format!("{typed:?} is no header name")),
            (_, Err(_)) => reader.problem(&path, "has a value that no header can have"),
        }
    }
    headers
}

fn proxy(reader: &mut Reader<'_>, path: &JsonPath, raw: &Jwks) -> Option<Proxy> {
    let text = raw.proxy.as_deref()?;
    // It may hold a password: it is in no message.
    let known = text.starts_with("http://") || text.starts_with("https://");
    let proxy = known.then(|| Proxy::new(text).ok()).flatten();
    if proxy.is_none() {
        reader.problem(path, "is no proxy; allowed: http://host:port or https://host:port");
    }
    proxy
}

fn server_name(reader: &mut Reader<'_>, path: &JsonPath, raw: &Jwks) -> Option<Authority> {
    let text = raw.server_name.as_deref()?;
    let name = DnsName::try_from(text).ok().and_then(|name| name.as_ref().parse().ok());
    if name.is_none() {
        reader.problem(path, format!("{text:?} is no DNS name; allowed: login.example.com"));
    }
    name
}

fn redirect_hosts(reader: &mut Reader<'_>, path: &JsonPath, raw: &Jwks) -> Vec<Authority> {
    if !raw.redirect_hosts.is_empty() && raw.redirects == 0 {
        reader.problem(path, "says nothing without redirects; allowed: beside 1 to 3 of them");
    }
    let mut hosts = Vec::with_capacity(raw.redirect_hosts.len());
    for (index, text) in raw.redirect_hosts.iter().enumerate() {
        match text.parse::<Authority>() {
            Ok(host) if !text.contains('@') && !host.host().is_empty() => hosts.push(host),
            _ => {
                let what = format!("{text:?} is no host; allowed: \"host\" or \"host:port\"");
                reader.problem(&path.join(index), what);
            }
        }
    }
    hosts
}

pub(super) fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    // One byte more than a set may have, so that the parser sees that it is too long.
    read_at_most(file, SET_BYTES_MAX + 1)
}

/// A set with usable keys, or a problem.
fn keys(reader: &mut Reader<'_>, path: &JsonPath, bytes: &[u8]) -> Option<ParsedSet> {
    match parse_set(bytes) {
        Ok(set) => {
            warn_of_ignored(reader, path, &set);
            Some(set)
        }
        Err(error) => {
            reader.problem(path, format!("no usable keys: {error}"));
            None
        }
    }
}

fn warn_of_ignored(reader: &mut Reader<'_>, path: &JsonPath, set: &ParsedSet) {
    for key in &set.ignored {
        reader.warning(path, format_args!("not used: {key}"));
    }
}

/// A URL to fetch keys from, or why it is none.
fn parse_url(text: &str, allow_http: bool) -> Result<Uri, String> {
    const ALLOWED: &str = "https://host/path";
    let url: Uri = text.parse().map_err(|_| format!("{text:?} is no URL; allowed: {ALLOWED}"))?;
    let host = match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            return Err(format!("a URL with a user name; allowed: {ALLOWED}"));
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => {
            authority.host()
        }
        _ => return Err(format!("{text:?} is no http or https URL; allowed: {ALLOWED}")),
    };
    if url.scheme_str() == Some("http") && !is_loopback_host(host) && !allow_http {
        let who = "whoever is on the way could replace the keys";
        return Err(format!(
            "{text:?} is not encrypted, {who}; allowed: https, or \"allow_http\": true"
        ));
    }
    Ok(url)
}

/// A socket and a path on it to fetch keys from, or why it is none.
fn parse_unix_url(text: &str) -> Result<Uri, String> {
    let good = |(socket, path): &(&Path, &str)| {
        socket.is_absolute()
            && socket.as_os_str().len() <= UNIX_PATH_BYTES_MAX
            && !text.contains('\0')
            && path.starts_with('/')
    };
    let path = unix(text).filter(good).and_then(|(_, path)| path.parse().ok());
    path.ok_or_else(|| {
        format!("{text:?} is no socket and path; allowed: unix:/run/keys.sock:/jwks.json")
    })
}
