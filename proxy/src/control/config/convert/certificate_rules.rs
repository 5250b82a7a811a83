//! `routes[].client_certificate` and `routes[].allow_certificates`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{JsonPath, Reader};
use crate::control::config::raw::routes::{Route, RouteCertificate};
use crate::snapshot::certificate_rule::{CertificatePattern, CertificateRule, TextPattern};

/// Bytes of a SHA-256.
const THUMBPRINT_BYTES: usize = 32;

/// Which certificates the route asks for; notes where no listener asks for any.
pub(super) fn certificates(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    raw: &Route,
) -> CertificateRule {
    let (key, rule) = match (&raw.allow_certificates, raw.client_certificate) {
        (Some(allowed), _) => {
            let list = path.join("allow_certificates");
            for (index, raw) in allowed.iter().enumerate() {
                let path = list.join(index);
                if raw.subject.is_none() && raw.name.is_none() && raw.thumbprint.is_none() {
                    let what =
                        "says nothing; allowed: subject, name, thumbprint or several of them";
                    reader.problem(&path, what);
                }
                if raw.thumbprint.as_ref().is_some_and(|text| !is_thumbprint(text)) {
                    let what = "is no SHA-256 in base64url without padding, of 43 characters";
                    reader.problem(&path.join("thumbprint"), what);
                }
            }
            let pattern = |text: &Option<String>| text.as_deref().map(TextPattern::parse);
            let patterns = allowed.iter().map(|raw| CertificatePattern {
                subject: pattern(&raw.subject),
                name: pattern(&raw.name),
                thumbprint: raw.thumbprint.as_deref().map(Into::into),
            });
            ("allow_certificates", CertificateRule::OneOf(patterns.collect()))
        }
        (None, Some(RouteCertificate::Required)) => ("client_certificate", CertificateRule::Shown),
        (None, None) => return CertificateRule::Indifferent,
    };
    if !reader.asks_for_certificates(raw.selects.listener.as_deref()) {
        let what = "no listener of this route asks for certificates; allowed: where one has tls.client_certificates";
        reader.problem(&path.join(key), what);
    }
    rule
}

fn is_thumbprint(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == THUMBPRINT_BYTES)
}
