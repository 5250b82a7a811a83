//! A certificate and its key, as their files have them.

use std::sync::Arc;

use crate::crypto::tls::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Who a listener says it is: a certificate with its chain, and the key to it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    certificate: Certificate,
}

/// Why files are no identity. No part of a key is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate file is not PEM, or has no certificate.
    #[error("no certificate in PEM")]
    NoCertificate,
    /// The first certificate is malformed.
    #[error("the first certificate is malformed")]
    Malformed,
    /// The key file has no key that is understood.
    #[error("no private key in PEM; allowed: PKCS #8, PKCS #1 or SEC 1, not encrypted")]
    NoKey,
    /// The key is of a kind that the library does not have.
    #[error("the key is none of RSA (2048 bits or more), ECDSA (P-256, P-384) and Ed25519")]
    KeyKind,
    /// The key is not the certificate's.
    #[error("the key is not that of the first certificate")]
    Mismatch,
}

impl Identity {
    /// Reads the texts of both files, and takes an OCSP response in DER along, which is handed out
    /// as it is.
    ///
    /// # Errors
    /// When they are not both there and belong together.
    pub fn read(chain: &[u8], key: &[u8], ocsp: Option<Vec<u8>>) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| IdentityError::NoCertificate)?;
        let own = chain.first().ok_or(IdentityError::NoCertificate)?;
        let certificate = Certificate::read(own).ok_or(IdentityError::Malformed)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey)?;
        // The provider takes the bytes and zeroes them.
        let key = default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| IdentityError::KeyKind)?;
        let mut certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| IdentityError::Mismatch)?;
        certified.ocsp = ocsp;
        Ok(Self { certified: Arc::new(certified), certificate })
    }

    /// What its certificate says.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether it is another than `other`: a certificate, a chain or a staple has changed.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        self.certified.cert != other.certified.cert || self.certified.ocsp != other.certified.ocsp
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, generate_simple_self_signed};

    use super::*;

    #[test]
    fn each_kind_of_key_is_read() {
        for kind in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
            let key = KeyPair::generate_for(kind).unwrap();
            let params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            let identity =
                Identity::read(chain.as_bytes(), key.serialize_pem().as_bytes(), None).unwrap();
            assert_eq!(identity.certificate().hosts().collect::<Vec<_>>(), ["a.example"]);
        }
    }

    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let made = || generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let read = |chain: &str, key: &str| {
            Identity::read(chain.as_bytes(), key.as_bytes(), None).map(drop).unwrap_err()
        };
        assert_eq!(read("", &key), IdentityError::NoCertificate);
        assert_eq!(read(&key, &key), IdentityError::NoCertificate);
        assert_eq!(read(&chain, ""), IdentityError::NoKey);
        assert_eq!(read(&chain, &chain), IdentityError::NoKey);
        let foreign = other.signing_key.serialize_pem();
        assert_eq!(read(&chain, &foreign), IdentityError::Mismatch);
        let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(read(rubbish, &key), IdentityError::Malformed);
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(read(&chain, no_key), IdentityError::KeyKind);
    }
}
