//! A certificate authority of the test's own, clients that believe it and nobody else, and servers.

use std::fs;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevokedCertParams, SignatureAlgorithm, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use super::client::Client;
use super::deadline::PATIENCE;
use super::wire::Wire;

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes `NAME.pem` and `NAME.key` for these hosts.
    pub fn write(&self, folder: &Path, name: &str, hosts: &[&str]) {
        self.write_as(folder, name, hosts, &PKCS_ECDSA_P256_SHA256, |_| {});
    }

    /// As [`Self::write`], with a key of a kind, and a certificate that is changed before it is signed.
    pub fn write_as(
        &self,
        folder: &Path,
        name: &str,
        hosts: &[&str],
        kind: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        change(&mut params);
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        replace(&folder.join(format!("{name}.pem")), &certificate.pem());
        replace(&folder.join(format!("{name}.key")), &key.serialize_pem());
    }

    /// Writes its own certificate as `NAME.pem`.
    pub fn write_own(&self, folder: &Path, name: &str) {
        replace(&folder.join(format!("{name}.pem")), &self.pem());
    }

    /// A certificate with this name and number for a client, and its key.
    pub fn identity(&self, name: &str, number: u64) -> Identity {
        let mut params = CertificateParams::new([format!("{name}.clients.example")]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(number.into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Identity { certificate: certificate.der().clone(), key }
    }

    /// Writes a list of revoked certificates, by their numbers, as `NAME.crl`.
    pub fn write_revoked(&self, folder: &Path, name: &str, numbers: &[u64]) {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: (*number).into(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2200, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        replace(&folder.join(format!("{name}.crl")), &list.pem().unwrap());
    }

    /// Its own certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// What a server does that shows a certificate for these hosts.
    pub fn server(&self, hosts: &[&str]) -> TlsServer {
        TlsServer::new(self, hosts, rustls::DEFAULT_VERSIONS, |_| {})
    }

    /// As [`Self::server`], for one version.
    pub fn server_of(
        &self,
        version: &'static SupportedProtocolVersion,
        hosts: &[&str],
    ) -> TlsServer {
        TlsServer::new(self, hosts, &[version], |_| {})
    }

    /// As [`Self::server`], with a certificate that has expired.
    pub fn expired_server(&self, hosts: &[&str]) -> TlsServer {
        TlsServer::new(self, hosts, rustls::DEFAULT_VERSIONS, |params| {
            params.not_after = date_time_ymd(2020, 1, 1);
            params.not_before = date_time_ymd(2019, 1, 1);
        })
    }

    /// What clients do that believe it.
    pub fn client(&self) -> TlsClient {
        TlsClient::new(self, rustls::DEFAULT_VERSIONS)
    }

    /// As [`Self::client`], for one version.
    pub fn client_of(&self, version: &'static SupportedProtocolVersion) -> TlsClient {
        TlsClient::new(self, &[version])
    }
}

/// What a client shows.
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// As whoever renews a certificate does it: a new file renamed over the old one.
fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::rename(next, path).unwrap();
}

/// What a client does; it remembers sessions.
#[derive(Clone)]
pub struct TlsClient(pub Arc<ClientConfig>, RootCertStore);

impl TlsClient {
    /// That believes one certificate, in PEM.
    pub fn believing(pem: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self::of(certificate, rustls::DEFAULT_VERSIONS)
    }

    fn new(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self::of(authority.certificate.der().clone(), versions)
    }

    fn of(root: CertificateDer<'static>, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Self(Arc::new(config), roots)
    }

    /// With something else.
    pub fn with(self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = Arc::unwrap_or_clone(self.0);
        change(&mut config);
        Self(Arc::new(config), self.1)
    }

    /// By another provider of cryptography.
    pub fn over(self, provider: CryptoProvider) -> Self {
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.1.clone())
            .with_no_client_auth();
        Self(Arc::new(config), self.1)
    }

    /// That shows a certificate.
    pub fn showing(self, identity: &Identity) -> Self {
        let roots = self.1.clone();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
            .unwrap();
        Self(Arc::new(config), roots)
    }

    /// Without sessions to resume.
    pub fn forgetful(self) -> Self {
        self.with(|config| config.resumption = Resumption::disabled())
    }

    /// Connects and makes a handshake with a server of this name.
    pub fn try_connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).unwrap();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(session, stream))
    }

    /// As [`Self::try_connect`], which must succeed.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr, name: &str) -> Client {
        let stream = self.try_connect(address, name);
        Client::over_tls(stream.unwrap_or_else(|error| panic!("no handshake: {error}")))
    }
}

/// What a server does.
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    /// Whether a line of plain text comes first.
    has_preface: bool,
    /// Handshakes that are left unanswered.
    leaves: Arc<AtomicUsize>,
}

impl TlsServer {
    fn new(
        authority: &Authority,
        hosts: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Self { config: Arc::new(config), has_preface: false, leaves: Arc::default() }
    }

    /// With something else.
    pub fn with(self, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = Arc::unwrap_or_clone(self.config);
        change(&mut config);
        Self { config: Arc::new(config), ..self }
    }

    /// That takes none but clients with a certificate of this authority.
    pub fn asking(self, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.config.cert_resolver));
        Self { config: Arc::new(config), ..self }
    }

    /// That takes a line of plain text before TLS, which its script reads first.
    pub fn behind_a_line(self) -> Self {
        Self { has_preface: true, ..self }
    }

    /// That closes so many connections without a word first.
    pub fn leaving(self, count: usize) -> Self {
        Self { leaves: Arc::new(count.into()), ..self }
    }

    /// Makes the handshake on an accepted connection.
    pub fn accept(&self, mut stream: TcpStream) -> io::Result<Wire> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let one_less = |left: usize| left.checked_sub(1);
        if self.leaves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut line = Vec::new();
        while self.has_preface && !line.ends_with(b"\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        let mut session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Wire::tls_server(StreamOwned::new(session, stream), line))
    }
}
