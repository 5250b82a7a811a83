//! The claims set (RFC 7519 section 4) and the checks that each of its tokens must pass.

use std::time::Duration;

use super::UnixTime;
use super::json::{Decimal, Document, JsonError, Node, Object, Value, View};
use super::refusal::Reason;
use super::trace::{Detail, Trace, shown};
use crate::snapshot::claims_policy::ClaimPath;
use crate::snapshot::deny_list::{Marks, Named};
use crate::snapshot::provider::{Audiences, Binding, Provider};

/// No date is later.
const DATE_MAX: i64 = UnixTime::MAX.0;

/// What RFC 9068 section 2.2 asks for, beside the `iss`, `aud` and dates checked on their own.
const RFC9068_STRINGS: [&str; 3] = ["sub", "client_id", "jti"];

/// A claims set.
#[derive(Clone, Copy)]
pub(super) struct Claims<'c>(Object<'c>);

/// A claims set that is kept.
pub(super) struct KeptClaims(Document);

/// When a token may be used, with the leeway counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// The first second at which it has expired.
    expired_at: Option<i64>,
    /// The first second at which it is too old.
    too_old_at: Option<i64>,
    /// The first second at which it is valid.
    not_before: Option<i64>,
    /// The first second at which it may have been issued.
    issued_at: Option<i64>,
    /// The first second at which it has no more to live than the provider allows.
    short_lived_at: Option<i64>,
}

impl KeptClaims {
    pub(super) fn claims(&self) -> Claims<'_> {
        Claims(self.0.root())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

impl<'c> Claims<'c> {
    pub(super) fn parse(
        text: &'c [u8],
        nodes: &'c mut Vec<Node>,
        trace: &mut impl Trace,
    ) -> Result<Self, Reason> {
        let document = View::parse_segment(text, nodes);
        let fault = document.as_ref().err().copied();
        trace.check(
            "claims are JSON",
            || Detail::new(fault.map_or("yes".into(), |fault| fault.to_string()), "one object"),
            document.map(|document| Self(document.root())).map_err(|fault| match fault {
                JsonError::DuplicateMember(_) => Reason::ClaimsDuplicate,
                _ => Reason::ClaimsJson,
            }),
        )
    }

    /// A copy to keep.
    pub(super) fn keep(self) -> KeptClaims {
        KeptClaims(self.0.to_document())
    }

    /// The top-level claim of this name.
    pub(super) fn get(self, name: &str) -> Option<Value<'c>> {
        self.0.get(name)
    }

    /// The claim that a path leads to. The literal name wins; a step into what is no object leads
    /// nowhere.
    pub(super) fn find(self, path: &ClaimPath) -> Option<Value<'c>> {
        match path {
            ClaimPath::Name { literal, segments } => self
                .get(literal)
                .or_else(|| if segments.len() < 2 { None } else { self.walk(segments) }),
            ClaimPath::Steps(steps) => self.walk(steps),
        }
    }

    fn walk(self, steps: &[Box<str>]) -> Option<Value<'c>> {
        steps.iter().try_fold(Value::Object(self.0), |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        })
    }

    /// What an entry of the deny list may name; `kid` is that of the key that signed.
    pub(super) fn marks(self, kid: Option<&str>) -> Marks {
        // Some issuers number their subjects and sessions: their digits are the name.
        let name = |claim| match self.get(claim)? {
            Value::String(text) => Some(text.to_cow()),
            Value::Number(digits) => Some(digits.into()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let issued_at = self.get("iat").and_then(number).and_then(|n| n.floor_within(DATE_MAX));
        let (issuer, id, subject, session) = (name("iss"), name("jti"), name("sub"), name("sid"));
        Marks::new(Named {
            issuer: issuer.as_deref(),
            id: id.as_deref(),
            subject: subject.as_deref(),
            session: session.as_deref(),
            kid,
            issued_at: issued_at.map(UnixTime),
        })
    }

    /// Checks what the provider asks of all its tokens. `iss` has been checked by choosing it.
    pub(super) fn check(
        self,
        provider: &Provider,
        now: UnixTime,
        trace: &mut impl Trace,
    ) -> Result<Validity, Reason> {
        self.check_audience(&provider.audiences, trace)?;
        let validity = self.check_dates(provider, now, trace)?;
        if provider.checks.rfc9068 {
            self.check_rfc9068(trace)?;
        }
        Ok(validity)
    }

    fn check_audience(self, audiences: &Audiences, trace: &mut impl Trace) -> Result<(), Reason> {
        let claim = self.get("aud");
        let is_wanted = |audience: Value<'_>| match (audience, audiences) {
            (Value::String(_), Audiences::Any) => true,
            (Value::String(audience), Audiences::AnyOf(wanted)) => {
                wanted.iter().any(|wanted| audience == **wanted)
            }
            _ => false,
        };
        let matches = match claim {
            None => *audiences == Audiences::Any,
            Some(Value::Array(array)) => {
                let strings = array.elements().all(|element| element.as_text().is_some());
                strings && array.elements().any(is_wanted)
            }
            Some(single) => is_wanted(single),
        };
        trace.check(
            "aud",
            || {
                let wanted = match audiences {
                    Audiences::AnyOf(wanted) => wanted
                        .iter()
                        .map(|audience| format!("{audience:?}"))
                        .collect::<Vec<_>>()
                        .join(" or "),
                    Audiences::Any => "any string, array of strings, or none".into(),
                };
                Detail::new(shown(claim), wanted)
            },
            if matches { Ok(()) } else { Err(Reason::Audience) },
        )
    }

    fn check_dates(
        self,
        provider: &Provider,
        now: UnixTime,
        trace: &mut impl Trace,
    ) -> Result<Validity, Reason> {
        let checks = &provider.checks;
        let expires = self.date("exp", trace)?;
        let not_before = self.date("nbf", trace)?;
        let issued = self.date("iat", trace)?;
        let leeway = seconds(provider.leeway);
        let too_old_at = checks.max_age.map(|age| match issued {
            // One second further, because the age is over the limit only then.
            Some(issued) => issued + seconds(age) + leeway + 1,
            None => i64::MIN,
        });
        let validity = Validity {
            expired_at: expires.map(|exp| exp + leeway),
            too_old_at,
            not_before: not_before.map(|nbf| nbf - leeway),
            issued_at: issued.map(|iat| iat - leeway),
            short_lived_at: checks
                .max_lifetime
                .map(|max| expires.map_or(i64::MAX, |exp| exp - seconds(max) - leeway)),
        };
        if provider.require_exp || checks.rfc9068 {
            trace.check(
                "exp required",
                || Detail::new(shown(self.get("exp")), "present"),
                expires.map(|_| ()).ok_or(Reason::ExpiryMissing),
            )?;
        }
        if checks.rfc9068 {
            trace.check(
                "iat required",
                || Detail::new(shown(self.get("iat")), "present"),
                issued.map(|_| ()).ok_or(Reason::ClaimMissing),
            )?;
        }
        trace.check(
            "time",
            || {
                let date = |name| shown(self.get(name));
                let limit = |name, max: Option<Duration>| {
                    max.map_or(String::new(), |max| format!(", {name} at most {} s", seconds(max)))
                };
                let (age, lifetime) =
                    (limit("age", checks.max_age), limit("lifetime", checks.max_lifetime));
                Detail::new(
                    format!("exp {}, nbf {}, iat {}", date("exp"), date("nbf"), date("iat")),
                    format!(
                        "exp after, nbf and iat not after {} within {leeway} s{age}{lifetime}",
                        now.0
                    ),
                )
            },
            validity.check(now),
        )?;
        Ok(validity)
    }

    fn date(self, name: &'static str, trace: &mut impl Trace) -> Result<Option<i64>, Reason> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let date = date(value);
        trace.check(
            name,
            || Detail::new(shown(Some(value)), "seconds since the epoch, up to the year 9999"),
            date.map(Some).ok_or(Reason::Date),
        )
    }

    /// Checks that the client may use it whose certificate has this SHA-256 in base64url, if it has
    /// shown one. What cannot be read as a binding binds to what nobody has.
    pub(super) fn check_binding(
        self,
        binding: Binding,
        certificate: Option<&str>,
        trace: &mut impl Trace,
    ) -> Result<(), Reason> {
        if binding == Binding::Ignored {
            return Ok(());
        }
        let confirmation = self.get("cnf");
        let bound = match confirmation {
            None => None,
            Some(Value::Object(members)) => members.get("x5t#S256"),
            Some(_) => Some(Value::Null),
        };
        let fits = match bound {
            None => binding == Binding::Enforced,
            Some(Value::String(wanted)) => certificate.is_some_and(|shown| wanted == *shown),
            Some(_) => false,
        };
        trace.check(
            "cnf",
            || {
                let own = certificate.unwrap_or("no certificate");
                Detail::new(shown(confirmation), format!("the x5t#S256 of {own}"))
            },
            if fits { Ok(()) } else { Err(Reason::Certificate) },
        )
    }

    fn check_rfc9068(self, trace: &mut impl Trace) -> Result<(), Reason> {
        let missing =
            ["iss", "aud"].into_iter().find(|name| self.get(name).is_none()).or_else(|| {
                let text = |name: &str| self.get(name).and_then(Value::as_text);
                RFC9068_STRINGS.into_iter().find(|name| text(name).is_none())
            });
        trace.check(
            "RFC 9068 claims",
            || {
                let found = missing.map_or("all".into(), |name| format!("no {name}"));
                Detail::new(found, "iss, aud, sub, client_id and jti")
            },
            if missing.is_none() { Ok(()) } else { Err(Reason::ClaimMissing) },
        )
    }
}

impl Validity {
    /// Whether the token may be used now.
    pub(super) fn check(self, now: UnixTime) -> Result<(), Reason> {
        let reached = |at: Option<i64>| at.is_some_and(|at| now.0 >= at);
        let ahead = |at: Option<i64>| at.is_some_and(|at| now.0 < at);
        if reached(self.expired_at) {
            Err(Reason::Expired)
        } else if ahead(self.not_before) {
            Err(Reason::NotYetValid)
        } else if ahead(self.issued_at) {
            Err(Reason::IssuedInFuture)
        } else if reached(self.too_old_at) {
            Err(Reason::TooOld)
        } else if ahead(self.short_lived_at) {
            Err(Reason::LifetimeTooLong)
        } else {
            Ok(())
        }
    }

    /// The first second at which it may not be used any more, if there is one.
    pub(super) fn ends_at(self) -> Option<UnixTime> {
        self.expired_at.into_iter().chain(self.too_old_at).min().map(UnixTime)
    }
}

/// A NumericDate, rounded up to the second: `now` has whole seconds, so nothing compares
/// differently than with the exact value.
fn date(value: Value<'_>) -> Option<i64> {
    let Value::Number(text) = value else { return None };
    // Almost every issuer writes whole seconds in digits alone.
    match text.parse() {
        Ok(whole) => Some(whole).filter(|date| (0..=DATE_MAX).contains(date)),
        Err(_) => Decimal::parse(text)?.ceil_within(DATE_MAX),
    }
}

/// The exact value of a number.
fn number(value: Value<'_>) -> Option<Decimal<'_>> {
    match value {
        Value::Number(text) => Decimal::parse(text),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

/// Whole seconds of a configured duration; longer than any date is as good as for ever.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).map_or(DATE_MAX, |seconds| seconds.min(DATE_MAX))
}
