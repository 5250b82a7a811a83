//! What the control thread tells the admin listener: one record behind a mutex that no worker
//! ever touches.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::assists::Report;
use super::jwks::parse::IgnoredKey;
use super::jwks::source::kids;
use crate::kernel::FrameCounters;
use crate::snapshot::Snapshot;
use crate::snapshot::ids::Generation;
use crate::snapshot::key_set::{KeySet, VerificationKey};
use crate::snapshot::peers::BanMode;
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
    /// The number of the snapshot published last.
    pub published: Generation,
    /// The snapshot published last; none before the first.
    pub snapshot: Option<Arc<Snapshot>>,
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
    /// The deny list.
    pub deny_list: DenyListStatus,
    /// What the kernel helps with.
    pub assists: Vec<Report>,
    /// Where the shield counts frames, if it is on.
    pub frames: Option<FrameCounters>,
    /// Bans for forged tokens, where there are any to be.
    pub bans: Option<BanStatus>,
    /// The files of certificates, in configured order.
    pub certificates: Vec<CertificateStatus>,
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
        let missing = self.providers.iter().filter(|provider| provider.is_missing());
        missing.map(|provider| provider.name.as_str())
    }

    /// Whether every worker has the keys. A change of keys later on makes no worker lack any, so
    /// it is no reason to send traffic elsewhere.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.oldest_running >= self.complete_since
    }
}

/// What there is to tell about a file of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Who speaks TLS by it.
    pub owner: TlsOwner,
    /// The file.
    pub file: String,
    /// What is shown of it; none where it has authorities to believe.
    pub shown: Option<Shown>,
    /// Why the file is not what counts, if it is not.
    pub failure: Option<String>,
}

/// Who speaks TLS, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsOwner {
    /// A listener, with its clients.
    Listener(Box<str>),
    /// An upstream's endpoints, with the gateway.
    Upstream(Box<str>),
}

/// A certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// Seconds since 1970, up to which it is valid.
    pub not_after: i64,
}

impl CertificateStatus {
    /// Of a file that has nothing to show.
    #[must_use]
    pub fn of_file(owner: &TlsOwner, file: &Path, failure: Option<&str>) -> Self {
        Self {
            owner: owner.clone(),
            file: file.display().to_string(),
            shown: None,
            failure: failure.map(str::to_owned),
        }
    }
}

/// What there is to tell about bans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanStatus {
    /// Whether they refuse.
    pub mode: BanMode,
    /// Those that hold.
    pub active: usize,
    /// Begun in shadow mode since the start.
    pub begun_in_shadow: u64,
    /// Begun in force since the start.
    pub begun_enforced: u64,
}

/// What there is to tell about the deny list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyListStatus {
    /// Entries of the file.
    pub file_entries: usize,
    /// Entries of operators.
    pub admin_entries: usize,
    /// Why the file was not read, while it is bad.
    pub file_error: Option<String>,
    /// How often it became bad.
    pub file_failures: u64,
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
    /// Where the keys come from, in order; never empty.
    pub sources: Vec<SourceStatus>,
    /// Grows with every change of the keys in use; 0 before the first load.
    pub generation: u64,
    /// The keys in use; none before the first load and when they are too old.
    pub keys: Option<Arc<KeySet>>,
    /// Keys in use beside these though their set has them no more.
    pub lingering: Vec<LingeringKey>,
    /// When the keys were last known to be the issuer's, on both clocks.
    pub confirmed: Option<(Instant, SystemTime)>,
    /// Whether keys were there and are too old to be used.
    pub expired: bool,
}

impl ProviderStatus {
    /// Whether a route asks for it and it has no keys.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.needed && self.keys.is_none()
    }

    /// The source whose keys are in use, or the first.
    #[must_use]
    pub fn active(&self) -> Option<&SourceStatus> {
        self.sources.iter().find(|source| source.in_use).or_else(|| self.sources.first())
    }

    /// How many keys are in use.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.as_ref().map_or(0, |keys| keys.len())
    }

    /// Their names.
    #[must_use]
    pub fn kids(&self) -> Vec<String> {
        self.keys.as_deref().map(kids).unwrap_or_default()
    }

    /// Of all its sources.
    #[must_use]
    pub fn fetches(&self) -> FetchCounts {
        let each = self.sources.iter().map(|source| source.fetches);
        each.fold(FetchCounts::default(), FetchCounts::plus)
    }

    /// Why the last fetch of a source failed, where it did.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.sources.iter().find_map(|source| source.last_error.as_deref())
    }
}

/// A key that has vanished from its set and is still used.
#[derive(Debug, Clone)]
pub struct LingeringKey {
    /// The key.
    pub key: VerificationKey,
    /// When it ends.
    pub until: Instant,
}

/// One source of a provider's keys.
#[derive(Debug, Clone)]
pub struct SourceStatus {
    /// Where it is, without credentials or query.
    pub place: String,
    /// Whether the provider's keys are its.
    pub in_use: bool,
    /// Grows with every change of its keys; 0 before the first load.
    pub generation: u64,
    /// Its usable keys.
    pub keys: usize,
    /// Keys of its set that cannot be used.
    pub ignored: Arc<[IgnoredKey]>,
    /// When its keys were last known to be the issuer's, on both clocks.
    pub confirmed: Option<(Instant, SystemTime)>,
    /// When it is fetched next.
    pub refresh: NextRefresh,
    /// Why the last fetch failed, where it did.
    pub last_error: Option<String>,
    /// How fetches ended.
    pub fetches: FetchCounts,
}

/// When a source is fetched next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRefresh {
    /// Never: it is in the configuration.
    Never,
    /// It is being fetched.
    InFlight,
    /// Then.
    At(Instant),
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
