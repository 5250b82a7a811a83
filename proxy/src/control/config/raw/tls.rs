//! TLS of a listener, and of an upstream, as it is typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::config::quantity::Span;
use crate::snapshot::tls::TlsBounds;

/// TLS, which all clients of the listener must speak.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct Tls {
    /// What the listener shows. A client gets the first that has the name it asks for, exactly or by a
    /// `*` for one label, and a key that it takes; one that names none gets the first it takes.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) certificates: Vec<CertificateFiles>,
    /// What a client gets that asks for a name which no certificate has: default is the first
    /// certificate, refuse an alert.
    #[serde(default)]
    pub(in crate::control::config) unknown_name: UnknownName,
    /// Which versions and suites, as Mozilla's guidelines have them: intermediate is TLS 1.2 and 1.3,
    /// modern TLS 1.3 alone.
    #[serde(default)]
    pub(in crate::control::config) profile: Profile,
    /// Certificates of clients. Absent: none is asked for.
    pub(in crate::control::config) client_certificates: Option<ClientCertificates>,
    /// From the connection's begin to the end of the handshake (closed), 10ms to 10min.
    #[serde(default = "handshake_timeout")]
    pub(in crate::control::config) handshake_timeout: Span,
    /// Handshakes that go on at once, on all workers together (closed when over).
    #[serde(default = "handshakes")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::control::config) handshakes: usize,
}

fn handshake_timeout() -> Span {
    Span(TlsBounds::HANDSHAKE_DEFAULT)
}

fn handshakes() -> usize {
    TlsBounds::HANDSHAKES_DEFAULT
}

/// A certificate and its key. They are looked at again when they change; where they are no good
/// then, the listener keeps those that it has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct CertificateFiles {
    /// A PEM file with the certificate, and behind it those that lead to a root.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) certificate: String,
    /// A PEM file with its private key: RSA, ECDSA (P-256, P-384) or Ed25519, not encrypted.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) key: String,
    /// A file with an OCSP response in DER, which is handed to clients as it is. Whoever renews it
    /// writes it there.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) ocsp: Option<String>,
}

/// Certificates that clients show. The files are looked at again when they change; where they are no
/// good then, those that were there count on. What has changed counts from the next handshake on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct ClientCertificates {
    /// Whether a client without one is let in. One that shows a bad one never is.
    pub(in crate::control::config) mode: ClientCertificateMode,
    /// A PEM file with the authorities whose certificates are believed.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) ca_file: String,
    /// Files, PEM or DER, with lists of revoked certificates. With any there must be one for each
    /// authority in a client's chain: what no list knows of is not believed.
    #[serde(default)]
    pub(in crate::control::config) crl_files: Vec<String>,
    /// In which request fields upstreams are told of it.
    #[serde(default)]
    pub(in crate::control::config) headers: CertificateHeaders,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum ClientCertificateMode {
    Optional,
    Required,
}

/// Request fields that tell of a client's certificate, where it has shown one. A client's own copies
/// are removed, whatever listener they come by. Absent: not told.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control::config) struct CertificateHeaders {
    /// For its subject, such as `CN=a,O=Example` (RFC 4514).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) subject: Option<String>,
    /// For its alternative names, such as `DNS:a.example, URI:spiffe://example.com/a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) names: Option<String>,
    /// For its SHA-256 in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::control::config) thumbprint: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum UnknownName {
    #[default]
    Default,
    Refuse,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::control::config) enum Profile {
    #[default]
    Intermediate,
    Modern,
}

/// TLS, by which the endpoints of an upstream are spoken to. The files are looked at again when they
/// change; where they are no good then, those that were there count on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control::config) struct UpstreamTls {
    /// Whom each endpoint must prove to be, a host name or an address. A host name is also what it is
    /// asked for (SNI). Absent: the host of the endpoint.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) server_name: Option<String>,
    /// A PEM file with the authorities whose certificates are believed. Absent: those of the system, in
    /// the file that SSL_CERT_FILE names or where the distribution has them.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) ca_file: Option<String>,
    /// A PEM file with the certificate that an endpoint is shown that asks for one, and behind it those
    /// that lead to a root; client_key goes with it.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) client_certificate: Option<String>,
    /// With client_certificate: a PEM file with its private key, not encrypted.
    #[schemars(length(min = 1))]
    pub(in crate::control::config) client_key: Option<String>,
    /// Which versions and suites: intermediate is TLS 1.2 and 1.3, modern TLS 1.3 alone.
    #[serde(default)]
    pub(in crate::control::config) profile: Profile,
    /// Application protocols to offer (RFC 7301), the best first; [] offers none. HTTP/2 is not spoken.
    #[serde(default = "http_1_1")]
    pub(in crate::control::config) alpn: Vec<String>,
    /// Believe any certificate at all. Whoever is on the way to the endpoint can read and change
    /// everything then.
    #[serde(default)]
    pub(in crate::control::config) insecure: bool,
}

fn http_1_1() -> Vec<String> {
    vec!["http/1.1".into()]
}
