//! The certificates of listeners and the keys of their session tickets: read, watched, replaced.
//!
//! ```text
//! reload            -> prepare (all that can fail) -> take --+
//! a file changes    -> read: good -> replace ----------------+--> services -> the next snapshot
//!                            bad  -> keep the old, say why   |
//! every six hours   -> a new ticket key ---------------------+
//! ```
//!
//! Whoever has a session goes on with it: a service is only what the next handshake is made by.

mod read;
mod remaining;

pub use read::{CertificateError, read};
pub use remaining::{TimeLeft, time_left};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{CertificateFiles, Config, TlsConfig, share};
use super::jwks::fingerprint::Fingerprint;
use super::status::CertificateStatus;
use crate::snapshot::tls::{TlsBounds, TlsService};
use crate::tls::{Identity, NoRandom, ROTATION_SECONDS, ServerRules, TicketKeys, server};

/// What the listeners with TLS do, by their configured address.
pub type TlsServices = HashMap<SocketAddr, Arc<TlsService>>;

/// How often it is said that a certificate is about to expire.
const SAID_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The certificates that listeners show, and the keys of tickets.
#[derive(Debug)]
pub struct Certificates {
    workers: usize,
    held: HashMap<CertificateFiles, Held>,
    listeners: Vec<TlsListener>,
    tickets: TicketKeys,
    rotate_at: Instant,
    services: TlsServices,
    looked_at: Instant,
    said_at: Instant,
}

/// A certificate that is shown.
#[derive(Debug, Clone)]
struct Held {
    identity: Arc<Identity>,
    seen: Vec<Option<Fingerprint>>,
    /// Why the files are not what is shown, if they are not.
    failure: Option<String>,
}

/// A listener with TLS.
#[derive(Debug, Clone)]
struct TlsListener {
    name: Box<str>,
    address: SocketAddr,
    is_http: bool,
    tls: TlsConfig,
}

/// What a configuration asks for, all of it good.
#[derive(Debug)]
pub struct Prepared {
    held: HashMap<CertificateFiles, Held>,
    listeners: Vec<TlsListener>,
    services: TlsServices,
}

impl Prepared {
    /// What the listeners will do.
    #[must_use]
    pub fn services(&self) -> &TlsServices {
        &self.services
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
            held: HashMap::new(),
            listeners: Vec::new(),
            tickets: TicketKeys::new()?,
            rotate_at: now + rotation(),
            services: HashMap::new(),
            looked_at: now,
            said_at: now,
        };
        let prepared = this.prepare(config)?;
        this.take(prepared);
        Ok(this)
    }

    /// What the listeners do now.
    #[must_use]
    pub fn services(&self) -> &TlsServices {
        &self.services
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
        let mut held = HashMap::new();
        for files in listeners.iter().flat_map(|listener| &listener.tls.certificates) {
            if !held.contains_key(files) {
                held.insert(files.clone(), Held::read(files, self.held.get(files))?);
            }
        }
        let services = services(&listeners, &held, &self.tickets, self.workers)?;
        Ok(Prepared { held, listeners, services })
    }

    /// Takes what was prepared.
    pub fn take(&mut self, prepared: Prepared) {
        Prepared { held: self.held, listeners: self.listeners, services: self.services } = prepared;
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.held.keys().flat_map(CertificateFiles::paths)
    }

    /// Reads again what a file belongs to; says whether a listener shows something else now.
    pub fn file_changed(&mut self, path: &Path) -> bool {
        let is_concerned =
            |files: &CertificateFiles, _: &Held| files.paths().any(|one| one == path);
        self.read_again(is_concerned)
    }

    /// As [`Self::file_changed`] for all files that are others than before, where nobody has looked
    /// for so long.
    pub fn look_every(&mut self, every: Duration, now: Instant) -> bool {
        if now < self.looked_at + every {
            return false;
        }
        self.looked_at = now;
        self.read_again(|files, held| held.seen != seen(files))
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

    fn read_again(&mut self, which: impl Fn(&CertificateFiles, &Held) -> bool) -> bool {
        let mut any = false;
        for (files, held) in &mut self.held {
            if !which(files, held) {
                continue;
            }
            match Held::read(files, Some(held)) {
                Ok(now) => {
                    if now.identity.differs_from(&held.identity) {
                        tracing::info!(certificate = %files.chain.display(), "replaced");
                        any = true;
                    }
                    *held = now;
                }
                // It has one to fall back on.
                Err(error) => tracing::error!(%error, "a certificate is not replaced"),
            }
        }
        any && self.renew()
    }

    fn renew(&mut self) -> bool {
        match services(&self.listeners, &self.held, &self.tickets, self.workers) {
            Ok(services) => {
                self.services = services;
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
        for (files, held) in &self.held {
            if let Some(what) = time_left(&held.identity).warning() {
                tracing::warn!(certificate = %files.chain.display(), "{what}");
            }
        }
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> Vec<CertificateStatus> {
        let of_listener = |listener: &TlsListener| {
            let (name, files) = (listener.name.to_string(), listener.tls.certificates.clone());
            files.into_iter().map(move |files| (name.clone(), files))
        };
        let shown = self.listeners.iter().flat_map(of_listener);
        let status = shown.filter_map(|(listener, files)| {
            let held = self.held.get(&files)?;
            let certificate = held.identity.certificate();
            Some(CertificateStatus {
                listener,
                file: files.chain.display().to_string(),
                names: certificate.hosts().map(str::to_owned).collect(),
                not_after: certificate.not_after,
                failure: held.failure.clone(),
            })
        });
        status.collect()
    }
}

impl Held {
    /// What the files have, or what was last read of them.
    fn read(files: &CertificateFiles, before: Option<&Self>) -> Result<Self, CertificateError> {
        // Before they are read: what changes meanwhile is looked at again.
        let seen = seen(files);
        match (read(files), before) {
            (Ok(identity), _) => Ok(Self { identity: Arc::new(identity), seen, failure: None }),
            (Err(error), Some(before)) => {
                let error = error.to_string();
                if before.failure.as_ref() != Some(&error) {
                    tracing::error!("{error}; the certificate that was there before stays");
                }
                let identity = Arc::clone(&before.identity);
                Ok(Self { identity, seen, failure: Some(error) })
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn seen(files: &CertificateFiles) -> Vec<Option<Fingerprint>> {
    files.paths().map(|path| Fingerprint::of(path).ok()).collect()
}

fn rotation() -> Duration {
    Duration::from_secs(ROTATION_SECONDS.into())
}

/// Makes what the listeners do of what they show.
fn services(
    listeners: &[TlsListener],
    held: &HashMap<CertificateFiles, Held>,
    tickets: &TicketKeys,
    workers: usize,
) -> Result<TlsServices, CertificateError> {
    let mut services = HashMap::with_capacity(listeners.len());
    for TlsListener { name, address, is_http, tls } in listeners {
        let shown = tls.certificates.iter().filter_map(|files| held.get(files));
        let identities: Vec<_> = shown.map(|held| Arc::clone(&held.identity)).collect();
        let rules = ServerRules {
            listener: &address.to_string(),
            identities: &identities,
            unknown_name: tls.unknown_name,
            profile: tls.profile,
            is_http: *is_http,
            tickets,
        };
        let (config, context) = server(&rules)
            .map_err(|source| CertificateError::Refused { listener: name.clone(), source })?;
        let bounds = TlsBounds {
            handshake: tls.handshake,
            handshakes_per_worker: share(tls.handshakes, workers),
        };
        services.insert(*address, Arc::new(TlsService { config, context, bounds }));
    }
    Ok(services)
}

impl From<NoRandom> for CertificateError {
    fn from(_: NoRandom) -> Self {
        Self::NoRandom
    }
}

#[cfg(test)]
mod tests;
