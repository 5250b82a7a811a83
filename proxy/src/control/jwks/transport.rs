//! How a source is reached over the network: whom it trusts, how it introduces itself, which way it goes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;

use super::address_guard::{GuardedResolver, NoNames, OutOfReach, Reach, literal};
use super::connector::{SocketConnector, TlsConnector, connector};
use crate::control::system_roots;
use crate::crypto::tls::default_provider;

pub use ureq::Proxy;

#[cfg(test)]
mod tests;

/// How a source is reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transport {
    /// Plain `http` is fine.
    pub allow_http: bool,
    /// Which addresses may be connected to.
    pub reach: Reach,
    /// Trusted instead of the system's roots.
    pub roots: Option<Roots>,
    /// Shown to a server that asks.
    pub identity: Option<Identity>,
    /// Sent with each request; the values are marked as sensitive.
    pub headers: HeaderMap,
    /// Asked to CONNECT.
    pub proxy: Option<Proxy>,
    /// Asked for in the TLS handshake, and looked for in the certificate, instead of the host.
    pub server_name: Option<Authority>,
    /// Followed to the same host over https, or to one of `redirect_hosts`; 0..=3.
    pub redirects_max: u32,
    /// Other hosts that a redirect may lead to, with the port where it is not 443.
    pub redirect_hosts: Vec<Authority>,
    /// How long the stages may take.
    pub patience: Patience,
}

/// How long the stages of a fetch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Looking the name up and connecting.
    pub connect: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the first look-up to the last byte, over all redirects and the issuer's metadata.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            handshake: Duration::from_secs(3),
            total: Duration::from_secs(5),
        }
    }
}

/// Certificates to trust, at least one.
#[derive(Debug, Clone)]
pub struct Roots(Vec<Certificate<'static>>);

/// A certificate chain and its private key, which belong together.
#[derive(Clone)]
pub struct Identity(ClientCert);

/// Why a PEM text is not what it should be. Nothing of it is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No certificate in it.
    #[error("no certificate in PEM form")]
    NoCertificate,
    /// No private key in it.
    #[error("no private key in PEM form")]
    NoKey,
    /// One that cannot be used.
    #[error("a certificate in it cannot be used")]
    Certificate,
    /// The key is of another certificate, or of a kind not supported.
    #[error("the private key does not belong to the certificate or is of no supported kind")]
    Mismatch,
}

impl Roots {
    /// From a PEM text.
    ///
    /// # Errors
    /// When there is none, or one that cannot be trusted.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PemError> {
        let certificates = certificates(pem);
        let mut store = rustls::RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.der().into()).map_err(|_| PemError::Certificate)?;
        }
        if certificates.is_empty() { Err(PemError::NoCertificate) } else { Ok(Self(certificates)) }
    }

    /// Those of the system. None where it has none: then no server is trusted.
    fn of_system() -> Vec<Certificate<'static>> {
        let text = system_roots::candidates().find_map(|path| std::fs::read(path).ok());
        text.map(|pem| certificates(&pem)).unwrap_or_default()
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(Certificate::der).eq(other.0.iter().map(Certificate::der))
    }
}

impl Identity {
    /// From the PEM texts of the chain and of the key.
    ///
    /// # Errors
    /// When one is missing or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, PemError> {
        let chain = certificates(chain);
        if chain.is_empty() {
            return Err(PemError::NoCertificate);
        }
        let key = items(key).find_map(|item| match item {
            PemItem::PrivateKey(key) => Some(key),
            _ => None,
        });
        let key = key.ok_or(PemError::NoKey)?;
        let ders = chain.iter().map(|one| one.der().to_vec().into()).collect();
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.der().to_vec());
        let private = private.map_err(|_| PemError::Mismatch)?;
        rustls::sign::CertifiedKey::from_der(ders, private, &default_provider())
            .map_err(|_| PemError::Mismatch)?;
        Ok(Self(ClientCert::new_with_certs(&chain, key)))
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        let ders = |chain: &[Certificate<'static>]| -> Vec<Vec<u8>> {
            chain.iter().map(|one| one.der().to_vec()).collect()
        };
        ders(self.0.certs()) == ders(other.0.certs())
            && self.0.private_key().der() == other.0.private_key().der()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn items(pem: &[u8]) -> impl Iterator<Item = PemItem<'static>> {
    parse_pem(pem).filter_map(Result::ok)
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    items(pem).filter_map(certificate).collect()
}

impl Transport {
    /// The HTTP client for one request to `url`, which ends by the deadline. Connections are not
    /// kept: fetches are minutes apart.
    #[must_use]
    pub(super) fn client(&self, url: &Uri, unix: Option<&Path>, deadline: Instant) -> Agent {
        let now = Instant::now();
        let roots = self.roots.as_ref().map_or_else(Roots::of_system, |roots| roots.0.clone());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .client_cert(self.identity.as_ref().map(|identity| identity.0.clone()))
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .build();
        let config = Agent::config_builder()
            .https_only(!self.allow_http)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(self.proxy.clone())
            .tls_config(tls)
            .timeout_resolve(Some(self.patience.connect))
            .timeout_global(Some(deadline.saturating_duration_since(now)))
            .max_idle_connections(0)
            .user_agent(concat!("ringgate/", env!("CARGO_PKG_VERSION")))
            .accept("application/jwk-set+json, application/json")
            .build();
        let connected = deadline.min(now + self.patience.connect);
        let socket = SocketConnector { unix: unix.map(Path::to_owned), deadline: connected };
        let tls = TlsConnector {
            server: url.authority().cloned(),
            name: self.server_name.clone(),
            within: self.patience.handshake,
            deadline,
        };
        let connector = connector(socket, tls);
        let names = DefaultResolver::default();
        if unix.is_some() {
            return Agent::with_parts(config, connector, NoNames);
        }
        // With a proxy, its own name is the only one that is looked up here, and the operator
        // has named it; see `check_literal` for the rest.
        if self.proxy.is_some() {
            return Agent::with_parts(config, connector, names);
        }
        Agent::with_parts(config, connector, GuardedResolver { reach: self.reach, names })
    }

    /// The same for a server that is not the configured one: without what is meant for that one
    /// alone.
    #[must_use]
    pub(super) fn elsewhere(&self) -> Self {
        Self { headers: HeaderMap::new(), server_name: None, ..self.clone() }
    }

    /// Refuses an address that stands in the URL itself: a proxy would connect to it unasked.
    ///
    /// # Errors
    /// When it is out of reach.
    pub fn check_literal(&self, url: &Uri) -> Result<(), OutOfReach> {
        url.host().and_then(literal).map_or(Ok(()), |address| self.reach.check(address))
    }
}
