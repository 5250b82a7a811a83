//! The files of a certificate, read whole.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::control::config::CertificateFiles;
use crate::control::regular_file::read_at_most;
use crate::tls::{Identity, IdentityError};

/// Bytes of a file; chains and staples have a few thousand.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Why a listener cannot show what it is to show.
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
    #[error("{} has more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
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
    /// The library does not take the rules of a listener.
    #[error("listener {listener}: {source}")]
    Refused {
        /// Which.
        listener: Box<str>,
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

fn file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let bytes = read_at_most(path, FILE_BYTES_MAX + 1)
        .map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(CertificateError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}
