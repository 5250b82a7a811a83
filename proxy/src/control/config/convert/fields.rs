//! What is said in the fields of messages: the rules of routes, and what the gateway says of itself.

use std::time::Duration;

use super::matching::methods;
use super::{JsonPath, Reader};
use crate::auth::STATUS_FIELD;
use crate::control::config::quantity::Span;
use crate::control::config::raw::fields::{
    Cors as RawCors, FieldRules, Hsts as RawHsts, Preflight, RequestId,
};
use crate::control::config::settings::ProviderConfig;
use crate::http1::names_alike;
use crate::snapshot::Forwarding;
use crate::snapshot::cors::{Cors, OriginPattern, Origins};
use crate::snapshot::field_edits::{FieldEdits, Hsts, Identity, RequestIdRule, Via};
use crate::snapshot::route_match::Method;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Fields that belong to a connection, or say how long a message is (RFC 9110 section 7.6.1).
const OF_THE_MESSAGE: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The longest that a preflight may be remembered: no browser keeps one for longer than a day.
const MAX_AGE_MAX: Span = Span(Duration::from_secs(24 * 60 * 60));

/// What the gateway writes, so that no rule of a route may.
#[derive(Debug)]
pub(super) struct Reserved {
    forwarding: Forwarding,
    claim_headers: Vec<Box<str>>,
    identity: Identity,
}

impl Reserved {
    pub(super) fn new(
        forwarding: Forwarding,
        providers: &[ProviderConfig],
        identity: &Identity,
    ) -> Self {
        let headers = providers.iter().flat_map(|provider| &provider.claim_headers);
        let claim_headers = headers.map(|header| header.name.clone()).collect();
        Self { forwarding, claim_headers, identity: identity.clone() }
    }

    /// Why a rule may not have a field of this name.
    fn why(&self, side: Side, name: &str) -> Option<&'static str> {
        let is = |other: &str| names_alike(name, other);
        let id = self.identity.request_id.as_ref();
        if OF_THE_MESSAGE.iter().any(|one| is(one)) {
            return Some("belongs to the connection or to the framing");
        }
        if id.is_some_and(|rule| is(&rule.header)) {
            return Some("is what `request_id` writes");
        }
        if is("via") {
            return Some("is what the key `via` writes");
        }
        match side {
            Side::Request if is("host") => Some("is what `upstreams` sets, by its key host"),
            Side::Request if is("expect") => Some("is answered by the gateway"),
            Side::Request if is(STATUS_FIELD) => Some("is what the gateway says of tokens"),
            Side::Request if self.claim_headers.iter().any(|claim| is(claim)) => {
                Some("is set from claims")
            }
            Side::Request if self.forwarding.x_forwarded && is_x_forwarded(name) => {
                Some("is what `forwarding` writes")
            }
            Side::Request if self.forwarding.forwarded && is("forwarded") => {
                Some("is what `forwarding` writes")
            }
            Side::Response if is("date") => Some("is what the gateway or the upstream writes"),
            Side::Response if self.identity.server.is_some() && is("server") => {
                Some("is what the key `server` sets")
            }
            Side::Request | Side::Response => None,
        }
    }
}

fn is_x_forwarded(name: &str) -> bool {
    let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    names.iter().any(|one| names_alike(name, one))
}

/// The rules of a route for one side.
pub(super) fn edits(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    reserved: &Reserved,
    side: Side,
    raw: &FieldRules,
) -> FieldEdits {
    let mut edits = FieldEdits::default();
    let mut seen: Vec<&str> = Vec::new();
    let mut check = |reader: &mut Reader<'_>, at: &JsonPath, name| {
        check_field_name(reader, at, name);
        if let Some(why) = reserved.why(side, name) {
            reader.problem(at, format!("{name:?} {why}; allowed: another field"));
        } else if seen.iter().any(|other| names_alike(name, other)) {
            reader.problem(at, format!("{name:?} stands here twice; allowed: once"));
        }
        seen.push(name);
    };
    for (index, name) in raw.remove.iter().enumerate() {
        check(reader, &path.join("remove").join(index), name.as_str());
        edits.remove(name);
    }
    for (name, value) in &raw.set {
        let at = path.join("set").join(name.as_str());
        check(reader, &at, name.as_str());
        check_field_value(reader, &at, value);
        edits.set(name, value);
    }
    for (name, value) in &raw.add {
        let at = path.join("add").join(name.as_str());
        check(reader, &at, name.as_str());
        check_field_value(reader, &at, value);
        edits.add(name, value);
    }
    edits
}

/// Notes a text that cannot stand in a header field.
pub(super) fn check_field_value(reader: &mut Reader<'_>, path: &JsonPath, text: &str) {
    if !text.bytes().all(|b| matches!(b, b' '..=b'~')) || text.trim() != text {
        let what = "cannot stand in a header; allowed: printable ASCII without space at its ends";
        reader.problem(path, format!("{text:?} {what}"));
    }
}

/// Notes a text that is no field name (RFC 9110 section 5.1).
pub(super) fn check_field_name(reader: &mut Reader<'_>, path: &JsonPath, name: &str) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        let what = "is no field name; allowed: letters, digits and -, such as \"X-Team\"";
        reader.problem(path, format!("{name:?} {what}"));
    }
}

/// The rules of a route for pages of other origins.
pub(super) fn cors(reader: &mut Reader<'_>, path: &JsonPath, raw: &RawCors) -> Cors {
    let origins = origins(reader, &path.join("origins"), &raw.origins);
    if raw.credentials && origins == Origins::Any {
        let what =
            "lets every page on the web act as its visitor; allowed: false, or a list of origins";
        reader.problem(&path.join("credentials"), what);
    }
    let methods = methods(reader, &path.join("methods"), &raw.methods);
    for (key, names) in [("headers", &raw.headers), ("expose_headers", &raw.expose_headers)] {
        for (index, name) in names.iter().enumerate() {
            check_field_name(reader, &path.join(key).join(index), name);
        }
    }
    reader.in_range(&path.join("max_age"), &raw.max_age, &Span(Duration::ZERO), &MAX_AGE_MAX);
    let methods: Vec<&str> = if methods.is_empty() {
        vec!["GET", "HEAD", "POST"]
    } else {
        methods.iter().map(Method::as_str).collect()
    };
    Cors {
        origins,
        methods: methods.join(", ").into(),
        headers: raw.headers.join(", ").into(),
        expose_headers: raw.expose_headers.join(", ").into(),
        credentials: raw.credentials,
        max_age: raw.max_age.0.as_secs(),
        answers_preflight: raw.preflight == Preflight::Answer,
    }
}

fn origins(reader: &mut Reader<'_>, path: &JsonPath, raw: &[String]) -> Origins {
    if raw == ["*"] {
        return Origins::Any;
    }
    let mut patterns = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        match OriginPattern::parse(text) {
            Some(pattern) => patterns.push(pattern),
            None => {
                let allowed =
                    "\"https://app.example.com\", \"https://*.example.com\", or \"*\" alone";
                let what = format!("{text:?} is no origin; allowed: {allowed}");
                reader.problem(&path.join(index), what);
            }
        }
    }
    Origins::Listed(patterns)
}

/// What the gateway says of itself.
pub(super) fn identity(reader: &mut Reader<'_>) -> Identity {
    let server: Option<String> = reader.section("server");
    if let Some(server) = &server {
        check_field_value(reader, &["server"].into(), server);
    }
    let via: Option<String> = reader.section("via");
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if let Some(name) = &via
        && (name.is_empty() || !name.bytes().all(is_token))
    {
        let what = "is no name for the gateway; allowed: letters, digits and -._:";
        reader.problem(&["via"].into(), format!("{name:?} {what}"));
    }
    let request_id: Option<RequestId> = reader.section("request_id");
    let request_id = request_id.map(|raw| {
        let at = JsonPath::from(["request_id"]).join("header");
        check_field_name(reader, &at, &raw.header);
        if OF_THE_MESSAGE
            .iter()
            .chain(&["host", "date", "via"])
            .any(|one| names_alike(&raw.header, one))
        {
            let what = format!("{:?} has a meaning of its own; allowed: another field", raw.header);
            reader.problem(&at, what);
        }
        RequestIdRule { header: raw.header.into(), keep: raw.keep }
    });
    Identity { server: server.map(Into::into), via: via.as_deref().map(Via::new), request_id }
}

/// What it takes to be put on the list that browsers come with (hstspreload.org).
const PRELOAD_AGE_MIN: Span = Span(Duration::from_secs(365 * 24 * 60 * 60));
const HSTS_AGE_MAX: Span = Span(Duration::from_secs(10 * YEAR_SECONDS));

/// As durations are written: of 365.25 days.
pub(super) const YEAR_SECONDS: u64 = 31_557_600;

/// What responses say of https.
pub(super) fn hsts(reader: &mut Reader<'_>, path: &JsonPath, raw: &RawHsts) -> Hsts {
    reader.in_range(&path.join("max_age"), &raw.max_age, &Span(Duration::ZERO), &HSTS_AGE_MAX);
    if raw.preload && (!raw.include_subdomains || raw.max_age < PRELOAD_AGE_MIN) {
        let what = "takes include_subdomains and a max_age of 365days or more; allowed: with both";
        reader.problem(&path.join("preload"), what);
    }
    Hsts::new(raw.max_age.0.as_secs(), raw.include_subdomains, raw.preload)
}
