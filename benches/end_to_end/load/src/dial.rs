//! Connections to the proxy, plain or TLS 1.3 with one suite and one group, the same for all proxies.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Descriptors beside those of the connections.
const OWN_DESCRIPTORS: u64 = 100;

/// The name in the certificate.
const NAME: &str = "bench.example";

/// A connection, secure or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What was agreed on in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) version: String,
    pub(crate) suite: String,
    /// Of a resumed session, too, which exchanges keys anew.
    pub(crate) group: String,
    pub(crate) is_resumed: bool,
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Dialer {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    /// With a certificate to trust: TLS, and no session is resumed.
    pub(crate) fn new(address: SocketAddr, trusted: Option<&Path>) -> Result<Self> {
        let Some(file) = trusted else { return Ok(Self { address, tls: None }) };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file)? {
            roots.add(certificate?)?;
        }
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { address, tls: Some(Arc::new(config)) })
    }

    /// The same, with a memory of sessions of its own.
    pub(crate) fn resuming(&self) -> Self {
        let tls = self.tls.as_ref().map(|config| {
            let mut config = ClientConfig::clone(config);
            config.resumption = Resumption::in_memory_sessions(1);
            Arc::new(config)
        });
        Self { address: self.address, tls }
    }

    pub(crate) async fn dial(&self) -> Result<(Box<dyn Io>, Option<Agreed>)> {
        let stream = TcpStream::connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok((Box::new(stream), None)) };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream =
            connector.connect(ServerName::try_from(NAME)?, stream).await.context("a handshake")?;
        let (_, session) = stream.get_ref();
        let agreed = Agreed {
            version: session.protocol_version().map(|v| format!("{v:?}")).unwrap_or_default(),
            suite: session
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            group: session
                .negotiated_key_exchange_group()
                .map(|group| format!("{:?}", group.name()))
                .unwrap_or_default(),
            is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok((Box::new(stream), Some(agreed)))
    }
}

/// To what this many connections need.
pub(crate) fn raise_descriptor_limit(connections: u32) -> Result<()> {
    let wanted = u64::from(connections) + OWN_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("{wanted} descriptors are needed; raise the hard limit (ulimit -Hn)");
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}
