//! What was read of files last, if it was good.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use super::CertificateError;
use crate::control::jwks::fingerprint::Fingerprint;

/// Files that something is read of.
pub(super) trait Source: Clone + Eq + Hash {
    /// What that is.
    type Good;

    /// All of them.
    fn paths(&self) -> Vec<&Path>;

    /// Reads them.
    fn read(&self) -> Result<Self::Good, CertificateError>;

    /// Whether one is another than the other.
    fn differ(one: &Self::Good, other: &Self::Good) -> bool;
}

/// What was read of files of one kind.
#[derive(Debug)]
pub(super) struct Shelf<S: Source>(HashMap<S, Held<S::Good>>);

#[derive(Debug)]
struct Held<T> {
    good: Arc<T>,
    seen: Vec<Option<Fingerprint>>,
    /// Why the files are not what counts, if they are not.
    failure: Option<String>,
}

impl<S: Source> Default for Shelf<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Source> Shelf<S> {
    /// Reads what is wanted. Files that are no good are replaced by what `before` has of them; why is
    /// said.
    ///
    /// # Errors
    /// When that has nothing.
    pub(super) fn read<'s>(
        wanted: impl Iterator<Item = &'s S>,
        before: &Self,
    ) -> Result<Self, CertificateError>
    where
        S: 's,
    {
        let mut read = HashMap::new();
        for files in wanted {
            if let Entry::Vacant(place) = read.entry(files.clone()) {
                place.insert(Held::read(files, before.0.get(files))?);
            }
        }
        Ok(Self(read))
    }

    /// What was read of them, all of which were wanted.
    pub(super) fn get(&self, files: &S) -> &Arc<S::Good> {
        &self.0.get(files).expect("read before").good
    }

    /// Why the files are not what counts, if they are not.
    pub(super) fn failure(&self, files: &S) -> Option<&str> {
        self.0.get(files)?.failure.as_deref()
    }

    /// All that was read.
    pub(super) fn all(&self) -> impl Iterator<Item = (&S, &Arc<S::Good>)> {
        self.0.iter().map(|(files, held)| (files, &held.good))
    }

    /// All files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().flat_map(S::paths)
    }

    /// Reads the files again that `which` picks; says whether something else counts now.
    pub(super) fn read_again(&mut self, which: Which<'_>) -> bool {
        let mut any = false;
        for (files, held) in &mut self.0 {
            let is_picked = match which {
                Which::With(path) => files.paths().contains(&path),
                Which::Changed => held.seen != seen(files),
            };
            any |= is_picked && held.renew(files);
        }
        any
    }
}

/// Which files to read again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// Those of which this is one.
    With(&'a Path),
    /// Those that are others than they were.
    Changed,
}

impl<T> Held<T> {
    fn read<S: Source<Good = T>>(
        files: &S,
        before: Option<&Self>,
    ) -> Result<Self, CertificateError> {
        // Before they are read: what changes meanwhile is looked at again.
        let seen = seen(files);
        match (files.read(), before) {
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

    fn renew<S: Source<Good = T>>(&mut self, files: &S) -> bool {
        match Self::read(files, Some(self)) {
            Ok(now) => {
                let is_new = S::differ(&now.good, &self.good);
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

fn seen<S: Source>(files: &S) -> Vec<Option<Fingerprint>> {
    files.paths().into_iter().map(|path| Fingerprint::of(path).ok()).collect()
}
