//! The certificate that a client has shown and has proven to have the key of.

use crate::crypto::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::{AlternativeName, Certificate};
use crate::snapshot::certificate_rule::ShownCertificate;

/// What of it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The distinguished name (RFC 4514).
    pub subject: String,
    /// Alternative names, each behind its kind: `DNS:a.example, URI:spiffe://example/a`. A comma in one
    /// is `%2C`, so that none can pass for two.
    pub names: String,
    /// The SHA-256 of the certificate in base64url, as tokens name it (RFC 8705 section 3.1).
    pub thumbprint: String,
}

impl ClientCertificate {
    /// What is told of this one; none where it cannot be read.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let read = Certificate::read(certificate)?;
        let names: Vec<String> = read.names.iter().map(text).collect();
        Some(Self {
            subject: read.subject,
            names: names.join(", "),
            thumbprint: thumbprint(certificate),
        })
    }

    /// For a rule.
    #[must_use]
    pub fn shown(&self) -> ShownCertificate<'_> {
        let Self { subject, names, thumbprint } = self;
        ShownCertificate { subject, names, thumbprint }
    }
}

/// The thumbprint of the first certificate in a PEM text; none where there is none.
#[must_use]
pub fn thumbprint_of_pem(pem: &[u8]) -> Option<String> {
    CertificateDer::from_pem_slice(pem).ok().map(|certificate| thumbprint(&certificate))
}

fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate))
}

fn text(name: &AlternativeName) -> String {
    let (kind, name) = match name {
        AlternativeName::Dns(name) => ("DNS", name),
        AlternativeName::Email(name) => ("email", name),
        AlternativeName::Uri(name) => ("URI", name),
        AlternativeName::Ip(name) => ("IP", name),
    };
    format!("{kind}:{}", name.replace(',', "%2C"))
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_name_with_a_comma_is_one_name() {
        let mut params = CertificateParams::default();
        let uri = Ia5String::try_from("urn:a, DNS:b.example").unwrap();
        let plain = Ia5String::try_from("urn:a,DNS:b.example").unwrap();
        let host = Ia5String::try_from("c.example").unwrap();
        params.subject_alt_names =
            vec![SanType::URI(uri), SanType::URI(plain), SanType::DnsName(host)];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let told = ClientCertificate::of(certificate.der()).unwrap();
        // The first has a space, which no URI has.
        assert_eq!(told.names, "URI:urn:a%2CDNS:b.example, DNS:c.example");
        assert_eq!(told.thumbprint.len(), 43);
    }
}
