//! Every entry of the deny list: those of the file, and those that operators have added, which are
//! kept on disk over a restart where there is a place for them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::document::{self, DocumentError, Purpose};
use crate::control::config::DenyListConfig;
use crate::control::jwks::fingerprint::Fingerprint;
use crate::control::jwks::last_good::LastGood;
use crate::control::regular_file::read_at_most;
use crate::control::status::DenyListStatus;
use crate::snapshot::deny_list::{Denial, DenyList};
use crate::snapshot::unix_time::UnixTime;

/// Of a file, for each entry that it may have.
const BYTES_PER_ENTRY: usize = 1024;
/// The name of what is kept on disk.
const KEPT_AS: &str = "deny list";

/// A change that an operator asks for.
#[derive(Debug)]
pub enum Change {
    /// Adds entries; one that revokes the same replaces the one before.
    Add(Vec<Denial>),
    /// Takes out the entries with these ids.
    Remove(Vec<String>),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Entries added or taken out.
    pub entries: usize,
    /// Whether a restart will know of it.
    pub kept: bool,
}

/// More entries than there may be; nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{entries} entries would be more than jwt.deny_list.max_entries, which is {entries_max}")]
pub struct TooMany {
    entries: usize,
    entries_max: usize,
}

/// Both kinds of entries, as they are now.
#[derive(Debug)]
pub struct Listing {
    /// Of the file.
    pub of_file: Arc<Vec<Denial>>,
    /// Of operators.
    pub of_admin: Vec<Denial>,
}

/// The entries and where they come from.
#[derive(Debug, Default)]
pub struct Book {
    entries_max: usize,
    file: Option<PathBuf>,
    fingerprint: Option<Fingerprint>,
    of_file: Arc<Vec<Denial>>,
    file_error: Option<String>,
    file_failures: u64,
    kept: Option<LastGood>,
    /// By [`Denial::id`].
    of_admin: HashMap<String, Denial>,
}

impl Book {
    /// Takes the settings of a configuration and reads what they name.
    pub fn configure(&mut self, config: &DenyListConfig, directory: Option<&Path>) {
        self.entries_max = config.entries_max;
        if self.file != config.file {
            self.file.clone_from(&config.file);
            self.of_file = Arc::default();
            self.file_error = None;
        }
        self.fingerprint = None;
        self.read_file();
        let kept = directory
            .map(|at| LastGood::new(at.to_owned(), "deny", config.entries_max * BYTES_PER_ENTRY));
        if self.kept != kept {
            self.kept = kept;
            self.restore();
        }
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the file if it is another one than the last good one; true where there are other
    /// entries now. A bad one changes nothing.
    pub fn read_file(&mut self) -> bool {
        let Some(path) = self.file.clone() else { return false };
        // Taken before reading: a write in between makes the next look differ.
        let fingerprint = Fingerprint::of(&path).ok();
        if self.fingerprint.is_some() && self.fingerprint == fingerprint {
            return false;
        }
        match load(&path, self.entries_max) {
            Ok(denials) => {
                let changed = *self.of_file != denials;
                let recovered = self.file_error.take().is_some();
                if changed || recovered {
                    let entries = denials.len();
                    tracing::info!(file = %path.display(), entries, "deny list read");
                }
                self.fingerprint = fingerprint;
                self.of_file = Arc::new(denials);
                changed
            }
            Err(error) => {
                self.fingerprint = None;
                let error = error.to_string();
                if self.file_error.as_ref() != Some(&error) {
                    self.file_failures += 1;
                    let (file, kept) = (path.display(), self.of_file.len());
                    tracing::error!(%file, %error, kept, "deny list not read; entries kept");
                }
                self.file_error = Some(error);
                false
            }
        }
    }

    /// Changes the entries of operators.
    ///
    /// # Errors
    /// When there would be too many.
    pub fn change(&mut self, change: Change, now: UnixTime) -> Result<Changed, TooMany> {
        self.of_admin.retain(|_, denial| now < denial.until());
        let before = self.of_admin.len();
        let entries = match change {
            Change::Add(denials) => {
                let named: HashMap<_, _> =
                    denials.into_iter().map(|denial| (denial.id(), denial)).collect();
                let is_new = |id: &&String| !self.of_admin.contains_key(*id);
                let entries = before + named.keys().filter(is_new).count();
                if entries > self.entries_max {
                    return Err(TooMany { entries, entries_max: self.entries_max });
                }
                let added = named.len();
                self.of_admin.extend(named);
                added
            }
            Change::Remove(ids) => {
                ids.iter().for_each(|id| drop(self.of_admin.remove(id)));
                before - self.of_admin.len()
            }
        };
        Ok(Changed { entries, kept: false })
    }

    /// Writes the entries of operators to disk; whether they are there.
    pub fn keep(&self) -> bool {
        let Some(kept) = &self.kept else { return false };
        let text = document::write(self.of_admin.values());
        match kept.keep(KEPT_AS, text.as_bytes()) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the deny list of operators is not kept over a restart");
                false
            }
        }
    }

    fn restore(&mut self) {
        let Some((text, _)) = self.kept.as_ref().and_then(|kept| kept.load(KEPT_AS)) else {
            return;
        };
        match document::parse(&text, Purpose::Add, self.entries_max) {
            Ok(denials) => {
                tracing::info!(entries = denials.len(), "deny list of operators restored");
                for denial in denials {
                    self.of_admin.entry(denial.id()).or_insert(denial);
                }
            }
            Err(error) => tracing::error!(%error, "deny list of operators not restored"),
        }
    }

    /// What is in force.
    #[must_use]
    pub fn list(&self, now: UnixTime) -> DenyList {
        let all = self.of_file.iter().chain(self.of_admin.values());
        DenyList::new(all.filter(|denial| now < denial.until()))
    }

    /// All entries.
    #[must_use]
    pub fn listing(&self) -> Listing {
        let of_admin = self.of_admin.values().cloned().collect();
        Listing { of_file: Arc::clone(&self.of_file), of_admin }
    }

    /// What there is to tell.
    #[must_use]
    pub fn status(&self) -> DenyListStatus {
        DenyListStatus {
            file_entries: self.of_file.len(),
            admin_entries: self.of_admin.len(),
            file_error: self.file_error.clone(),
            file_failures: self.file_failures,
        }
    }
}

/// Why a file gives no entries.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is too long for the entries that it may have.
    #[error("more than {0} bytes")]
    TooLong(usize),
    /// It is no deny list.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The entries in a file.
///
/// # Errors
/// When it is not there, or not what it should be.
pub fn load(path: &Path, entries_max: usize) -> Result<Vec<Denial>, LoadError> {
    let bytes_max = entries_max.saturating_mul(BYTES_PER_ENTRY);
    let text = read_at_most(path, bytes_max.saturating_add(1))?;
    if text.len() > bytes_max {
        return Err(LoadError::TooLong(bytes_max));
    }
    Ok(document::parse(&text, Purpose::Add, entries_max)?)
}

/// The clock of the entries.
#[must_use]
pub fn clock() -> UnixTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::snapshot::deny_list::Revoked;

    const NOW: UnixTime = UnixTime(1_000);

    fn session(name: &str, until: i64) -> Denial {
        let revoked = Revoked::Session { issuer: "i".into(), session: name.into() };
        Denial::new(revoked, UnixTime(until))
    }

    fn book(file: Option<PathBuf>, directory: Option<&Path>, entries_max: usize) -> Book {
        let mut book = Book::default();
        book.configure(&DenyListConfig { file, entries_max }, directory);
        book
    }

    #[test]
    fn a_bad_file_keeps_the_last_good_entries_and_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deny.json");
        fs::write(&path, r#"{"entries":[{"kid":"k","until":2000}]}"#).unwrap();
        let mut book = book(Some(path.clone()), None, 10);
        assert_eq!((book.list(NOW).len(), book.status().file_error), (1, None));
        assert!(!book.read_file(), "the same");
        fs::write(&path, r#"{"entries":[{"kid":"k"}]}"#).unwrap();
        assert!(!book.read_file());
        assert_eq!((book.list(NOW).len(), book.status().file_failures), (1, 1));
        let error = book.status().file_error.unwrap();
        assert!(error.starts_with("1:13: entries[0]: does not say until when"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(!book.read_file());
        assert_eq!((book.list(NOW).len(), book.status().file_failures), (1, 2));
        fs::write(&path, r#"{"entries":[]}"#).unwrap();
        assert!(book.read_file());
        assert_eq!((book.list(NOW).len(), book.status().file_error), (0, None));
    }

    #[test]
    fn operators_add_and_take_out_within_the_bound() {
        let mut book = book(None, None, 2);
        let added = book.change(Change::Add(vec![session("a", 2000), session("b", 2000)]), NOW);
        assert_eq!(added, Ok(Changed { entries: 2, kept: false }));
        let again = book.change(Change::Add(vec![session("a", 3000)]), NOW);
        assert!(again.is_ok(), "in place of the one before");
        let over = book.change(Change::Add(vec![session("c", 2000)]), NOW);
        assert_eq!(over, Err(TooMany { entries: 3, entries_max: 2 }));
        assert_eq!(book.list(UnixTime(2500)).len(), 1, "what is over is left out");
        let later = book.change(Change::Add(vec![session("c", 4000)]), UnixTime(2500));
        assert!(later.is_ok(), "and makes room");
        let ids = [session("a", 0).id(), session("c", 0).id()];
        for expected in [2, 0] {
            let gone = book.change(Change::Remove(ids.to_vec()), NOW);
            assert_eq!(gone.map(|changed| changed.entries), Ok(expected));
        }
    }

    #[test]
    fn entries_of_operators_come_back_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut before = book(None, Some(folder.path()), 10);
        before.change(Change::Add(vec![session("a", 2000)]), NOW).unwrap();
        assert!(before.keep());
        let after = book(None, Some(folder.path()), 10);
        assert_eq!(after.listing().of_admin, [session("a", 2000)]);
        assert!(book(None, None, 10).listing().of_admin.is_empty());
    }
}
