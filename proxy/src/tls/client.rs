//! How an upstream is spoken to that speaks TLS: whom it is believed to be, what it is shown.

use std::sync::Arc;

use crate::crypto::digest::{Context, SHA256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::digest::finished;
use super::identity::Identity;
use super::server::{Profile, SUITES};
use super::trust::Authorities;
use crate::crypto::tls::default_provider;

/// What sessions with an upstream are made by.
#[derive(Debug)]
pub struct ClientRules<'a> {
    /// Whose certificates are believed; none: any certificate at all is, of any name.
    pub authorities: Option<&'a Authorities>,
    /// Shown to a server that asks.
    pub identity: Option<&'a Identity>,
    /// Which versions.
    pub profile: Profile,
    /// Application protocols (RFC 7301), the best first; none: nothing is said of them.
    pub protocols: &'a [Box<str>],
}

/// The library's form of these rules, and a digest of them: where it is the same, a connection or a
/// session that was begun by one can be gone on with by the other.
///
/// Each worker gives its own copy a place for sessions.
///
/// # Errors
/// When the library does not agree.
pub fn client(rules: &ClientRules<'_>) -> Result<(ClientConfig, [u8; 32]), Error> {
    let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..default_provider() };
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(rules.profile.versions())?;
    let builder = match rules.authorities {
        Some(authorities) => builder.with_root_certificates(Arc::clone(&authorities.roots)),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms })),
    };
    let mut config = match rules.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let shown = SingleCertAndKey::from(Arc::clone(&identity.certified));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    };
    config.alpn_protocols = rules.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok((config, digest(rules)))
}

fn digest(rules: &ClientRules<'_>) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    match rules.authorities {
        Some(authorities) => {
            hash.update(b"believes ");
            hash.update(&authorities.digest);
        }
        None => hash.update(b"believes anyone"),
    }
    for certificate in rules.identity.into_iter().flat_map(|identity| &identity.certified.cert) {
        hash.update(b" shows ");
        hash.update(certificate);
    }
    hash.update(match rules.profile {
        Profile::Intermediate => b" intermediate",
        Profile::Modern => b" modern",
    });
    for protocol in rules.protocols {
        hash.update(b" speaks ");
        hash.update(protocol.as_bytes());
    }
    finished(hash)
}

/// Believes every certificate, of whomever it is. The server still has to have its key.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
