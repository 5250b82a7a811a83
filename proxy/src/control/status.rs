//! What the control thread tells the admin listener: one record behind a mutex that no worker
//! ever touches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::Value;

use crate::snapshot::ids::Generation;
use crate::telemetry::counters::Cell;

/// The shared record.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Running>>);

impl Status {
    /// The record, for a short look or change.
    pub fn lock(&self) -> MutexGuard<'_, Running> {
        // Every change is one assignment, so a record left by a panic is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs now.
#[derive(Debug, Default)]
pub struct Running {
    /// The snapshot published last.
    pub published: Generation,
    /// The oldest snapshot that a worker still runs.
    pub oldest_running: Generation,
    /// The snapshot that first had keys for every provider that a route asks for.
    pub complete_since: Generation,
    /// Configurations taken since start, the first included.
    pub config_generation: u64,
    /// What became of each reload, and of the last.
    pub reloads: Reloads,
    /// Whether SIGTERM has come.
    pub draining: bool,
    /// Every provider, in configured order.
    pub providers: Vec<ProviderStatus>,
    /// Names that do not resolve, with the reason.
    pub unresolved: Vec<(String, String)>,
    /// The part of `/config` that only a reload changes.
    pub config: Value,
    /// The cells that workers count in.
    pub cells: Vec<Cell>,
}

impl Running {
    /// Providers that a route asks for and that have no keys.
    pub fn missing_providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().filter(|p| p.needed && p.keys == 0).map(|p| p.name.as_str())
    }

    /// Whether every worker has the keys. A change of keys later on makes no worker lack any, so
    /// it is no reason to send traffic elsewhere.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.oldest_running >= self.complete_since
    }
}

/// How reloads ended.
#[derive(Debug, Default, Clone)]
pub struct Reloads {
    /// Applied.
    pub applied: u64,
    /// Refused, with nothing changed.
    pub refused: u64,
    /// Why the last one was refused, until one is applied.
    pub last_error: Option<String>,
}

/// One provider's keys.
#[derive(Debug, Clone, Default)]
pub struct ProviderStatus {
    /// As configured.
    pub name: String,
    /// Whether a route asks for it.
    pub needed: bool,
    /// Where the keys come from, without credentials or query.
    pub source: String,
    /// Grows with every change of the keys; 0 before the first load.
    pub generation: u64,
    /// Usable keys.
    pub keys: usize,
    /// Their ids.
    pub kids: Vec<String>,
    /// Keys that cannot be used: `kid` where there is one, and why.
    pub ignored: Vec<(Option<String>, String)>,
    /// When the keys were last known to be the issuer's, on both clocks.
    pub confirmed: Option<(Instant, SystemTime)>,
    /// Why the last fetch failed, where it did.
    pub last_error: Option<String>,
    /// Whether keys were there and are too old to be used.
    pub expired: bool,
    /// How fetches ended.
    pub fetches: FetchCounts,
}

/// How the fetches of one source ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// With other keys than before.
    pub changed: u64,
    /// With the same keys, or 304.
    pub unchanged: u64,
    /// Badly; the keys before were kept.
    pub failed: u64,
}

impl FetchCounts {
    /// Of two sources together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            changed: self.changed + other.changed,
            unchanged: self.unchanged + other.unchanged,
            failed: self.failed + other.failed,
        }
    }
}
