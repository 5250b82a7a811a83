//! Where the roots are that the system trusts.

use std::path::PathBuf;

/// Where distributions keep them, the usual places first.
const USUAL: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files that may have them: the one that `SSL_CERT_FILE` names, then the usual ones. The first
/// that is there counts.
pub fn candidates() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(USUAL.map(PathBuf::from))
}
