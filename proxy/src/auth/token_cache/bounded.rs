//! A map of tokens bounded in entries and bytes, with eviction in constant time.
//!
//! Entries lie densely in a vector; the table holds their positions. A clock hand looks at a few
//! entries and evicts the first that was not used since it last came by, or else the last it
//! looked at.

use hashbrown::HashTable;

use super::{Query, Usage};
use crate::snapshot::ids::{Generation, ProviderId};

/// Bytes that the entries together may hold, for each entry allowed: four times what a token of
/// 700 bytes takes with its claims, so that only unusually long ones feel it.
const BYTES_PER_ENTRY: usize = 10 * 1024;

/// Entries that the clock hand looks at for one eviction.
const SWEEP: usize = 8;

pub(super) struct Bounded<V> {
    table: HashTable<u32>,
    entries: Vec<Entry<V>>,
    hand: usize,
    bytes: usize,
    entries_max: usize,
    evicted: u64,
}

pub(super) struct Entry<V> {
    hash: u64,
    token: Box<[u8]>,
    provider: ProviderId,
    generation: Generation,
    value: V,
    bytes: usize,
    used: bool,
}

impl<V> Entry<V> {
    /// `heap_bytes` is what the value holds beside itself.
    pub(super) fn new(
        query: &Query<'_>,
        provider: ProviderId,
        value: V,
        heap_bytes: usize,
    ) -> Self {
        Self {
            hash: query.hash,
            token: query.token.into(),
            provider,
            generation: query.generation,
            value,
            bytes: query.token.len() + heap_bytes,
            used: false,
        }
    }
}

impl<V> Bounded<V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            table: HashTable::new(),
            entries: Vec::new(),
            hand: 0,
            bytes: 0,
            entries_max,
            evicted: 0,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { entries: self.entries.len(), evicted: self.evicted }
    }

    /// The value of this token for one of these providers in this generation.
    pub(super) fn find(&mut self, query: &Query<'_>, providers: &[ProviderId]) -> Option<&V> {
        let position = self.position(query, |entry| {
            entry.generation == query.generation && providers.contains(&entry.provider)
        })?;
        let entry = &mut self.entries[position];
        entry.used = true;
        Some(&entry.value)
    }

    pub(super) fn remove(&mut self, query: &Query<'_>, providers: &[ProviderId]) {
        if let Some(position) = self.position(query, |entry| providers.contains(&entry.provider)) {
            self.remove_at(position);
        }
    }

    /// Adds an entry in place of one of the same token and provider, making room for it.
    pub(super) fn insert(&mut self, entry: Entry<V>) {
        let bytes_max = self.entries_max.saturating_mul(BYTES_PER_ENTRY);
        if self.entries_max == 0 || entry.bytes > bytes_max {
            return;
        }
        let query = Query { token: &entry.token, hash: entry.hash, generation: entry.generation };
        self.remove(&query, &[entry.provider]);
        while self.entries.len() >= self.entries_max || self.bytes + entry.bytes > bytes_max {
            self.evict(entry.generation);
        }
        self.bytes += entry.bytes;
        // Not more entries than a configured number, which fits.
        let position = self.entries.len() as u32;
        let hash = entry.hash;
        self.entries.push(entry);
        let entries = &self.entries;
        self.table.insert_unique(hash, position, |position| entries[*position as usize].hash);
    }

    fn position(&self, query: &Query<'_>, accept: impl Fn(&Entry<V>) -> bool) -> Option<usize> {
        self.table
            .find(query.hash, |position| {
                let entry = &self.entries[*position as usize];
                entry.hash == query.hash && *entry.token == *query.token && accept(entry)
            })
            .map(|position| *position as usize)
    }

    /// Removes one entry; there must be one. Those of another generation are never found again.
    fn evict(&mut self, generation: Generation) {
        let mut victim = 0;
        for _ in 0..SWEEP {
            self.hand = if self.hand < self.entries.len() { self.hand } else { 0 };
            victim = self.hand;
            let entry = &mut self.entries[victim];
            if entry.generation != generation || !entry.used {
                break;
            }
            entry.used = false;
            self.hand += 1;
        }
        self.evicted += 1;
        // Past the gap: the entry that fills it is the newest, and has its round to come.
        self.hand = victim + 1;
        self.remove_at(victim);
    }

    fn remove_at(&mut self, position: usize) {
        self.unlink(position, self.entries[position].hash);
        let last = self.entries.len() - 1;
        if position != last {
            let hash = self.entries[last].hash;
            self.unlink(last, hash);
            let entries = &self.entries;
            self.table.insert_unique(hash, position as u32, |p| entries[*p as usize].hash);
        }
        self.bytes -= self.entries.swap_remove(position).bytes;
    }

    fn unlink(&mut self, position: usize, hash: u64) {
        if let Ok(found) = self.table.find_entry(hash, |p| *p as usize == position) {
            found.remove();
        }
    }
}
