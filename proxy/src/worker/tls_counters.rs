//! The cells that tell what a worker's TLS handshakes come to, and why they fail.

use rustls::{Error, PeerIncompatible};

use crate::telemetry::counters::{CounterId, Family, Kind, OutOfCells, Registry};
use crate::tls::{Agreement, SUITES};

static HANDSHAKES: Family = Family {
    name: "ringgate_tls_handshakes",
    help: "TLS handshakes with clients that succeeded, by what they agreed on, and whether they resumed a session.",
    kind: Kind::Counter,
    labels: &["version", "suite", "resumed"],
};
static FAILURES: Family = Family {
    name: "ringgate_tls_handshake_failures",
    help: "Connections to listeners with `tls` that came to no session, by why.",
    kind: Kind::Counter,
    labels: &["reason"],
};
static IN_PROGRESS: Family = Family {
    name: "ringgate_tls_handshakes_in_progress",
    help: "TLS handshakes with clients that go on now.",
    kind: Kind::Gauge,
    labels: &[],
};
static RECORD_BUFFERS: Family = Family {
    name: "ringgate_tls_record_buffers_in_use",
    help: "Buffers for TLS records in use.",
    kind: Kind::Gauge,
    labels: &[],
};

/// Declares [`TlsFailure`] with its labels and its list in one place.
macro_rules! failures {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal;)+) => {
        /// Why a connection came to no session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum TlsFailure { $($(#[doc = $doc])+ $variant,)+ }

        impl TlsFailure {
            const ALL: &[Self] = &[$(Self::$variant,)+];

            fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

failures! {
    /// It took too long.
    Timeout = "timeout";
    /// The client left.
    Left = "client_left";
    /// Too many at once.
    TooMany = "too_many";
    /// The client spoke HTTP.
    PlainText = "plain_text";
    /// What came is no TLS.
    Malformed = "malformed";
    /// A message that no buffer holds.
    TooLarge = "too_large";
    /// No version in common.
    Version = "version";
    /// No suite, group or signature scheme in common.
    Suite = "suite";
    /// No certificate for the name that was asked for, or by no scheme that the client takes.
    NoCertificate = "no_certificate";
    /// No application protocol in common.
    Protocol = "protocol";
    /// The client sent no certificate, or none that is believed.
    ClientCertificate = "client_certificate";
    /// The client refused, by an alert.
    Alert = "alert_received";
    /// Records that do not decrypt.
    Decrypt = "decrypt";
    /// Rules of the handshake broken.
    Misbehaved = "misbehaved";
    /// Anything else.
    Other = "other";
}

impl From<&Error> for TlsFailure {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerSentOversizedRecord => Self::Malformed,
            Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::Suite,
            Error::PeerMisbehaved(_) => Self::Misbehaved,
            Error::AlertReceived(_) => Self::Alert,
            Error::NoCertificatesPresented
            | Error::InvalidCertificate(_)
            | Error::UnsupportedNameType
            | Error::InvalidCertRevocationList(_) => Self::ClientCertificate,
            Error::DecryptError => Self::Decrypt,
            Error::NoApplicationProtocol => Self::Protocol,
            // The library's words for a resolver that has none.
            Error::General(what) if what.contains("certificate") => Self::NoCertificate,
            // The library may get new errors.
            _ => Self::Other,
        }
    }
}

/// The cells.
#[derive(Debug, Clone)]
pub(super) struct TlsCounters {
    /// Of each suite: full, and resumed.
    handshakes: Box<[[CounterId; 2]]>,
    failures: Box<[CounterId]>,
    pub(super) in_progress: CounterId,
    pub(super) record_buffers: CounterId,
}

impl TlsCounters {
    pub(super) fn register(registry: &mut Registry) -> Result<Self, OutOfCells> {
        let mut handshakes = |suite: &rustls::SupportedCipherSuite| {
            let version = version(suite.version().version);
            let name = suite_name(*suite);
            let mut cell = |resumed| registry.cell(&HANDSHAKES, &[version, name, resumed]);
            Ok([cell("no")?, cell("yes")?])
        };
        let handshakes = SUITES.iter().map(&mut handshakes).collect::<Result<_, _>>()?;
        let failures = TlsFailure::ALL.iter().map(|one| registry.cell(&FAILURES, &[one.label()]));
        let failures = failures.collect::<Result<_, _>>()?;
        let in_progress = registry.cell(&IN_PROGRESS, &[])?;
        Ok(Self {
            handshakes,
            failures,
            in_progress,
            record_buffers: registry.cell(&RECORD_BUFFERS, &[])?,
        })
    }

    /// The cell that counts handshakes of this kind; none where the suite is none of ours.
    pub(super) fn handshake(&self, agreement: &Agreement) -> Option<CounterId> {
        let at = SUITES.iter().position(|suite| *suite == agreement.suite)?;
        Some(self.handshakes[at][usize::from(agreement.is_resumed)])
    }

    /// The cell that counts failures of this kind.
    pub(super) fn failure(&self, failure: TlsFailure) -> CounterId {
        self.failures[failure as usize]
    }
}

/// A version as people write it.
pub(super) fn version(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        // None else is agreed on.
        _ => "other",
    }
}

/// A suite by the name that it has with IANA.
pub(super) fn suite_name(suite: rustls::SupportedCipherSuite) -> &'static str {
    // The library leaves out what IANA has in the names of TLS 1.3: an underscore.
    let name = suite.suite().as_str().unwrap_or("other");
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        name => name,
    }
}
