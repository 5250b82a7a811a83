//! The certificates of listeners, whose certificates their clients may show, and the keys of session
//! tickets: read, watched, replaced.
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

pub use read::{CertificateError, read, read_trust};
pub use remaining::{TimeLeft, time_left};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{CertificateFiles, Config, TlsConfig, TrustFiles, share};
use super::jwks::fingerprint::Fingerprint;
use super::status::CertificateStatus;
use crate::snapshot::tls::{TlsBounds, TlsService};
use crate::tls::{Identity, NoRandom, ROTATION_SECONDS, ServerRules, TicketKeys, Trust, server};

/// What the listeners with TLS do, by their configured address.
pub type TlsServices = HashMap<SocketAddr, Arc<TlsService>>;

/// How often it is said that a certificate is about to expire.
const SAID_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The certificates that listeners show, and the keys of tickets.
#[derive(Debug)]
pub struct Certificates {
    workers: usize,
    in_force: Prepared,
    tickets: TicketKeys,
    rotate_at: Instant,
    looked_at: Instant,
    said_at: Instant,
}

/// What was read of files last, if it was good.
#[derive(Debug)]
struct Held<T> {
    good: Arc<T>,
    seen: Vec<Option<Fingerprint>>,
    /// Why the files are not what counts, if they are not.
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
#[derive(Debug, Default)]
pub struct Prepared {
    held: HashMap<CertificateFiles, Held<Identity>>,
    trusted: HashMap<TrustFiles, Held<Trust>>,
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

    /// What the listeners do now.
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
        let mut held = HashMap::new();
        for files in listeners.iter().flat_map(|listener| &listener.tls.certificates) {
            if !held.contains_key(files) {
                let before = self.in_force.held.get(files);
                held.insert(files.clone(), Held::read(files.paths(), || read(files), before)?);
            }
        }
        let mut trusted = HashMap::new();
        for files in listeners.iter().filter_map(TlsListener::trust) {
            if !trusted.contains_key(files) {
                let before = self.in_force.trusted.get(files);
                let one = Held::read(files.paths(), || read_trust(files), before)?;
                trusted.insert(files.clone(), one);
            }
        }
        let mut prepared = Prepared { held, trusted, listeners, services: HashMap::new() };
        prepared.services = services(&prepared, &self.tickets, self.workers)?;
        Ok(prepared)
    }

    /// Takes what was prepared.
    pub fn take(&mut self, prepared: Prepared) {
        self.in_force = prepared;
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let shown = self.in_force.held.keys().flat_map(CertificateFiles::paths);
        shown.chain(self.in_force.trusted.keys().flat_map(TrustFiles::paths))
    }

    /// Reads again what a file belongs to; says whether a listener does something else now.
    pub fn file_changed(&mut self, path: &Path) -> bool {
        self.read_again(|paths, _| paths.contains(&path))
    }

    /// As [`Self::file_changed`] for all files that are others than before, where nobody has looked
    /// for so long.
    pub fn look_every(&mut self, every: Duration, now: Instant) -> bool {
        if now < self.looked_at + every {
            return false;
        }
        self.looked_at = now;
        self.read_again(|paths, before| before != seen(paths.iter().copied()))
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

    /// Reads the files again that `which` picks by their paths and what was seen of them.
    fn read_again(&mut self, which: impl Fn(&[&Path], &[Option<Fingerprint>]) -> bool) -> bool {
        let mut any = false;
        for (files, held) in &mut self.in_force.held {
            if which(&files.paths().collect::<Vec<_>>(), &held.seen) {
                any |= held.renew(files.paths(), || read(files), Identity::differs_from);
            }
        }
        for (files, held) in &mut self.in_force.trusted {
            if which(&files.paths().collect::<Vec<_>>(), &held.seen) {
                any |= held.renew(files.paths(), || read_trust(files), Trust::differs_from);
            }
        }
        any && self.renew()
    }

    fn renew(&mut self) -> bool {
        match services(&self.in_force, &self.tickets, self.workers) {
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
        for (files, held) in &self.in_force.held {
            if let Some(what) = time_left(&held.good).warning() {
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
        let shown = self.in_force.listeners.iter().flat_map(of_listener);
        let status = shown.filter_map(|(listener, files)| {
            let held = self.in_force.held.get(&files)?;
            let certificate = held.good.certificate();
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

impl TlsListener {
    /// Where it is said whose certificates its clients may show.
    fn trust(&self) -> Option<&TrustFiles> {
        self.tls.clients.as_ref().map(|clients| &clients.files)
    }
}

impl<T> Held<T> {
    /// What the files have, or what was last read of them.
    fn read<'p>(
        paths: impl Iterator<Item = &'p Path>,
        read: impl FnOnce() -> Result<T, CertificateError>,
        before: Option<&Self>,
    ) -> Result<Self, CertificateError> {
        // Before they are read: what changes meanwhile is looked at again.
        let seen = seen(paths);
        match (read(), before) {
            (Ok(good), _) => Ok(Self { good: Arc::new(good), seen, failure: None }),
            (Err(error), Some(before)) => {
                let error = error.to_string();
                if before.failure.as_ref() != Some(&error) {
                    tracing::error!("{error}; what was there before stays");
                }
                Ok(Self { good: Arc::clone(&before.good), seen, failure: Some(error) })
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Reads the files again; says whether something else counts now.
    fn renew<'p>(
        &mut self,
        paths: impl Iterator<Item = &'p Path>,
        read: impl FnOnce() -> Result<T, CertificateError>,
        differs: impl Fn(&T, &T) -> bool,
    ) -> bool {
        match Self::read(paths, read, Some(self)) {
            Ok(now) => {
                let is_new = differs(&now.good, &self.good);
                if is_new {
                    tracing::info!("certificates have been replaced");
                }
                *self = now;
                is_new
            }
            // It has something to fall back on.
            Err(error) => {
                tracing::error!(%error, "certificates are not replaced");
                false
            }
        }
    }
}

fn seen<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<Option<Fingerprint>> {
    paths.map(|path| Fingerprint::of(path).ok()).collect()
}

fn rotation() -> Duration {
    Duration::from_secs(ROTATION_SECONDS.into())
}

/// Makes what the listeners do of what they show.
fn services(
    of: &Prepared,
    tickets: &TicketKeys,
    workers: usize,
) -> Result<TlsServices, CertificateError> {
    let mut services = HashMap::with_capacity(of.listeners.len());
    for listener in &of.listeners {
        let TlsListener { name, address, is_http, tls } = listener;
        let shown = tls.certificates.iter().filter_map(|files| of.held.get(files));
        let identities: Vec<_> = shown.map(|held| Arc::clone(&held.good)).collect();
        let trust = listener.trust().map(|files| {
            let held = of.trusted.get(files);
            // Whoever asks for certificates is never served without.
            &*held.expect("read before").good
        });
        let rules = ServerRules {
            listener: &address.to_string(),
            identities: &identities,
            unknown_name: tls.unknown_name,
            profile: tls.profile,
            trust,
            is_http: *is_http,
            tickets,
        };
        let (config, context) = server(&rules)
            .map_err(|source| CertificateError::Refused { listener: name.clone(), source })?;
        let bounds = TlsBounds {
            handshake: tls.handshake,
            handshakes_per_worker: share(tls.handshakes, workers),
        };
        let fields = tls.clients.as_ref().map(|clients| clients.fields.clone());
        let certificate_fields = fields.unwrap_or_default();
        let service = TlsService { config, context, bounds, certificate_fields };
        services.insert(*address, Arc::new(service));
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
