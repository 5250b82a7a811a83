//! Whose certificates are believed: clients' and upstreams'.

use std::fmt;
use std::sync::Arc;

use crate::crypto::digest::{Context, SHA256};
use crate::crypto::tls::default_provider;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::digest::finished;

/// Authorities whose certificates are believed.
#[derive(Clone)]
pub struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    /// Of all of them.
    pub(super) digest: [u8; 32],
}

/// Authorities whose certificates are believed of clients, and what they have revoked.
#[derive(Clone)]
pub struct Trust {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Of all that it is made of.
    pub(super) digest: [u8; 32],
}

/// Why files do not say whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file of authorities has none.
    #[error("no certificate in PEM")]
    NoAuthority,
    /// An authority cannot be used.
    #[error("certificate {0} is of no use: {1}")]
    Authority(usize, String),
    /// A list is malformed.
    #[error("list of revoked certificates {0} is malformed")]
    List(usize),
    /// The library does not take them together.
    #[error("{0}")]
    Refused(String),
}

impl Authorities {
    /// Reads a file of authorities in PEM, each of which must be of use.
    ///
    /// # Errors
    /// When one is not, or there is none.
    pub fn read(pem: &[u8]) -> Result<Self, TrustError> {
        Self::read_each(pem, false)
    }

    /// As [`Self::read`] without those that are of no use, some of which any system's bundle may have.
    ///
    /// # Errors
    /// When there is none that is.
    pub fn read_usable(pem: &[u8]) -> Result<Self, TrustError> {
        Self::read_each(pem, true)
    }

    fn read_each(pem: &[u8], skips_useless: bool) -> Result<Self, TrustError> {
        let mut context = Context::new(&SHA256);
        let mut roots = RootCertStore::empty();
        let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        for (index, authority) in read.map_err(|_| TrustError::NoAuthority)?.into_iter().enumerate()
        {
            context.update(&authority);
            if let Err(error) = roots.add(authority)
                && !skips_useless
            {
                return Err(TrustError::Authority(index + 1, error.to_string()));
            }
        }
        if roots.is_empty() {
            return Err(TrustError::NoAuthority);
        }
        let digest = finished(context);
        Ok(Self { roots: Arc::new(roots), digest })
    }

    /// Whether they are others.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        self.digest != other.digest
    }
}

impl Trust {
    /// Reads a file of authorities in PEM, and lists of revoked certificates in PEM or DER. With a
    /// list for one authority there must be one for each in a client's chain: what nobody knows of
    /// counts as revoked.
    ///
    /// # Errors
    /// When one of them is no good.
    pub fn read(
        authorities: &[u8],
        lists: &[Vec<u8>],
        is_required: bool,
    ) -> Result<Self, TrustError> {
        let authorities = Authorities::read(authorities)?;
        let mut context = Context::new(&SHA256);
        context.update(&[u8::from(is_required)]);
        context.update(&authorities.digest);
        let mut revoked = Vec::new();
        for (index, list) in lists.iter().enumerate() {
            context.update(list);
            revoked.extend(revocations(list).ok_or(TrustError::List(index + 1))?);
        }
        let provider = Arc::new(default_provider());
        let mut builder = WebPkiClientVerifier::builder_with_provider(authorities.roots, provider)
            .with_crls(revoked);
        if !is_required {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| TrustError::Refused(error.to_string()))?;
        let digest = finished(context);
        Ok(Self { verifier, digest })
    }

    /// Whether it is made of something else.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        self.digest != other.digest
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("count", &self.roots.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

fn revocations(list: &[u8]) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    if !list.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Some(vec![list.to_vec().into()]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(list).collect();
    lists.ok().filter(|lists| !lists.is_empty())
}
