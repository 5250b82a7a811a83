//! The cells that tell what a worker's token cache does.

use crate::auth::{CacheFigures, Usage};
use crate::telemetry::counters::{CounterBlock, CounterId, Family, Kind, OutOfCells, Registry};

static LOOKUPS: Family = Family {
    name: "ringgate_token_cache_lookups",
    help: "Tokens looked up: known as good, known as bad, or to be verified.",
    kind: Kind::Counter,
    labels: &["result"],
};
static EVICTIONS: Family = Family {
    name: "ringgate_token_cache_evictions",
    help: "Tokens that had to make room for others of their kind.",
    kind: Kind::Counter,
    labels: &["kind"],
};
static ENTRIES: Family = Family {
    name: "ringgate_token_cache_entries",
    help: "Tokens in the cache.",
    kind: Kind::Gauge,
    labels: &["kind"],
};

/// The cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenCacheCounters {
    hits_good: CounterId,
    hits_bad: CounterId,
    misses: CounterId,
    good: UsageCounters,
    bad: UsageCounters,
}

#[derive(Debug, Clone, Copy)]
struct UsageCounters {
    entries: CounterId,
    evicted: CounterId,
}

impl TokenCacheCounters {
    pub(super) fn register(registry: &mut Registry) -> Result<Self, OutOfCells> {
        Ok(Self {
            hits_good: registry.cell(&LOOKUPS, &["good"])?,
            hits_bad: registry.cell(&LOOKUPS, &["bad"])?,
            misses: registry.cell(&LOOKUPS, &["miss"])?,
            good: UsageCounters::register(registry, "good")?,
            bad: UsageCounters::register(registry, "bad")?,
        })
    }

    /// Publishes what the cache has counted itself.
    pub(super) fn publish(&self, block: &CounterBlock, figures: CacheFigures) {
        block.set(self.hits_good, figures.hits_good);
        block.set(self.hits_bad, figures.hits_bad);
        block.set(self.misses, figures.misses);
        self.good.publish(block, figures.good);
        self.bad.publish(block, figures.bad);
    }
}

impl UsageCounters {
    fn register(registry: &mut Registry, kind: &str) -> Result<Self, OutOfCells> {
        let entries = registry.cell(&ENTRIES, &[kind])?;
        Ok(Self { entries, evicted: registry.cell(&EVICTIONS, &[kind])? })
    }

    fn publish(self, block: &CounterBlock, usage: Usage) {
        block.set(self.entries, usage.entries as u64);
        block.set(self.evicted, usage.evicted);
    }
}
