//! The JOSE header (RFC 7515 section 4): what it may say, and what it must not ask for.

use std::borrow::Cow;

use super::json::{JsonError, Node, Object, Value, View};
use super::refusal::Reason;
use super::trace::{Detail, Trace, shown};
use crate::snapshot::key_set::Algorithm;
use crate::snapshot::provider::Provider;

/// Bytes of a `kid`; longer ones would be kept in logs and refusals.
const KID_BYTES_MAX: usize = 256;

/// Members by which a token would choose its own key. They are never fetched and never used.
const EMBEDDED_KEY_MEMBERS: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// A header that asks for nothing this gateway does not do.
pub(super) struct JoseHeader<'h> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<Cow<'h, str>>,
    root: Object<'h>,
}

impl<'h> JoseHeader<'h> {
    /// Reads a header and checks what no provider could allow.
    pub(super) fn parse(
        text: &'h [u8],
        nodes: &'h mut Vec<Node>,
        trace: &mut impl Trace,
    ) -> Result<Self, Reason> {
        let document = View::parse_segment(text, nodes);
        let fault = document.as_ref().err().copied();
        let document = trace.check(
            "header is JSON",
            || Detail::new(fault.map_or("yes".into(), |fault| fault.to_string()), "one object"),
            document.map_err(|fault| match fault {
                JsonError::DuplicateMember(_) => Reason::HeaderDuplicate,
                _ => Reason::HeaderJson,
            }),
        )?;
        let root = document.root();
        let algorithm = algorithm(root, trace)?;
        let extensions = extensions(root);
        trace.check(
            "header extensions",
            || {
                let member =
                    ["crit", "b64", "cty"].into_iter().find(|name| root.get(name).is_some());
                Detail::new(member.unwrap_or("none"), "no crit, b64 not false, cty not JWT")
            },
            extensions,
        )?;
        let typ = document.root().get("typ");
        let is_string = typ.is_none_or(|typ| typ.as_text().is_some());
        trace.check(
            "typ is a string",
            || Detail::new(shown(typ), "a string, or none"),
            if is_string { Ok(()) } else { Err(Reason::HeaderMember) },
        )?;
        let kid = trace.check(
            "kid",
            || Detail::new(shown(root.get("kid")), "a string of at most 256 bytes, or none"),
            kid(root),
        )?;
        Ok(Self { algorithm, kid, root })
    }

    /// Checks what depends on the provider.
    pub(super) fn check_for(
        &self,
        provider: &Provider,
        trace: &mut impl Trace,
    ) -> Result<(), Reason> {
        let allowed = provider.algorithms.contains(&self.algorithm);
        trace.check(
            "algorithm allowed",
            || {
                let names: Vec<_> = provider.algorithms.iter().map(|a| a.name()).collect();
                Detail::new(self.algorithm.name(), names.join(", "))
            },
            if allowed { Ok(()) } else { Err(Reason::AlgorithmNotAllowed) },
        )?;
        self.check_type(provider, trace)?;
        if provider.checks.reject_embedded_keys {
            let embedded =
                EMBEDDED_KEY_MEMBERS.into_iter().find(|name| self.root.get(name).is_some());
            trace.check(
                "embedded key",
                || Detail::new(embedded.unwrap_or("none"), "none"),
                if embedded.is_none() { Ok(()) } else { Err(Reason::EmbeddedKey) },
            )?;
        }
        if provider.checks.require_kid {
            let present = self.kid.is_some();
            trace.check(
                "kid required",
                || Detail::new(if present { "present" } else { "missing" }, "present"),
                if present { Ok(()) } else { Err(Reason::KeyIdMissing) },
            )?;
        }
        Ok(())
    }

    /// `typ` against the provider's list (RFC 8725 section 3.11); RFC 9068 section 4 asks for
    /// `at+jwt` where there is none.
    fn check_type(&self, provider: &Provider, trace: &mut impl Trace) -> Result<(), Reason> {
        let access_token = ["at+jwt".into()];
        let wanted: &[Box<str>] = match &provider.checks.types[..] {
            [] if provider.checks.rfc9068 => &access_token,
            types => types,
        };
        if wanted.is_empty() {
            return Ok(());
        }
        let typ = self.root.get("typ");
        let matches = typ.and_then(Value::as_text).is_some_and(|typ| {
            let typ = typ.to_cow();
            let typ = strip_prefix_ignoring_case(&typ, "application/");
            wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(typ))
        });
        trace.check(
            "typ",
            || Detail::new(shown(typ), wanted.join(" or ")),
            if matches { Ok(()) } else { Err(Reason::TokenType) },
        )
    }
}

fn algorithm(header: Object<'_>, trace: &mut impl Trace) -> Result<Algorithm, Reason> {
    let value = header.get("alg");
    let algorithm =
        value.and_then(Value::as_text).and_then(|name| Algorithm::from_name(&name.to_cow()));
    trace.check(
        "alg",
        || {
            let names: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
            Detail::new(shown(value), format!("{} or Ed25519", names.join(", ")))
        },
        algorithm.ok_or(Reason::Algorithm),
    )
}

/// Refuses what changes how the token would have to be read.
fn extensions(header: Object<'_>) -> Result<(), Reason> {
    if header.get("crit").is_some() {
        // No extension is implemented, so whatever `crit` holds is either malformed or not met.
        return Err(Reason::CriticalExtension);
    }
    match header.get("b64") {
        None | Some(Value::Bool(true)) => {}
        Some(_) => return Err(Reason::UnencodedPayload),
    }
    match header.get("cty").map(Value::as_text) {
        None => Ok(()),
        Some(None) => Err(Reason::HeaderMember),
        Some(Some(content)) => {
            let content = content.to_cow();
            let content = strip_prefix_ignoring_case(&content, "application/");
            if content.eq_ignore_ascii_case("JWT") { Err(Reason::NestedToken) } else { Ok(()) }
        }
    }
}

/// An opaque name: nothing is ever read, fetched or looked up by it but a key of the set.
fn kid(header: Object<'_>) -> Result<Option<Cow<'_, str>>, Reason> {
    let Some(value) = header.get("kid") else { return Ok(None) };
    let kid = value.as_text().ok_or(Reason::KeyId)?.to_cow();
    if is_valid_kid(&kid) { Ok(Some(kid)) } else { Err(Reason::KeyId) }
}

/// Whether a key may have this name: the rule is the same in a token and in a key set.
pub(crate) fn is_valid_kid(kid: &str) -> bool {
    kid.len() <= KID_BYTES_MAX && !kid.chars().any(char::is_control)
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> &'t str {
    match text.split_at_checked(prefix.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(prefix) => rest,
        _ => text,
    }
}
