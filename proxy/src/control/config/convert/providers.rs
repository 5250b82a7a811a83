//! `jwt.providers`: issuers, their rules and where their keys come from.

use std::time::Duration;

use super::claims::claim;
use super::credentials::locations;
use super::key_sources::sources;
use super::limits::{DAY, bytes};
use super::secrets::check_kind;
use super::{JsonPath, Reader};
use crate::auth::STATUS_FIELD;
use crate::control::config::quantity::{Size, Span};
use crate::control::config::raw::jwt::{
    Audiences as RawAudiences, Cnf, Encoding, MaxStale, Profile, Provider,
};
use crate::control::config::settings::ProviderConfig;
use crate::snapshot::credentials::Credentials;
use crate::snapshot::ids::ProviderId;
use crate::snapshot::key_set::Algorithm;
use crate::snapshot::provider::{
    Audiences, Binding, ClaimEncoding, ClaimHeader, Issuer, TokenChecks,
};

/// Clocks that differ by more are wrong.
const LEEWAY_MAX: Span = Span(Duration::from_secs(300));
/// Below this no signed token fits.
const TOKEN_BYTES_MIN: Size = Size(256);
/// Above this a token fills the request head.
const TOKEN_BYTES_MAX: Size = Size(16 * 1024);
/// Longer than this a token is for good.
const AGE_MAX: Span = Span(Duration::from_secs(10 * YEAR_SECONDS));
/// As humantime counts them.
const YEAR_SECONDS: u64 = 31_557_600;
/// A client has given up by then, and every parked request holds its connection.
const UNKNOWN_KID_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often made-up key names may make an issuer work.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// Request fields that frame the message, belong to one connection, decide the route, or have a
/// grammar of their own: no token is in them.
pub(super) const FRAMING_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Request fields that a claim must not set: they frame the message, belong to one connection,
/// carry the token, decide the route, or are written by the gateway itself.
const RESERVED_HEADERS: [&str; 19] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    STATUS_FIELD,
];

pub(super) fn path() -> JsonPath {
    JsonPath::from(["jwt", "providers"])
}

/// The providers by name; those whose shape is wrong are left out.
pub(super) fn providers(reader: &mut Reader<'_>) -> Vec<ProviderConfig> {
    let defined = reader.names(&path()).len();
    if defined > ProviderId::MAX {
        reader.problem(&path(), format!("more providers than {}", ProviderId::MAX));
    }
    reader
        .members::<Provider>(&path())
        .into_iter()
        .filter_map(|(name, path, raw)| provider(reader, &name, &path, raw))
        .collect()
}

fn provider(
    reader: &mut Reader<'_>,
    name: &str,
    path: &JsonPath,
    raw: Provider,
) -> Option<ProviderConfig> {
    reader.check_name(path, name);
    let leeway = raw.leeway;
    reader.in_range(&path.join("leeway"), &leeway, &Span(Duration::ZERO), &LEEWAY_MAX);
    let at = path.join("max_token_bytes");
    reader.in_range(&at, &raw.max_token_bytes, &TOKEN_BYTES_MIN, &TOKEN_BYTES_MAX);
    let mut algorithms: Vec<Algorithm> = Vec::new();
    for algorithm in raw.algorithms.iter().copied().map(Algorithm::from) {
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    let claim_headers = claim_headers(reader, path, &raw);
    let checks = checks(reader, path, &raw);
    let max_stale = max_stale(reader, path, raw.max_stale);
    check_kind(reader, path, &raw.jwks, &algorithms);
    for (key, span, low, high) in [
        ("key_grace", raw.key_grace, Duration::ZERO, DAY.0),
        ("unknown_kid_wait", raw.unknown_kid_wait, Duration::ZERO, UNKNOWN_KID_WAIT_MAX),
        ("unknown_kid_interval", raw.unknown_kid_interval, INTERVAL_MIN, INTERVAL_MAX),
    ] {
        reader.in_range(&path.join(key), &span, &Span(low), &Span(high));
    }
    let sources = sources(reader, &path.join("jwks"), &raw.jwks, &raw.issuer, &algorithms);
    let locations = locations(reader, &path.join("from"), raw.from.as_deref());
    Some(ProviderConfig {
        name: name.into(),
        issuer: if raw.issuer == "any" { Issuer::Any } else { Issuer::Exact(raw.issuer.into()) },
        audiences: match raw.audiences {
            RawAudiences::Any => Audiences::Any,
            RawAudiences::List(list) => Audiences::AnyOf(list.into_iter().map(Box::from).collect()),
        },
        algorithms,
        leeway: leeway.0,
        require_exp: raw.require_exp,
        token_bytes_max: bytes(raw.max_token_bytes),
        forward_token: raw.forward,
        locations: locations.unwrap_or_else(|| Credentials::default().locations),
        claim_headers,
        checks,
        key_tries_max: raw.max_keyless_tries,
        sources: sources?,
        max_stale,
        key_grace: raw.key_grace.0,
        unknown_kid_wait: raw.unknown_kid_wait.0,
        unknown_kid_interval: raw.unknown_kid_interval.0,
    })
}

fn max_stale(reader: &mut Reader<'_>, path: &JsonPath, raw: MaxStale) -> Option<Duration> {
    let MaxStale::Span(span) = raw else { return None };
    reader.in_range(&path.join("max_stale"), &span, &Span(Duration::from_secs(1)), &AGE_MAX);
    Some(span.0)
}

fn checks(reader: &mut Reader<'_>, path: &JsonPath, raw: &Provider) -> TokenChecks {
    for (key, span) in [("max_age", &raw.max_age), ("max_lifetime", &raw.max_lifetime)] {
        if let Some(span) = span {
            reader.in_range(&path.join(key), span, &Span(Duration::from_secs(1)), &AGE_MAX);
        }
    }
    let mut types = Vec::new();
    for (index, typ) in raw.typ.iter().flatten().enumerate() {
        let bare = typ.strip_prefix("application/").unwrap_or(typ);
        let type_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        if bare.is_empty() || !bare.bytes().all(type_char) {
            let what = "is no media type; allowed: such as \"at+jwt\" or \"JWT\"";
            reader.problem(&path.join("typ").join(index), format!("{typ:?} {what}"));
        }
        types.push(bare.into());
    }
    TokenChecks {
        types,
        rfc9068: raw.profile == Some(Profile::Rfc9068),
        require_kid: raw.require_kid,
        reject_embedded_keys: raw.reject_embedded_keys,
        binding: binding(reader, path, raw),
        max_age: raw.max_age.map(|span| span.0),
        max_lifetime: raw.max_lifetime.map(|span| span.0),
    }
}

fn binding(reader: &mut Reader<'_>, path: &JsonPath, raw: &Provider) -> Binding {
    let binding = match raw.cnf {
        Cnf::Ignore => return Binding::Ignored,
        Cnf::Enforce => Binding::Enforced,
        Cnf::Require => Binding::Required,
    };
    if !reader.asks_for_certificates(None) {
        let what = "no listener asks for certificates (tls.client_certificates): every token that is bound to one is refused";
        reader.warning(&path.join("cnf"), what);
    }
    binding
}

fn claim_headers(reader: &mut Reader<'_>, path: &JsonPath, raw: &Provider) -> Vec<ClaimHeader> {
    let mut headers: Vec<ClaimHeader> = Vec::new();
    for (typed, source) in &raw.claim_headers {
        let path = path.join("claim_headers").join(typed.as_str());
        let name = typed.to_ascii_lowercase();
        if let Some(what) = wrong_header_name(&name) {
            reader.problem(&path, what);
        } else if headers.iter().any(|header| *header.name == name) {
            reader.problem(&path, "is set twice, in different case; allowed: once");
        }
        if let Some(claim) = claim(reader, source, &raw.nested_claim_delimiter, &path) {
            let same = |(given, _): &(&String, _)| given.eq_ignore_ascii_case(typed);
            let encoding = raw.claim_encodings.iter().find(same).map(|(_, encoding)| *encoding);
            let encoding = match encoding {
                None | Some(Encoding::Text) => ClaimEncoding::Text,
                Some(Encoding::Json) => ClaimEncoding::Json,
                Some(Encoding::Base64Url) => ClaimEncoding::Base64Url,
            };
            headers.push(ClaimHeader { name: name.into(), claim, encoding });
        }
    }
    for name in raw.claim_encodings.keys() {
        if !headers.iter().any(|header| header.name.eq_ignore_ascii_case(name)) {
            let what = "is not among claim_headers; allowed: the names there";
            reader.problem(&path.join("claim_encodings").join(name.as_str()), what);
        }
    }
    headers
}

/// Why a claim cannot set the field of this lower-case name.
pub(super) fn wrong_header_name(name: &str) -> Option<String> {
    // `_` would be a field name to HTTP, but many servers take `x_user` and `x-user` for the same.
    let field_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(field_char) {
        let allowed = "letters, digits and -, such as \"x-user\"";
        return Some(format!(
            "{name:?} is no header name that a claim can set; allowed: {allowed}"
        ));
    }
    let reserved = RESERVED_HEADERS.contains(&name);
    reserved.then(|| {
        format!("claims cannot set {name:?}; allowed: any but {}", RESERVED_HEADERS.join(", "))
    })
}
