//! Certificates that listeners and upstreams are shown, whose certificates they are believed, and the
//! keys of session tickets: read, watched, replaced.
//!
//! ```text
//! reload            -> prepare (all that can fail) -> take --+
//! a file changes    -> read: good -> replace ----------------+--> services -> the next snapshot
//!                            bad  -> keep the old, say why   |
//! every six hours   -> a new ticket key ---------------------+
//! ```
//!
//! Whoever has a session goes on with it: a service is only what the next handshake is made by.

mod held;
mod read;
mod remaining;
mod services;

pub use read::{CertificateError, read, read_authorities, read_trust};
pub use remaining::{TimeLeft, time_left};
pub use services::TlsServices;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use held::{Shelf, Source, Which};

use super::config::{
    AuthorityFile, CertificateFiles, Config, TlsConfig, TrustFiles, UpstreamTlsConfig,
};
use super::status::{CertificateStatus, Shown, TlsOwner};
use crate::tls::{Authorities, Identity, NoRandom, ROTATION_SECONDS, TicketKeys, Trust};

/// How often it is said that a certificate is about to expire.
const SAID_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The certificates that are shown and believed, and the keys of tickets.
#[derive(Debug)]
pub struct Certificates {
    workers: usize,
    in_force: Prepared,
    tickets: TicketKeys,
    rotate_at: Instant,
    looked_at: Instant,
    said_at: Instant,
}

/// A listener with TLS.
#[derive(Debug, Clone)]
struct TlsListener {
    name: Box<str>,
    address: SocketAddr,
    is_http: bool,
    tls: TlsConfig,
}

/// An upstream with TLS.
#[derive(Debug, Clone)]
struct TlsUpstream {
    name: Box<str>,
    tls: UpstreamTlsConfig,
}

/// What a configuration asks for, all of it good.
#[derive(Debug, Default)]
pub struct Prepared {
    /// What is shown: to clients, and to upstreams.
    identities: Shelf<CertificateFiles>,
    /// Whose certificates clients may show.
    trusted: Shelf<TrustFiles>,
    /// Whose certificates upstreams may show.
    authorities: Shelf<AuthorityFile>,
    listeners: Vec<TlsListener>,
    upstreams: Vec<TlsUpstream>,
    services: TlsServices,
}

impl Prepared {
    /// What the listeners and upstreams will do.
    #[must_use]
    pub fn services(&self) -> &TlsServices {
        &self.services
    }

    fn read_again(&mut self, which: Which<'_>) -> bool {
        // All three: what is found changed is not told again.
        self.identities.read_again(which)
            | self.trusted.read_again(which)
            | self.authorities.read_again(which)
    }
}

impl Certificates {
    /// Those of a configuration, and a first ticket key.
    ///
    /// # Errors
    /// When a file is no good any more, or there are no random numbers.
    pub fn load(config: &Config, workers: usize) -> Result<Self, CertificateError> {
        let now = Instant::now();
        let mut this = Self {
            workers,
            in_force: Prepared::default(),
            tickets: TicketKeys::new()?,
            rotate_at: now + rotation(),
            looked_at: now,
            said_at: now,
        };
        let prepared = this.prepare(config)?;
        this.take(prepared);
        Ok(this)
    }

    /// What the listeners and upstreams do now.
    #[must_use]
    pub fn services(&self) -> &TlsServices {
        &self.in_force.services
    }

    /// Reads what a configuration asks for. Files that are no good are replaced by what was last read
    /// of them; why is said.
    ///
    /// # Errors
    /// When nothing was.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, CertificateError> {
        let listeners: Vec<TlsListener> = config
            .listeners
            .iter()
            .filter_map(|listener| {
                Some(TlsListener {
                    name: listener.name.clone(),
                    address: listener.address,
                    is_http: listener.tcp.is_none(),
                    tls: listener.tls.clone()?,
                })
            })
            .collect();
        let upstream = config.upstreams.iter().map(|upstream| (&upstream.name, &upstream.tls));
        let upstreams: Vec<TlsUpstream> = upstream
            .filter_map(|(name, tls)| Some(TlsUpstream { name: name.clone(), tls: tls.clone()? }))
            .collect();
        let shown = listeners.iter().flat_map(|listener| &listener.tls.certificates);
        let shown =
            shown.chain(upstreams.iter().filter_map(|upstream| upstream.tls.identity.as_ref()));
        let trusted = listeners.iter().filter_map(TlsListener::trust);
        let authorities = upstreams.iter().filter_map(|upstream| upstream.tls.authorities.as_ref());
        let before = &self.in_force;
        let mut prepared = Prepared {
            identities: Shelf::read(shown, &before.identities)?,
            trusted: Shelf::read(trusted, &before.trusted)?,
            authorities: Shelf::read(authorities, &before.authorities)?,
            listeners,
            upstreams,
            services: TlsServices::default(),
        };
        prepared.services = TlsServices::make(&prepared, &self.tickets, self.workers)?;
        Ok(prepared)
    }

    /// Takes what was prepared.
    pub fn take(&mut self, prepared: Prepared) {
        self.in_force = prepared;
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Prepared { identities, trusted, authorities, .. } = &self.in_force;
        identities.paths().chain(trusted.paths()).chain(authorities.paths())
    }

    /// Reads again what a file belongs to; says whether something else is done now.
    pub fn file_changed(&mut self, path: &Path) -> bool {
        self.in_force.read_again(Which::With(path)) && self.renew()
    }

    /// As [`Self::file_changed`] for all files that are others than before, where nobody has looked
    /// for so long.
    pub fn look_every(&mut self, every: Duration, now: Instant) -> bool {
        if now < self.looked_at + every {
            return false;
        }
        self.looked_at = now;
        self.in_force.read_again(Which::Changed) && self.renew()
    }

    /// Makes a new ticket key, if it is time; says whether it has.
    pub fn rotate(&mut self, now: Instant) -> bool {
        if now < self.rotate_at {
            return false;
        }
        self.rotate_at = now + rotation();
        match self.tickets.rotated() {
            Ok(rotated) => self.tickets = rotated,
            Err(error) => {
                tracing::error!(%error, "session tickets: the key is not replaced");
                return false;
            }
        }
        self.renew()
    }

    fn renew(&mut self) -> bool {
        match TlsServices::make(&self.in_force, &self.tickets, self.workers) {
            Ok(services) => {
                self.in_force.services = services;
                true
            }
            Err(error) => {
                tracing::error!(%error, "certificates are not replaced");
                false
            }
        }
    }

    /// Says once a day which certificates are about to expire; at the start the configuration does.
    pub fn warn_of_expiry(&mut self, now: Instant) {
        if now < self.said_at + SAID_EVERY {
            return;
        }
        self.said_at = now;
        for (files, identity) in self.in_force.identities.all() {
            if let Some(what) = time_left(identity).warning() {
                tracing::warn!(certificate = %files.chain.display(), "{what}");
            }
        }
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> Vec<CertificateStatus> {
        let Prepared { listeners, upstreams, trusted, authorities, .. } = &self.in_force;
        let mut status = Vec::new();
        for listener in listeners {
            let owner = TlsOwner::Listener(listener.name.clone());
            let shown = listener.tls.certificates.iter();
            status.extend(shown.map(|files| self.shown(&owner, files)));
            let trust = listener.trust().into_iter();
            status.extend(trust.map(|files| {
                CertificateStatus::of_file(&owner, &files.authorities, trusted.failure(files))
            }));
        }
        for upstream in upstreams {
            let owner = TlsOwner::Upstream(upstream.name.clone());
            let shown = upstream.tls.identity.iter();
            status.extend(shown.map(|files| self.shown(&owner, files)));
            let believed = upstream.tls.authorities.iter();
            status.extend(believed.map(|file| {
                CertificateStatus::of_file(&owner, &file.path, authorities.failure(file))
            }));
        }
        status
    }

    fn shown(&self, owner: &TlsOwner, files: &CertificateFiles) -> CertificateStatus {
        let identities = &self.in_force.identities;
        let certificate = identities.get(files).certificate();
        let shown = Shown {
            names: certificate.hosts().map(str::to_owned).collect(),
            not_after: certificate.not_after,
        };
        let failure = identities.failure(files);
        let status = CertificateStatus::of_file(owner, &files.chain, failure);
        CertificateStatus { shown: Some(shown), ..status }
    }
}

impl TlsListener {
    /// Where it is said whose certificates its clients may show.
    fn trust(&self) -> Option<&TrustFiles> {
        self.tls.clients.as_ref().map(|clients| &clients.files)
    }
}

impl Source for CertificateFiles {
    type Good = Identity;

    fn paths(&self) -> Vec<&Path> {
        self.paths().collect()
    }

    fn read(&self) -> Result<Identity, CertificateError> {
        read(self)
    }

    fn differ(one: &Identity, other: &Identity) -> bool {
        one.differs_from(other)
    }
}

impl Source for TrustFiles {
    type Good = Trust;

    fn paths(&self) -> Vec<&Path> {
        self.paths().collect()
    }

    fn read(&self) -> Result<Trust, CertificateError> {
        read_trust(self)
    }

    fn differ(one: &Trust, other: &Trust) -> bool {
        one.differs_from(other)
    }
}

impl Source for AuthorityFile {
    type Good = Authorities;

    fn paths(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn read(&self) -> Result<Authorities, CertificateError> {
        read_authorities(self)
    }

    fn differ(one: &Authorities, other: &Authorities) -> bool {
        one.differs_from(other)
    }
}

fn rotation() -> Duration {
    Duration::from_secs(ROTATION_SECONDS.into())
}

impl From<NoRandom> for CertificateError {
    fn from(_: NoRandom) -> Self {
        Self::NoRandom
    }
}

#[cfg(test)]
mod tests;
