//! The files of a certificate, read whole.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::control::config::{AuthorityFile, CertificateFiles, TrustFiles};
use crate::control::regular_file::read_at_most;
use crate::tls::{Authorities, Identity, IdentityError, Trust, TrustError};

/// Bytes of a file; chains and staples have a few thousand.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Of a file of authorities: a system's has some 250 KB.
const AUTHORITIES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of a list of revoked certificates: some 400,000 entries.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why TLS cannot be spoken by files and rules.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is longer than any good one.
    #[error("{} has more than {bytes_max} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// How many it may have.
        bytes_max: usize,
    },
    /// They are no identity.
    #[error("{} with {}: {source}", chain.display(), key.display())]
    Unusable {
        /// The certificate.
        chain: PathBuf,
        /// Its key.
        key: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// They do not say whose certificates are believed.
    #[error("{}: {source}", path.display())]
    Untrustworthy {
        /// The authorities.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// The library does not take the rules of a listener or an upstream.
    #[error("{owner}: {source}")]
    Refused {
        /// Which.
        owner: String,
        /// Why.
        source: rustls::Error,
    },
    /// No key for tickets.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// The identity that the files have. The text of the key is zeroed.
///
/// # Errors
/// When they have none.
pub fn read(files: &CertificateFiles) -> Result<Identity, CertificateError> {
    let chain = file(&files.chain)?;
    let key = Zeroizing::new(file(&files.key)?);
    let ocsp = files.ocsp.as_deref().map(file).transpose()?;
    Identity::read(&chain, &key, ocsp).map_err(|source| CertificateError::Unusable {
        chain: files.chain.clone(),
        key: files.key.clone(),
        source,
    })
}

/// Whose certificates are believed by the files.
///
/// # Errors
/// When they do not say so.
pub fn read_trust(files: &TrustFiles) -> Result<Trust, CertificateError> {
    let authorities = at_most(&files.authorities, AUTHORITIES_BYTES_MAX)?;
    let lists = files.revoked.iter().map(|path| at_most(path, LIST_BYTES_MAX));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    Trust::read(&authorities, &lists, files.is_required).map_err(|source| {
        CertificateError::Untrustworthy { path: files.authorities.clone(), source }
    })
}

/// Whose certificates are believed by the file.
///
/// # Errors
/// When it does not say so.
pub fn read_authorities(file: &AuthorityFile) -> Result<Authorities, CertificateError> {
    let pem = at_most(&file.path, AUTHORITIES_BYTES_MAX)?;
    let read = if file.is_systems { Authorities::read_usable } else { Authorities::read };
    let path = || file.path.clone();
    read(&pem).map_err(|source| CertificateError::Untrustworthy { path: path(), source })
}

fn file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    at_most(path, FILE_BYTES_MAX)
}

fn at_most(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CertificateError> {
    let bytes = read_at_most(path, bytes_max + 1)
        .map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() > bytes_max {
        return Err(CertificateError::TooLong { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}
