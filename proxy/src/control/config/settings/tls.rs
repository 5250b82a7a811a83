//! TLS of a listener, and of an upstream: files and rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::snapshot::tls::CertificateFields;
use crate::tls::{Profile, UnknownName};

/// What a listener does for its clients, all of which speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// At least one; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// What a client gets that asks for another name.
    pub unknown_name: UnknownName,
    /// Which versions and suites.
    pub profile: Profile,
    /// Whose certificates clients may show; none: they are not asked for any.
    pub clients: Option<ClientTrust>,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How many may go on at once, on all workers together.
    pub handshakes: usize,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTrust {
    /// Where it is said.
    pub files: TrustFiles,
    /// In which request fields upstreams are told.
    pub fields: CertificateFields,
}

/// Where it is said whose certificates are believed. The files were good when the configuration was
/// read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustFiles {
    /// Authorities.
    pub authorities: PathBuf,
    /// Lists of revoked certificates.
    pub revoked: Vec<PathBuf>,
    /// Whether a client must show one.
    pub is_required: bool,
}

impl TrustFiles {
    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.authorities).chain(&self.revoked).map(PathBuf::as_path)
    }
}

/// Where a certificate is. They were good when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate and those that lead to a root.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// An OCSP response.
    pub ocsp: Option<PathBuf>,
}

impl CertificateFiles {
    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.chain, &self.key].into_iter().chain(&self.ocsp).map(PathBuf::as_path)
    }
}

/// How the endpoints of an upstream are spoken to that speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTlsConfig {
    /// Whose certificates are believed; none: anyone's.
    pub authorities: Option<AuthorityFile>,
    /// What an endpoint is shown that asks for a certificate.
    pub identity: Option<CertificateFiles>,
    /// Which versions and suites.
    pub profile: Profile,
    /// Application protocols that are offered.
    pub protocols: Vec<Box<str>>,
}

/// Where authorities are. The file was good when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuthorityFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is the system's, which may have some that are of no use.
    pub is_systems: bool,
}
