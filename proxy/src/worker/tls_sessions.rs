//! Where a worker keeps the sessions of clients that take no tickets (RFC 5246 section 7.3): for each
//! listener apart, and over reloads, as long as what its sessions are made by is as it was.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

use crate::snapshot::tls::TlsService;
use crate::snapshot::{Listener, Snapshot};

/// Sessions of one listener on one worker; of too many the oldest are forgotten.
const SESSIONS_MAX: usize = 1024;

/// The configurations of one worker, by the listener's address.
#[derive(Debug, Default)]
pub(super) struct TlsSessions {
    of: HashMap<SocketAddr, Kept>,
}

#[derive(Debug)]
struct Kept {
    made_of: Arc<TlsService>,
    storage: Arc<dyn StoresServerSessions>,
    config: Arc<ServerConfig>,
}

impl TlsSessions {
    /// The configurations for a snapshot, by its listeners' ids.
    pub(super) fn adopt(&mut self, snapshot: &Snapshot) -> Vec<Option<Arc<ServerConfig>>> {
        let mut before = std::mem::take(&mut self.of);
        snapshot.listeners.iter().map(|listener| self.keep(listener, &mut before)).collect()
    }

    fn keep(
        &mut self,
        listener: &Listener,
        before: &mut HashMap<SocketAddr, Kept>,
    ) -> Option<Arc<ServerConfig>> {
        let service = listener.tls.as_ref()?;
        let kept = match before.remove(&listener.address) {
            Some(kept) if Arc::ptr_eq(&kept.made_of, service) => kept,
            Some(kept) if kept.made_of.context == service.context => {
                Kept::new(service, kept.storage)
            }
            Some(_) | None => Kept::new(service, ServerSessionMemoryCache::new(SESSIONS_MAX)),
        };
        let config = Arc::clone(&kept.config);
        self.of.insert(listener.address, kept);
        Some(config)
    }
}

impl Kept {
    fn new(service: &Arc<TlsService>, storage: Arc<dyn StoresServerSessions>) -> Self {
        let mut config = service.config.clone();
        config.session_storage = Arc::clone(&storage);
        Self { made_of: Arc::clone(service), storage, config: Arc::new(config) }
    }
}
