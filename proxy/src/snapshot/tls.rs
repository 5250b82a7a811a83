//! TLS on a listener: what its sessions are made by, and their bounds.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};

/// What a listener does for clients that speak TLS, which all of its clients must.
#[derive(Debug)]
pub struct TlsService {
    /// By which sessions are made. Without a place for sessions of clients that take no tickets:
    /// each worker has its own.
    pub config: ServerConfig,
    /// What must be the same where a session is resumed.
    pub context: [u8; 32],
    /// Its bounds.
    pub bounds: TlsBounds,
    /// In which request fields an upstream is told of a client's certificate.
    pub certificate_fields: CertificateFields,
}

/// Lower-case names of request fields that tell of a client's certificate, where they are told. A
/// client's own copies pass on no listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFields {
    /// Its distinguished name.
    pub subject: Option<Box<str>>,
    /// Its alternative names.
    pub names: Option<Box<str>>,
    /// Its SHA-256.
    pub thumbprint: Option<Box<str>>,
}

impl CertificateFields {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.subject, &self.names, &self.thumbprint].into_iter().flatten().map(|name| &**name)
    }
}

/// Bounds on the handshakes of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsBounds {
    /// From the connection's begin to the end of the handshake (closed).
    pub handshake: Duration,
    /// Handshakes that go on at once on each worker (closed).
    pub handshakes_per_worker: usize,
}

impl TlsBounds {
    /// For a handshake: ten seconds are several times what a phone on a bad line takes.
    pub const HANDSHAKE_DEFAULT: Duration = Duration::from_secs(10);

    /// On all workers together.
    pub const HANDSHAKES_DEFAULT: usize = 4096;
}

/// As much as a listener knows of it: none where it speaks in plain text.
pub type ListenerTls = Option<Arc<TlsService>>;

/// How the endpoints of an upstream are spoken to that speak TLS.
#[derive(Debug)]
pub struct UpstreamTls {
    /// By which sessions are made. Without a place for sessions to be resumed: each worker has its own.
    pub config: ClientConfig,
    /// What must be the same where a connection or a session is gone on with.
    pub context: [u8; 32],
}
