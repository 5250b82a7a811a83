//! What is known of a connection by its TLS session.

use super::ConnectionState;
use crate::snapshot::redirect::Scheme;
use crate::telemetry::access_log::TlsEntry;
use crate::tls::ClientCertificate;
use crate::worker::tls_counters;

impl ConnectionState {
    /// Takes note of what its client has shown.
    pub(in crate::worker) fn set_certificate(&self, certificate: ClientCertificate) {
        let _ = self.certificate.set(certificate);
    }

    /// The certificate of its client, if it has shown one.
    pub(in crate::worker) fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.get()
    }

    /// What its peer speaks.
    pub(in crate::worker) fn scheme(&self) -> Scheme {
        if self.stream.is_secure() { Scheme::Https } else { Scheme::Http }
    }

    /// What lines of the log say of its session, if it has one.
    pub(in crate::worker) fn tls_entry(&self) -> Option<TlsEntry<'_>> {
        let agreement = self.stream.session()?.agreement()?;
        Some(TlsEntry {
            version: tls_counters::version(agreement.version),
            suite: tls_counters::suite_name(agreement.suite),
            is_resumed: agreement.is_resumed,
            client: self.certificate().map(|shown| (&*shown.subject, &*shown.thumbprint)),
        })
    }
}
