//! Core-local counters: a flat block of cells for each worker, written by that worker alone.
//!
//! A [`Registry`] on the control side gives each pair of metric family and label values one cell
//! index, the same in every block and for the life of the process, so that a counter survives a
//! reload. A worker adds with a plain load and store: no locked instruction, no shared line. The
//! admin thread reads the same cells at any time and sums over the blocks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::{Buckets, Histogram};

/// Cells in a block. Untouched pages cost nothing: the block is allocated zeroed.
pub const CELLS_MAX: usize = 1 << 18;

/// The index of one cell, the same in every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterId(u32);

impl CounterId {
    /// The cell that is so many behind this one.
    pub(super) fn plus(self, cells: u32) -> Self {
        Self(self.0 + cells)
    }
}

/// The cells of one worker. Only that worker writes; anyone reads.
pub struct CounterBlock {
    cells: Box<[AtomicU64]>,
}

impl CounterBlock {
    /// A block with every cell at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { cells: (0..CELLS_MAX).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds to a cell. To be called by the block's one writer only: a second writer would lose
    /// counts, never memory.
    pub fn add(&self, id: CounterId, amount: u64) {
        let cell = &self.cells[id.0 as usize];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self, id: CounterId) {
        self.add(id, 1);
    }

    /// Takes one off a cell that is a gauge.
    pub fn decrement(&self, id: CounterId) {
        self.add(id, u64::MAX);
    }

    /// Sets a cell that is a gauge.
    pub fn set(&self, id: CounterId, value: u64) {
        self.cells[id.0 as usize].store(value, Ordering::Relaxed);
    }

    /// What a cell holds now.
    #[must_use]
    pub fn get(&self, id: CounterId) -> u64 {
        self.cells[id.0 as usize].load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for CounterBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CounterBlock({} cells)", self.cells.len())
    }
}

impl Default for CounterBlock {
    fn default() -> Self {
        Self::new()
    }
}

/// What a family of cells counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations by size.
    Histogram(Buckets),
}

/// A metric family: its name without the `_total` suffix, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// With the `ringgate_` prefix, without `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// Names of its labels, in the order that [`Registry::cell`] takes their values.
    pub labels: &'static [&'static str],
}

/// One cell with its meaning, for the exposition.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What it belongs to.
    pub family: &'static Family,
    /// Values for the family's labels, in order.
    pub label_values: Vec<Box<str>>,
    /// Where it is in each block; of a histogram, the first of its cells.
    pub id: CounterId,
}

/// The configuration asks for more label values than there are cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more metrics than the {CELLS_MAX} cells of a counter block; use fewer routes or upstreams"
)]
pub struct OutOfCells;

/// Gives cells their index and keeps their meaning.
#[derive(Debug, Default)]
pub struct Registry {
    cells: Vec<Cell>,
    /// The index of the next one.
    free: u32,
    index: HashMap<(&'static str, Vec<Box<str>>), CounterId>,
}

impl Registry {
    /// The cell for these label values: the one it always had, or a new one.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn cell(
        &mut self,
        family: &'static Family,
        label_values: &[&str],
    ) -> Result<CounterId, OutOfCells> {
        self.take(family, label_values, 1)
    }

    /// The histogram for these label values, of a family that is one.
    ///
    /// # Errors
    /// When there are not enough cells.
    pub fn histogram(
        &mut self,
        family: &'static Family,
        label_values: &[&str],
    ) -> Result<Histogram, OutOfCells> {
        let Kind::Histogram(buckets) = family.kind else { panic!("{} is none", family.name) };
        let first = self.take(family, label_values, buckets.cells())?;
        Ok(Histogram::new(first, buckets))
    }

    /// So many cells in a row: those that these label values always had, or new ones.
    fn take(
        &mut self,
        family: &'static Family,
        label_values: &[&str],
        count: u32,
    ) -> Result<CounterId, OutOfCells> {
        assert_eq!(family.labels.len(), label_values.len(), "labels of {}", family.name);
        let values: Vec<Box<str>> = label_values.iter().map(|v| Box::from(*v)).collect();
        if let Some(id) = self.index.get(&(family.name, values.clone())) {
            return Ok(*id);
        }
        let free = self.free.checked_add(count).filter(|free| *free as usize <= CELLS_MAX);
        let id = CounterId(self.free);
        self.free = free.ok_or(OutOfCells)?;
        self.cells.push(Cell { family, label_values: values.clone(), id });
        self.index.insert((family.name, values), id);
        Ok(id)
    }

    /// Every cell given out so far, in the order of giving.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }
}

/// The sum of one cell over all workers.
#[must_use]
pub fn sum(blocks: &[Arc<CounterBlock>], id: CounterId) -> u64 {
    blocks.iter().fold(0, |total, block| total.wrapping_add(block.get(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    static REQUESTS: Family = Family {
        name: "ringgate_test",
        help: "A family for this test.",
        kind: Kind::Counter,
        labels: &["route"],
    };

    #[test]
    fn a_label_value_keeps_its_cell() {
        let mut registry = Registry::default();
        let a = registry.cell(&REQUESTS, &["a"]).unwrap();
        let b = registry.cell(&REQUESTS, &["b"]).unwrap();
        assert_ne!(a, b);
        assert_eq!(registry.cell(&REQUESTS, &["a"]).unwrap(), a);
        assert_eq!(registry.cells().len(), 2);
    }

    #[test]
    fn gauges_go_down_and_sums_span_blocks() {
        let mut registry = Registry::default();
        let id = registry.cell(&REQUESTS, &["a"]).unwrap();
        let blocks = [Arc::new(CounterBlock::new()), Arc::new(CounterBlock::new())];
        blocks[0].add(id, 5);
        blocks[1].increment(id);
        blocks[1].decrement(id);
        blocks[1].decrement(id);
        // One worker's gauge may be below zero where another counted the way up.
        assert_eq!(sum(&blocks, id), 4);
    }
}
